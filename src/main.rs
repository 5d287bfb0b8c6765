//! The waxseal command: from the command line to what it asks for, from an error to an exit code.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mimalloc::MiMalloc;
use serde_json::json;
use waxseal::admin::openapi;
use waxseal::app::{self, Ports};
use waxseal::cli::{
    self, Cli, Command, ConfigCommand, DoctorArgs, FirewallArgs, FirewallCommand, GenerateCommand,
    complain, print,
};
use waxseal::config::{Config, ConfigError, RuleSet, read_rules};
use waxseal::doctor::Diagnosis;
use waxseal::firewall;
use waxseal::log;
use waxseal::net::inherited::Inherited;
use waxseal::time::{Clock, SystemClock};

/// Gives back to the system what a burst of mail has taken, which the allocator of the C library keeps. Its features
/// are chosen for waiting sessions: version 3, or huge pages, make them cost more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long a thread that hangs (a dead mount, a full pipe) holds up the end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Why waxseal ends with an error, by who has to act.
enum Failed {
    /// The operator, on the configuration.
    Config(String),
    /// Somebody, on the system around waxseal.
    Runtime(String),
}

impl Failed {
    fn config(error: impl Display) -> Self {
        Self::Config(error.to_string())
    }

    fn runtime(error: impl Display) -> Self {
        Self::Runtime(error.to_string())
    }

    /// Complains, and tells which exit code follows.
    fn exit(self) -> ExitCode {
        let (message, code) = match self {
            Self::Config(message) => (message, 2),
            Self::Runtime(message) => (message, 1),
        };
        complain(&format!("waxseal: {message}"));
        ExitCode::from(code)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.clone().unwrap_or_default();
    let done = match command {
        Command::Config(ConfigCommand::Check { json: false }) => check_config(&cli),
        Command::Config(ConfigCommand::Check { json: true }) => check_config_as_json(&cli),
        Command::Config(ConfigCommand::Show) => load(&cli)
            .map(|config| print(&config.show()))
            .map_err(Failed::config),
        Command::Run => run(&cli),
        Command::Generate(GenerateCommand::Completions { shell }) => {
            print(&cli::completions(shell));
            Ok(())
        }
        Command::Generate(GenerateCommand::Openapi) => print_openapi(),
        Command::Generate(GenerateCommand::Man { folder }) => cli::man_pages(&folder)
            .map_err(|error| Failed::runtime(format!("{}: {error}", folder.display()))),
        Command::Firewall(FirewallCommand::Nftables(args)) => print_firewall(&args),
        Command::Policy(args) => start(&cli, async |config| app::policy(&config, &args).await),
        Command::Simulate(args) => start(&cli, async |config| app::simulate(config, &args).await),
        Command::Rule(command) => start(&cli, async |config| app::rule(&config, &command).await),
        Command::Host(args) => start(&cli, async |config| app::host(&config, &args).await),
        Command::Explain(args) => start(&cli, async |config| app::explain(&config, &args).await),
        Command::Check(question) => {
            let grade = start(&cli, async |config| app::check(&config, &question).await);
            return grade.map_or_else(Failed::exit, |grade| ExitCode::from(grade.exit_code()));
        }
        Command::Doctor(args) => return doctor(&cli, &args),
        Command::Query(args) => {
            let result = start(&cli, async |config| app::query(&config, &args).await);
            return result.map_or_else(Failed::exit, |result| ExitCode::from(result.exit_code()));
        }
    };
    done.map_or_else(Failed::exit, |()| ExitCode::SUCCESS)
}

fn load(cli: &Cli) -> Result<Config, ConfigError> {
    let mut config = Config::load(cli.config.as_deref())?;
    cli.override_log(&mut config);
    Ok(config)
}

/// Reads the configuration, and runs `task` to its end.
fn start<T>(
    cli: &Cli,
    task: impl AsyncFnOnce(Config) -> Result<T, app::Error>,
) -> Result<T, Failed> {
    start_with(cli, load(cli).map_err(Failed::config)?, task)
}

/// Sets up log and runtime, and runs `task` to its end.
fn start_with<T>(
    cli: &Cli,
    config: Config,
    task: impl AsyncFnOnce(Config) -> Result<T, app::Error>,
) -> Result<T, Failed> {
    let log = log::init(&config.log).map_err(Failed::runtime)?;
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    if let Some(number) = cli.threads {
        threads.worker_threads(number.get());
    }
    let runtime = threads.enable_all().build().map_err(Failed::runtime)?;
    runtime.spawn(log.tell_of_losses());
    let done = runtime.block_on(task(config));
    runtime.shutdown_timeout(LAST_WAIT);
    done.map_err(|error| match error {
        app::Error::Config(error) => Failed::config(error),
        app::Error::Audit(error) => Failed::config(error),
        error => Failed::runtime(error),
    })
}

/// A configuration that does not load is a finding like others.
fn doctor(cli: &Cli, args: &DoctorArgs) -> ExitCode {
    let diagnosis = match load(cli) {
        Ok(config) => start_with(cli, config, async |config| app::doctor(&config, args).await),
        Err(error) => Ok(Diagnosis::of_error(&error)),
    };
    diagnosis.map_or_else(Failed::exit, |diagnosis| {
        print(&if args.json {
            diagnosis.json()
        } else {
            diagnosis.text()
        });
        ExitCode::from(diagnosis.state().exit_code())
    })
}

fn run(cli: &Cli) -> Result<(), Failed> {
    // Before there are threads: it changes the environment.
    let ports = Ports {
        inherited: Inherited::take(),
        ..Ports::default()
    };
    start(cli, async |config| app::run(config, ports).await)
}

fn read_all(cli: &Cli) -> Result<(Config, RuleSet), ConfigError> {
    let config = Config::load(cli.config.as_deref())?;
    let rules = read_rules(&config, SystemClock.now())?;
    Ok((config, rules))
}

fn check_config(cli: &Cli) -> Result<(), Failed> {
    let (config, rules) = read_all(cli).map_err(Failed::config)?;
    for warning in config.warnings.iter().chain(&rules.warnings) {
        complain(&format!("warning: {warning}"));
    }
    print(&format!(
        "ok: {}, {}, {}\n",
        count(config.source.iter().count() + rules.files.len(), "file"),
        count(rules.entries, "rule"),
        count(listeners(&config), "listener")
    ));
    Ok(())
}

fn listeners(config: &Config) -> usize {
    config.listeners.len() + config.maps.len()
}

fn print_firewall(args: &FirewallArgs) -> Result<(), Failed> {
    let ruleset = firewall::nftables(args).map_err(Failed::config)?;
    if args.check {
        firewall::check_with_nft(&ruleset).map_err(Failed::runtime)?;
        print("ok: this kernel would take the rules\n");
    } else {
        print(&ruleset);
    }
    Ok(())
}

fn print_openapi() -> Result<(), Failed> {
    let document = serde_json::to_string_pretty(&openapi()).map_err(Failed::runtime)?;
    print(&format!("{document}\n"));
    Ok(())
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn check_config_as_json(cli: &Cli) -> Result<(), Failed> {
    let result = read_all(cli);
    let report = match &result {
        Ok((config, rules)) => json!({
            "ok": true,
            "files": config.source.iter().chain(&rules.files).collect::<Vec<_>>(),
            "rules": rules.entries,
            "listeners": listeners(config),
            "warnings": config.warnings.iter().chain(&rules.warnings).collect::<Vec<_>>(),
        }),
        Err(error) => json!({
            "ok": false,
            "file": error.file,
            "line": error.position.map(|position| position.line),
            "column": error.position.map(|position| position.column),
            "message": error.message,
        }),
    };
    print(&format!("{report}\n"));
    result.map(|_| ()).map_err(Failed::config)
}
