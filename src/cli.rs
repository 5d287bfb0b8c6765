//! The command line: what was typed, and the ways to answer.

use std::io::{self, Write, stderr, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{Config, LogFormat, LogLevel};
use crate::name::{Destination, Domain, Host};
use crate::policy::delivery_id::DeliveryId;

mod doctor;
mod examples;
mod firewall;
mod rule;
mod simulate;

pub use doctor::DoctorArgs;
pub use firewall::{By, FirewallArgs, FirewallCommand, From};
pub use rule::{Expiry, ExportCommand, ImportCommand, RuleAddArgs, RuleCommand, ScopeArgs};
pub use simulate::SimulateArgs;

const EXAMPLES: &str = "\
Examples:
  waxseal                                        run, with the configuration that is found
  waxseal --config /etc/waxseal/waxseal.toml     run, with this one
  waxseal config check                           test configuration, rules and certificates
  waxseal config show                            print every setting that is in force
  waxseal check example.com                      which rule applies to example.com, and what it asks
  waxseal check example.com --connect            also connect to its MX hosts and judge them
  waxseal query example.com                      what Postfix is told about example.com
  waxseal explain ID                             how a message left, by the id in the reply to the MTA
  waxseal policy list                            which MTA-STS policies are remembered
  waxseal policy refresh example.com             fetch the policy of example.com now
  waxseal doctor --host mx.example.com           is all well around waxseal? what is to be done?
  waxseal simulate --from-log /var/log/mail.log  what would be sealed, open, blocked
  waxseal rule add example.com --tls encrypt     add a rule and reload
  waxseal host list --lost                       which MX hosts show less than before

Without --config these are tried: ./waxseal.toml, /etc/waxseal/waxseal.toml, the built-in defaults.
Exit codes: 0 all is well, 1 it failed, 2 the configuration or the command line is wrong.";

const EXPLAIN: &str = "\
Examples:
  waxseal explain 01kb5cw8r0v4q8zj2m6tn3x9fy             how this message left, or why it did not
  waxseal explain 01kb5cw8r0v4q8zj2m6tn3x9fy --json      the same for programs
  waxseal explain 01kb5cw8r0v4q8zj2m6tn3x9fy --file old/audit.jsonl

A waxseal that runs is asked first: it remembers the last deliveries. Then [audit] file is searched, and
what was rotated away from it (FILE.1, FILE-20261123; what was compressed has to be unpacked first).
Exit codes: 0 it was found, 1 it was not, 2 the configuration or the command line is wrong.";

/// A gate for outbound mail: lets out what is sealed as the operator's rules demand.
#[derive(Debug, Clone, Parser)]
#[command(name = "waxseal", version, about, after_help = EXAMPLES)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", env = "WAXSEAL_CONFIG")]
    pub config: Option<PathBuf>,

    /// Log lines for people or for programs, instead of what the configuration says
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// Log level or tracing directives, instead of what the configuration says
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,

    /// Threads that carry mail, instead of one for each processor
    #[arg(long, global = true, value_name = "NUMBER", env = "WAXSEAL_THREADS")]
    pub threads: Option<NonZeroUsize>,

    /// What to do; without it: run
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, Default, Subcommand)]
pub enum Command {
    /// Run the gate (what waxseal does without a command)
    #[default]
    Run,
    /// Test or show the configuration
    #[command(subcommand, after_help = examples::CONFIG)]
    Config(ConfigCommand),
    /// Tell what would happen to mail for a domain
    #[command(after_help = examples::CHECK)]
    Check(CheckArgs),
    /// Tell what Postfix would hear from the policy table about a next hop
    #[command(after_help = examples::QUERY)]
    Query(QueryArgs),
    /// Tell the story of one delivery: what was known, asked for, shown, and what came of it
    Explain(ExplainArgs),
    /// See and change which MTA-STS policies are remembered
    #[command(after_help = examples::POLICY)]
    Policy(PolicyArgs),
    /// See the rules, add one, let one expire, carry them over from or to Postfix
    #[command(subcommand)]
    Rule(RuleCommand),
    /// Tell what would happen to mail for the destinations of a mail log or a list
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(SimulateArgs),
    /// See and forget what MX hosts have shown, which downgrades are noticed by
    #[command(after_help = examples::HOST)]
    Host(HostArgs),
    /// Look at everything that waxseal needs, and say what to do about what is not well
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Print the packet filter rules that lead mail to a transparent listener
    #[command(subcommand)]
    Firewall(FirewallCommand),
    /// Print the completions of a shell or the description of the API, or write the man pages
    #[command(subcommand)]
    Generate(GenerateCommand),
}

/// What is made from the command line itself.
#[derive(Debug, Clone, Subcommand)]
pub enum GenerateCommand {
    /// Print the script that completes commands and options in a shell
    #[command(
        after_help = "Example:\n  waxseal generate completions bash > /etc/bash_completion.d/waxseal"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the description of the admin endpoint, for programs (`OpenAPI`)
    #[command(after_help = "Example:\n  waxseal generate openapi > waxseal-openapi.json")]
    Openapi,
    /// Write the man pages, one for each command
    #[command(after_help = "Example:\n  waxseal generate man /usr/local/share/man/man1")]
    Man {
        /// Folder to write them to
        folder: PathBuf,
    },
}

/// What `waxseal query` is asked.
#[derive(Debug, Clone, Args)]
pub struct QueryArgs {
    /// Next hop as Postfix has it: a recipient domain, or for example [gw.example.com]:587
    #[arg(value_name = "DOMAIN")]
    pub key: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `waxseal explain` is asked.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXPLAIN)]
pub struct ExplainArgs {
    /// Id of the delivery, from the reply in the MTA's log or from waxseal's
    pub id: DeliveryId,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Look into this audit log only, and those that were rotated away from it
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// What `waxseal policy` is asked.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    /// What to do with the policies
    #[command(subcommand)]
    pub command: PolicyCommand,

    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with the policies. Where waxseal runs it is asked, else its store.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyCommand {
    /// Print one line for each policy that is remembered
    List,
    /// Print all that is remembered of one policy
    Show {
        /// Policy domain: the recipient domain
        domain: Domain,
    },
    /// Fetch a policy now
    Refresh {
        /// Policy domain: the recipient domain
        domain: Domain,
    },
    /// Forget a policy; mail to the domain asks for it anew
    Forget {
        /// Policy domain: the recipient domain
        domain: Domain,
    },
}

/// What `waxseal host` is asked.
#[derive(Debug, Clone, Args)]
pub struct HostArgs {
    /// What to do with the hosts
    #[command(subcommand)]
    pub command: HostCommand,

    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with the hosts. Where waxseal runs it is asked, else its store.
#[derive(Debug, Clone, Subcommand)]
pub enum HostCommand {
    /// Print one line for each MX host that is remembered, with the downgrades that last
    List {
        /// Only hosts that show less than before
        #[arg(long)]
        lost: bool,
    },
    /// Print all that is remembered of one host
    Show {
        /// MX host
        host: Host,
    },
    /// Forget a host; what it shows next is taken for its best, and mail that waits for it goes
    Forget {
        /// MX host
        host: Host,
    },
}

/// What to do with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Read configuration, rules and certificates, and tell what is wrong
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print every setting that is in force, as TOML
    Show,
}

/// What `waxseal check` is asked.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Recipient domain, or an address literal such as [192.0.2.1]
    pub domain: Destination,

    /// Sender domain, for rules that name senders
    #[arg(long, value_name = "DOMAIN")]
    pub sender: Option<Domain>,

    /// Also connect to the MX hosts; no mail is sent
    #[arg(long)]
    pub connect: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Cli {
    /// Puts what was typed over what is written.
    pub fn override_log(&self, config: &mut Config) {
        if let Some(format) = self.log_format {
            config.log.format = format;
        }
        if let Some(level) = &self.log_level {
            config.log.level = level.clone();
        }
    }
}

/// The completions of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "waxseal", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes the man pages into a folder that is there.
pub fn man_pages(folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Cli::command(), folder)
}

/// Answers on stdout, whose reader may have gone away.
pub fn print(text: &str) {
    let _gone = stdout().lock().write_all(text.as_bytes());
}

/// Complains on stderr, whose reader may have gone away; `text` is one line.
pub fn complain(text: &str) {
    let _gone = stderr().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_its_man_page_and_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        man_pages(folder.path()).unwrap();
        for page in [
            "waxseal.1",
            "waxseal-explain.1",
            "waxseal-policy-refresh.1",
            "waxseal-rule-add.1",
        ] {
            let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}: {text}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            assert!(
                script.contains("policy") && script.contains("connect"),
                "{shell}"
            );
        }
    }

    /// Commands without examples, of their own or of the command that they belong to.
    fn without_examples(command: &clap::Command, above: bool, found: &mut Vec<String>) {
        let own = command.get_after_help().map(ToString::to_string);
        let shown = above || own.is_some_and(|text| text.contains("Example"));
        let mut below = command.get_subcommands().peekable();
        if below.peek().is_none() && !shown {
            found.push(command.get_name().to_owned());
        }
        below.for_each(|command| without_examples(command, shown, found));
    }

    #[test]
    fn every_command_shows_examples() {
        let mut found = Vec::new();
        for command in Cli::command().get_subcommands() {
            without_examples(command, false, &mut found);
        }
        // Which the examples of waxseal itself are about.
        assert_eq!(found, ["run"]);
    }

    #[test]
    fn options_stand_before_or_behind_the_command() {
        for line in [
            "waxseal --config x.toml config show",
            "waxseal config show --config x.toml",
        ] {
            let cli = parse(line).unwrap();
            assert_eq!(cli.config, Some(PathBuf::from("x.toml")));
            assert!(matches!(
                cli.command,
                Some(Command::Config(ConfigCommand::Show))
            ));
        }
        assert!(parse("waxseal").unwrap().command.is_none());
    }

    #[test]
    fn names_and_levels_are_parsed_at_once() {
        let cli = parse("waxseal check B\u{fc}cher.example --sender s.example --log-level debug")
            .unwrap();
        let Some(Command::Check(check)) = cli.command else {
            panic!("not a check");
        };
        assert_eq!(check.domain.to_string(), "xn--bcher-kva.example");
        assert!(parse("waxseal check a..b").is_err());
        assert!(parse("waxseal --log-level inffo").is_err());
    }

    #[test]
    fn what_is_typed_overrides_what_is_written() {
        let mut config = Config::parse("", "waxseal.toml".as_ref()).unwrap();
        let cli = parse("waxseal --log-format json --log-level off").unwrap();
        cli.override_log(&mut config);
        assert_eq!(config.log.format, LogFormat::Json);
        assert!(config.show().contains("level = \"off\""));
    }
}
