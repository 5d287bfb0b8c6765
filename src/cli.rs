//! The command line: what was typed, and the ways to answer.

use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::config::{Config, LogFormat, LogLevel};
use crate::name::{Destination, Domain};

const EXAMPLES: &str = "\
Examples:
  waxseal                                        run, with the configuration that is found
  waxseal --config /etc/waxseal/waxseal.toml     run, with this one
  waxseal config check                           test configuration, rules and certificates
  waxseal config show                            print every setting that is in force
  waxseal check example.com                      which rule applies to example.com, and what it asks
  waxseal check example.com --connect            also connect to its MX hosts and judge them
  waxseal policy list                            which MTA-STS policies are remembered
  waxseal policy refresh example.com             fetch the policy of example.com now

Without --config these are tried: ./waxseal.toml, /etc/waxseal/waxseal.toml, the built-in defaults.
Exit codes: 0 all is well, 1 it failed, 2 the configuration or the command line is wrong.";

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
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Tell what would happen to mail for a domain
    Check(CheckArgs),
    /// See and change which MTA-STS policies are remembered
    Policy(PolicyArgs),
    /// Print the packet filter rules that lead mail to a transparent listener
    #[command(subcommand)]
    Firewall(FirewallCommand),
}

/// For which packet filter.
#[derive(Debug, Clone, Subcommand)]
pub enum FirewallCommand {
    /// Print rules for nftables; nothing is loaded
    #[command(after_help = FIREWALL_EXAMPLES)]
    Nftables(FirewallArgs),
}

const FIREWALL_EXAMPLES: &str = "\
Examples:
  waxseal firewall nftables --only-user postfix                   what Postfix on this machine sends
  waxseal firewall nftables --except-cgroup system.slice/waxseal.service
                                                                  what anybody on it sends, but waxseal
  waxseal firewall nftables --from gateway --listen 0.0.0.0:10026 --listen [::]:10026
                                                                  what passes through from other machines
  waxseal firewall nftables --only-user postfix --check           would this kernel take them?

Exit codes: 0 printed, or the kernel would take them; 1 it would not.";

/// What `waxseal firewall nftables` is asked.
#[derive(Debug, Clone, Args)]
pub struct FirewallArgs {
    /// Whose mail
    #[arg(long, value_enum, default_value_t = From::Local)]
    pub from: From,

    /// How it is led
    #[arg(long, value_enum, default_value_t = By::Redirect)]
    pub by: By,

    /// Address and port of the transparent listener, once for each address family
    #[arg(long, value_name = "ADDRESS:PORT", default_values = ["127.0.0.1:10026", "[::1]:10026"])]
    pub listen: Vec<SocketAddr>,

    /// Port of the MX hosts
    #[arg(long, default_value_t = 25)]
    pub port: u16,

    /// Only connections of this user of this machine; may be repeated
    #[arg(long, value_name = "USER")]
    pub only_user: Vec<String>,

    /// No connections of this user: the one that waxseal runs as
    #[arg(long, value_name = "USER")]
    pub except_user: Option<String>,

    /// No connections of this service: the one that waxseal runs as, such as system.slice/waxseal.service
    #[arg(long, value_name = "CGROUP")]
    pub except_cgroup: Option<String>,

    /// No connections with this mark
    #[arg(long, value_name = "MARK", value_parser = mark)]
    pub except_mark: Option<u32>,

    /// Network that is left alone; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub bypass: Vec<IpNet>,

    /// Ask the running kernel whether it would take the rules, instead of printing them
    #[arg(long)]
    pub check: bool,
}

/// A mark, decimal or hexadecimal.
fn mark(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is not a mark; write a number such as 0x10"))
}

/// Whose connections are led to waxseal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Those of MTAs on this machine
    Local,
    /// Those of other machines that pass through this one
    Gateway,
}

/// How connections are led to waxseal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Their destination is rewritten
    Redirect,
    /// Their destination stays (waxseal then has to be allowed to administer the network)
    Tproxy,
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
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
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
