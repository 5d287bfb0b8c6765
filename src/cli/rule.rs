//! The command line of `waxseal rule`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

const ADD_EXAMPLES: &str = "\
Examples:
  waxseal rule add partner.example .partner.example --tls encrypt --reason 'data processing agreement'
  waxseal rule add bank.example --tls secure --match hostname --match .bank.example
  waxseal rule add broken.example --tls may --expires 14d --reason 'their certificate expired; ticket 4711'
  waxseal rule add '*' --sender legal.example --tls standard --floor encrypt
  waxseal rule add --mx '*.hosting.example' --tls encrypt

The rule is written to 80-by-hand.toml in the folder of the rules, once the whole set loads with it, and the waxseal
that runs here reloads. Exit codes: 0 added; 1 not written, or not reloaded; 2 a set with this rule would not load.";

const EXPIRE_EXAMPLES: &str = "\
Examples:
  waxseal rule expire broken.example
  waxseal rule expire partner.example .partner.example       all that one rule is for

Only rules of 80-by-hand.toml: other files are written by people, and the command tells where to write.";

const LIST_EXAMPLES: &str = "\
Examples:
  waxseal rule list                what expires within a week has a !
  waxseal rule list --json         one JSON object a line";

const IMPORT_EXAMPLES: &str = "\
Examples:
  waxseal rule import postfix /etc/postfix/tls_policy
  waxseal rule import postfix /etc/postfix/tls_policy --output policies/60-postfix.toml

Each line of the table that has no equivalent is told on stderr. `dane` becomes `standard` with the floor `may`, which
follows MTA-STS as well. Exit codes: 0 every entry is a rule; 1 some are not; 2 the rules would not load.";

const EXPORT_EXAMPLES: &str = "\
Example:
  waxseal rule export postfix > /etc/postfix/tls_policy

What Postfix cannot express is a comment.";

/// What to do with the rules.
#[derive(Debug, Clone, Subcommand)]
pub enum RuleCommand {
    /// Add a rule
    #[command(after_help = ADD_EXAMPLES)]
    Add(Box<RuleAddArgs>),
    /// Print one line for each pattern and sender
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let rules that were added by command expire now; their text stays
    #[command(after_help = EXPIRE_EXAMPLES)]
    Expire {
        /// Which rules
        #[command(flatten)]
        scope: ScopeArgs,
        /// Do not tell the waxseal that runs
        #[arg(long)]
        no_reload: bool,
    },
    /// Print what another program's table means as rules
    #[command(subcommand)]
    Import(ImportCommand),
    /// Print the rules in force as another program's table
    #[command(subcommand)]
    Export(ExportCommand),
}

/// Whose table is read.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportCommand {
    /// A text file for `smtp_tls_policy_maps`
    #[command(after_help = IMPORT_EXAMPLES)]
    Postfix {
        /// The table; `-` is stdin
        file: PathBuf,
        /// File to write the rules to, which must not be there yet
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Whose table is written.
#[derive(Debug, Clone, Subcommand)]
pub enum ExportCommand {
    /// A text file for `smtp_tls_policy_maps`
    #[command(after_help = EXPORT_EXAMPLES)]
    Postfix,
}

/// Which destinations and senders.
#[derive(Debug, Clone, Args)]
pub struct ScopeArgs {
    /// Recipient domain, `.suffix` for every domain below, or `*`
    #[arg(value_name = "PATTERN", required_unless_present = "mx")]
    pub patterns: Vec<String>,

    /// MX host or `*.suffix`, instead of recipient domains; may be repeated
    #[arg(long, value_name = "HOST", conflicts_with = "patterns")]
    pub mx: Vec<String>,

    /// Only for mail from this sender domain or `.suffix`; may be repeated
    #[arg(long, value_name = "DOMAIN")]
    pub sender: Vec<String>,
}

/// What `waxseal rule add` is asked; policies/50-partners.toml explains the keys.
#[derive(Debug, Clone, Args)]
pub struct RuleAddArgs {
    /// Whose mail
    #[command(flatten)]
    pub scope: ScopeArgs,

    /// none, may, encrypt, standard, dane-only, secure or fingerprint
    #[arg(long, value_name = "LEVEL")]
    pub tls: String,

    /// standard: may or encrypt, where the destination publishes nothing
    #[arg(long, value_name = "LEVEL")]
    pub floor: Option<String>,

    /// secure: name of the certificate, or nexthop, dot-nexthop, hostname, mta-sts; may be repeated
    #[arg(long = "match", value_name = "NAME")]
    pub matches: Vec<String>,

    /// fingerprint: SHA-256 of the certificate or its public key; may be repeated
    #[arg(long = "fingerprint", value_name = "SHA256")]
    pub fingerprints: Vec<String>,

    /// secure: CA certificates to trust instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Name for SNI: hostname, nexthop or a name
    #[arg(long, value_name = "NAME")]
    pub servername: Option<String>,

    /// Least version of TLS: 1.2 or 1.3
    #[arg(long, value_name = "VERSION")]
    pub min_version: Option<String>,

    /// standard: do not follow MTA-STS
    #[arg(long)]
    pub no_mta_sts: bool,

    /// Host and port to send to instead of the MX
    #[arg(long, value_name = "HOST:PORT")]
    pub route: Option<String>,

    /// Block nothing; count what would have been blocked
    #[arg(long)]
    pub observe: bool,

    /// Why the rule is there
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// When it ends: a date, a time with its offset, or a while such as 14d
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<Expiry>,

    /// Do not tell the waxseal that runs
    #[arg(long)]
    pub no_reload: bool,
}

/// When a rule ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// A date or a time, as a rule file has it.
    At(toml_edit::Datetime),
    /// So long from now.
    In(Duration),
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        humantime::parse_duration(text).map(Self::In).map_err(|_| {
            format!("`{text}` is neither a date (2030-12-31) nor a time (2030-12-31T18:00:00Z) nor a while (14d)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_date_a_time_or_a_while() {
        let at = |text: &str| Expiry::At(text.parse().unwrap());
        assert_eq!("2030-12-31".parse(), Ok(at("2030-12-31")));
        assert_eq!(
            "2030-12-31T18:00:00Z".parse(),
            Ok(at("2030-12-31T18:00:00Z"))
        );
        assert_eq!("2h".parse(), Ok(Expiry::In(Duration::from_hours(2))));
        assert!("soon".parse::<Expiry>().is_err());
    }
}
