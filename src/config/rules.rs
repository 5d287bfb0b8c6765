//! From rule files to the set of rules.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, Position, Source};
use super::rule::Reader;
use super::rule_file::RuleFile;
use super::{Config, Policies};
use crate::policy::handshake::Fingerprint;
use crate::policy::requirement::Mode;
use crate::policy::rules::{Clash, Floor, Level, Origin, Pattern, Rule, Rules, SenderScope};
use crate::time::UnixTime;

/// The rules, and what there is to tell about them.
#[derive(Debug)]
pub struct RuleSet {
    /// The rules, one for each pattern and sender.
    pub rules: Rules,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// The digest of the files, one behind the other.
    pub digest: Fingerprint,
    /// How many `[[rule]]` they hold.
    pub entries: usize,
    /// What is legal and probably not meant, each with its place.
    pub warnings: Vec<String>,
}

/// A text that is not yet in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replacement<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

/// Reads the rule files; logs nothing.
pub fn read_rules(config: &Config, now: UnixTime) -> Result<RuleSet, ConfigError> {
    read_rules_with(config, now, None)
}

/// Reads the rule files as they would be with a new text in the place of one of them, or beside them.
pub(super) fn read_rules_with(
    config: &Config,
    now: UnixTime,
    new: Option<Replacement<'_>>,
) -> Result<RuleSet, ConfigError> {
    let mut warnings = Vec::new();
    let mut files = rule_files(config, &mut warnings)?;
    files.extend(new.map(|new| new.file.to_owned()));
    files.sort();
    files.dedup();
    let mut rules = Vec::new();
    let mut entries = 0;
    let mut all = String::new();
    for file in &files {
        let text = match new {
            Some(new) if new.file == file => new.text.to_owned(),
            _ => std::fs::read_to_string(file)
                .map_err(|error| ConfigError::of_file(file, format!("cannot be read: {error}")))?,
        };
        let source = Source { file, text: &text };
        let parsed: RuleFile = toml::from_str(&text).map_err(|error| source.explain(&error))?;
        entries += parsed.rule.len();
        for entry in &parsed.rule {
            rules.extend(Reader { entry, source }.rules()?);
        }
        all += &text;
    }
    let folder = config.policies.folder();
    must_have_roots(config, &rules, folder)?;
    warnings.extend(expired(&rules, folder, now));
    warnings.extend(lowering(&rules, folder));
    if !config.maps.is_empty() {
        warnings.extend(beyond_a_table(&rules, folder));
    }
    Ok(RuleSet {
        rules: Rules::new(rules, now).map_err(|clash| explain_clash(&clash, folder))?,
        files,
        digest: Fingerprint::of(all.as_bytes()),
        entries,
        warnings,
    })
}

/// The rule files in name order.
fn rule_files(config: &Config, warnings: &mut Vec<String>) -> Result<Vec<PathBuf>, ConfigError> {
    let folder = config.policies.folder();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            warnings.push(missing_folder(config, &error)?);
            return Ok(Vec::new());
        }
    };
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ConfigError::of_file(folder, format!("cannot be read: {error}")))?;
    files.retain(|path| is_rule_file(path));
    files.sort();
    Ok(files)
}

/// A warning where the folder may be missing, else an error.
fn missing_folder(config: &Config, error: &std::io::Error) -> Result<String, ConfigError> {
    let folder = config.policies.folder();
    match &config.policies {
        Policies::Set { named_at, .. } => Err(ConfigError {
            file: config.source.clone(),
            position: Some(*named_at),
            message: format!(
                "cannot read the folder `{}`: {error}; create it or remove `policies`",
                folder.display()
            ),
        }),
        Policies::Default(_) if !super::is_there(folder) => Ok(format!(
            "there is no folder `{}`, so there are no rules: TLS is used where it is offered",
            folder.display()
        )),
        Policies::Default(_) => Err(ConfigError::of_file(
            folder,
            format!("cannot be read: {error}"),
        )),
    }
}

/// `*.toml`, but nothing hidden, and so nothing that an editor or a package manager left behind.
fn is_rule_file(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|ext| ext == "toml") && !path.is_dir()
}

fn explain_clash(clash: &Clash, folder: &Path) -> ConfigError {
    let message = if clash.first == clash.second {
        "this rule names the same domain and sender twice; remove one of them".to_owned()
    } else {
        format!(
            "there is a rule for the same domain and sender at {}; remove one of them",
            clash.first
        )
    };
    at_origin(&clash.second, folder, &message)
}

fn at_origin(origin: &Origin, folder: &Path, message: &str) -> ConfigError {
    ConfigError {
        file: Some(folder.join(&*origin.file)),
        position: Some(Position {
            line: origin.line,
            column: 1,
        }),
        message: message.to_owned(),
    }
}

/// A `secure` rule without any root would keep all mail back for ever.
fn must_have_roots(config: &Config, rules: &[Rule], folder: &Path) -> Result<(), ConfigError> {
    let rootless = rules.iter().find(|rule| {
        config.roots.anchors.is_empty() && matches!(&rule.level, Level::Secure { roots: None, .. })
    });
    match rootless {
        Some(rule) => Err(at_origin(
            &rule.origin,
            folder,
            "`tls = \"secure\"` needs a trusted CA and there is none; add `ca_file` here or `roots` in [tls]",
        )),
        None => Ok(()),
    }
}

fn expired(rules: &[Rule], folder: &Path, now: UnixTime) -> Vec<String> {
    let mut told: Vec<&Origin> = Vec::new();
    let mut warnings = Vec::new();
    for rule in rules {
        if let Some(expires) = rule.expires.filter(|_| rule.has_expired(now))
            && !told.contains(&&rule.origin)
        {
            told.push(&rule.origin);
            warnings.push(format!(
                "{}:{}: expired on {expires}; ignored",
                folder.join(&*rule.origin.file).display(),
                rule.origin.line
            ));
        }
    }
    warnings
}

/// Rules for MX patterns that ask less than a rule for `*`, which they precede: whoever forges MX
/// records could choose the weaker one.
fn lowering(rules: &[Rule], folder: &Path) -> Vec<String> {
    let strongest = rules
        .iter()
        .filter(|rule| rule.pattern == Pattern::Any)
        .max_by_key(|rule| strength(rule));
    let Some(any) = strongest else {
        return Vec::new();
    };
    rules
        .iter()
        .filter(|rule| matches!(rule.pattern, Pattern::Mx(_)) && strength(rule) < strength(any))
        .map(|rule| {
            format!(
                "{}:{}: this `mx` rule asks less than the one for `*` at {}, and MX records can be forged",
                folder.join(&*rule.origin.file).display(),
                rule.origin.line,
                any.origin
            )
        })
        .collect()
}

/// Rules that count for mail through waxseal alone, where Postfix also asks the policy table.
fn beyond_a_table(rules: &[Rule], folder: &Path) -> Vec<String> {
    let mut origins: Vec<&Origin> = Vec::new();
    for rule in rules {
        if rule.sender != SenderScope::Anyone && !origins.contains(&&rule.origin) {
            origins.push(&rule.origin);
        }
    }
    let warning = |origin: &&Origin| {
        format!(
            "{}:{}: `senders`: the policy table (kind = \"socketmap\") is asked for a destination and no sender, so that this rule does not count there",
            folder.join(&*origin.file).display(),
            origin.line
        )
    };
    origins.iter().map(warning).collect()
}

/// What a rule blocks: nothing, plaintext, or also whoever cannot prove who they are.
fn strength(rule: &Rule) -> u8 {
    match (rule.mode, &rule.level) {
        (Mode::Observe, _) | (_, Level::None | Level::May | Level::Standard(Floor::May)) => 0,
        (_, Level::Encrypt | Level::Standard(Floor::Encrypt)) => 1,
        (_, Level::DaneOnly | Level::Secure { .. } | Level::Fingerprint(_)) => 2,
    }
}
