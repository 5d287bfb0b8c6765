//! `waxseal rule`: the rules seen, made and ended by hand, and carried over from and to Postfix.
//!
//! A rule is a file's. What a command changes is one file of its own; the waxseal that runs here is told to read all
//! of them again, over its admin endpoint.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use super::Error;
use super::remote::Remote;
use crate::cli::{
    Expiry, ExportCommand, ImportCommand, RuleAddArgs, RuleCommand, ScopeArgs, complain, print,
};
use crate::config::{ByHand, Config, Draft, Scope, check_rule_file, put, read_rules};
use crate::policy::postfix::{Import, export, import};
use crate::policy::requirement::Mode;
use crate::time::{Clock, SystemClock, UnixTime};

mod list;

/// Does what is asked, and prints what came of it.
pub(super) async fn run(config: &Config, command: &RuleCommand) -> Result<(), Error> {
    let now = SystemClock.now();
    match command {
        RuleCommand::Add(args) => {
            add(config, args, now)?;
            reload(config, args.no_reload).await
        }
        RuleCommand::Expire { scope, no_reload } => {
            expire(config, scope, now)?;
            reload(config, *no_reload).await
        }
        RuleCommand::List { json } => {
            let set = read_rules(config, now)?;
            print(&list::print(&set.rules, now, *json));
            Ok(())
        }
        RuleCommand::Import(ImportCommand::Postfix { file, output }) => {
            import_postfix(config, file, output.as_deref(), now)
        }
        RuleCommand::Export(ExportCommand::Postfix) => {
            let set = read_rules(config, now)?;
            print(&export(&set.rules, now));
            Ok(())
        }
    }
}

fn add(config: &Config, args: &RuleAddArgs, now: UnixTime) -> Result<(), Error> {
    let mut file = ByHand::open(config, now)?;
    file.add(&draft(args, now))?;
    let stored = file.store()?;
    for warning in &stored.warnings {
        complain(&format!("warning: {warning}"));
    }
    let line = stored.last().map_or(1, |origin| origin.line);
    print(&format!("added: {}:{line}\n", stored.path.display()));
    Ok(())
}

fn draft(args: &RuleAddArgs, now: UnixTime) -> Draft {
    let Scope {
        domains,
        mx,
        senders,
    } = scope(&args.scope);
    let expires = args.expires.as_ref().and_then(|expiry| match expiry {
        Expiry::At(at) => Some(*at),
        Expiry::In(time) => UnixTime(now.0.saturating_add(time.as_secs()))
            .to_string()
            .parse()
            .ok(),
    });
    Draft {
        domains,
        mx,
        senders,
        tls: args.tls.clone(),
        floor: args.floor.clone(),
        matches: args.matches.clone(),
        fingerprints: args.fingerprints.clone(),
        // What is typed is seen from here, what is written from the folder of the rules.
        ca_file: args.ca_file.as_deref().map(absolute),
        servername: args.servername.clone(),
        min_version: args.min_version.clone(),
        mta_sts: args.no_mta_sts.then_some(false),
        route: args.route.clone(),
        mode: args.observe.then(|| Mode::Observe.word().to_owned()),
        reason: args.reason.clone(),
        expires,
    }
}

fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    absolute.as_deref().unwrap_or(path).display().to_string()
}

fn scope(args: &ScopeArgs) -> Scope {
    Scope {
        domains: args.patterns.clone(),
        mx: args.mx.clone(),
        senders: args.sender.clone(),
    }
}

fn expire(config: &Config, args: &ScopeArgs, now: UnixTime) -> Result<(), Error> {
    let mut file = ByHand::open(config, now)?;
    let ended = file.expire(&scope(args))?;
    // It may warn that they have expired, which is what was asked for.
    file.store()?;
    for origin in ended {
        print(&format!("expired: {origin}\n"));
    }
    Ok(())
}

/// Tells the waxseal that runs here, if one does.
async fn reload(config: &Config, no_reload: bool) -> Result<(), Error> {
    if no_reload {
        return Ok(());
    }
    match Remote::find(config.admin.as_ref(), "/reload").await? {
        Some(running) => {
            let told = running.order().await;
            let told = told.map_err(|no| Error::NotReloaded(no.to_string()))?;
            print(&format!("{told}\n"));
        }
        None => print("no waxseal runs here; the next one to start reads it\n"),
    }
    Ok(())
}

fn import_postfix(
    config: &Config,
    file: &Path,
    output: Option<&Path>,
    now: UnixTime,
) -> Result<(), Error> {
    let text = read(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let import = import(&text, &name);
    for note in &import.notes {
        let effect = note.effect;
        complain(&format!("{name}:{}: {effect}: {}", note.line, note.text));
    }
    let text = as_toml(&import, &name)?;
    match output {
        None => print(&text),
        Some(output) => {
            check_rule_file(config, now, output, &text)?;
            write_new(output, &text)?;
        }
    }
    match import.left_out() {
        0 => Ok(()),
        left_out => Err(Error::LeftOut(left_out, left_out + import.rules.len())),
    }
}

fn as_toml(import: &Import, name: &str) -> Result<String, Error> {
    let mut file = DocumentMut::new();
    for (at, rule) in import.rules.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        let above = format!("{gap}# {name}:{}\n", rule.origin.line);
        Draft::of(rule)
            .append(&mut file, &above)
            .map_err(|error| Error::File {
                path: PathBuf::from(name),
                error: io::Error::other(error),
            })?;
    }
    Ok(file.to_string())
}

/// A file, or stdin.
fn read(path: &Path) -> Result<String, Error> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Error::File {
        path: path.to_owned(),
        error,
    })
}

/// Overwrites nothing that somebody wrote.
fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    let written = if path.symlink_metadata().is_ok() {
        Err(io::Error::other(
            "is there already; name another file, or remove it",
        ))
    } else {
        put(path, text)
    };
    written.map_err(|error| Error::File {
        path: path.to_owned(),
        error,
    })
}
