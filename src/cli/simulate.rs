//! The command line of `waxseal simulate`.

use std::path::PathBuf;

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  waxseal simulate --from-log /var/log/mail.log
  zcat -f /var/log/mail.log* | waxseal simulate --from-log - --connect
  waxseal simulate --domains customers.txt --rules stricter/ --csv > stricter.csv

A log is one of Postfix or Exim, plain or packed with gzip; only domains are kept of it. What is found out is not
remembered, and no mail is sent. Rules with `senders` do not count: it is asked for anybody's mail.

  sealed         leaves only to a server that proves who it is (dane, pkix, fingerprint)
  encrypted      leaves with TLS, to whoever answers
  if offered     leaves with TLS where it is offered; with --connect it is known
  in the clear   leaves in plaintext
  blocked        stays, because no server can meet the policy
  failed         stays for other reasons: DNS, no such domain, no connection";

/// What `waxseal simulate` is asked.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("input").required(true))]
pub struct SimulateArgs {
    /// Mail log; `-` is stdin
    #[arg(long, value_name = "FILE", group = "input")]
    pub from_log: Option<PathBuf>,

    /// Domains, one a line, each with its number of messages if you like; `-` is stdin
    #[arg(long, value_name = "FILE", group = "input")]
    pub domains: Option<PathBuf>,

    /// Folder of rules to try instead of those in force
    #[arg(long, value_name = "FOLDER")]
    pub rules: Option<PathBuf>,

    /// Also connect to the MX hosts
    #[arg(long)]
    pub connect: bool,

    /// Domains that are asked about at once
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub jobs: u16,

    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,

    /// Print CSV, one row for each domain
    #[arg(long)]
    pub csv: bool,
}
