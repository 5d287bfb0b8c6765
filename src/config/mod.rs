//! The configuration, in two stages: as written (`file`) and as meant ([`Config`]).
//!
//! waxseal runs without any file. Where there is one, each key has one meaning and one default, an
//! unknown key is an error, and so is a value that would make a gate useless: nobody notices a
//! misspelt `allow` before it is too late. Every error tells file, line and column, what is wrong and
//! what to do; certificates and keys are read at once, so that a check of the configuration checks
//! them too. What is legal but probably not meant is a warning.
//!
//! The operator's rules stand in a folder of their own ([`load_rules`]), because they change more often
//! and are written by other people. A file that is wrong makes the whole set wrong: half a set of
//! rules could let mail out that the other half would have blocked. The caller keeps the set in force.
//!
//! This room promises a [`Config`] whose every part can be used as it is. It opens no socket, and
//! reads no clock but to warn of rules that have expired.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::audit;
use crate::discover::AddressOrder;
use crate::mapserver;
use crate::name::Domain;
use crate::net::https::FetchSettings;
use crate::net::resolver::DnsSettings;
use crate::policy::handshake::Fingerprint;
use crate::policy::requirement::Roots;
use crate::proxy::settings::{Listener, Settings};
use crate::store::Place;
use crate::time::{Clock, SystemClock};

mod admin;
mod by_hand;
mod chooser;
mod destination;
mod dns;
mod draft;
mod error;
mod file;
mod listener;
mod meaning;
mod rule;
mod rule_file;
mod rules;
mod tls;
mod values;

#[cfg(test)]
mod by_hand_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;

pub use by_hand::{ByHand, RuleError, Scope, Stored, check_rule_file, put};
pub use draft::Draft;
pub use error::{ConfigError, Position};
pub use file::LogFormat;
pub use rules::{RuleSet, read_rules};
pub use values::LogLevel;

use error::Source;

/// Where a configuration is looked for when nobody names one.
const SEARCH: [&str; 2] = ["waxseal.toml", "/etc/waxseal/waxseal.toml"];

/// The configuration as meant.
#[derive(Debug)]
pub struct Config {
    /// The file it came from; `None` = the built-in defaults.
    pub source: Option<PathBuf>,
    /// The digest of that file.
    pub digest: Option<Fingerprint>,
    /// Where the rules are.
    pub policies: Policies,
    /// Listeners that take mail; empty only where there are `maps`.
    pub listeners: Vec<Listener>,
    /// Listeners that answer questions of Postfix.
    pub maps: Vec<mapserver::Listener>,
    /// Where the admin endpoint listens, unless it is switched off.
    pub admin: Option<crate::admin::Listener>,
    /// Domains that have metrics of their own.
    pub listed_domains: Vec<Domain>,
    /// How DNS is asked.
    pub dns: DnsSettings,
    /// How MTA-STS policies are fetched; `None` = MTA-STS is switched off.
    pub mta_sts: Option<FetchSettings>,
    /// Where policies are remembered.
    pub store: Place,
    /// Which addresses of an MX are tried, and in which order.
    pub addresses: AddressOrder,
    /// Networks that may be dialled although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// The mark of packets to MX hosts.
    pub mark: Option<u32>,
    /// The trust anchors for PKIX.
    pub roots: Arc<Roots>,
    /// Settings of all sessions.
    pub settings: Settings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// What is remembered and written of deliveries and administrative acts.
    pub audit: audit::Settings,
    /// What is legal and probably not meant, each with its place.
    pub warnings: Vec<String>,
    /// As written, with the defaults: what [`Config::show`] prints.
    written: file::File,
}

/// The folder of the rule files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policies {
    /// Named by the configuration: it must be there.
    Set {
        /// The folder.
        folder: PathBuf,
        /// Where the configuration names it.
        named_at: Position,
    },
    /// The default: without the folder there are no rules.
    Default(PathBuf),
}

impl Policies {
    /// The folder.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Set { folder, .. } | Self::Default(folder) => folder,
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// How much.
    pub level: LogLevel,
}

impl Config {
    /// Reads the file at `path`, or the first one of the usual places, or takes the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let found = path.or_else(|| SEARCH.iter().map(Path::new).find(|path| is_there(path)));
        let Some(path) = found else {
            let mut config = Self::parse("", Path::new(""))?;
            (config.source, config.digest) = (None, None);
            return Ok(config);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::of_file(path, format!("cannot be read: {error}")))?;
        Self::parse(&text, path)
    }

    /// Parses the text of `file`; relative paths in it start from the folder of `file`.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let written = toml::from_str(text).map_err(|error| source.explain(&error))?;
        meaning::config(written, source)
    }

    /// Everything in force as TOML, which parses again to the same configuration.
    pub fn show(&self) -> String {
        let mut written = self.written.clone();
        written.log.format = self.log.format;
        written.log.level = self.log.level.clone();
        meaning::make_absolute(&mut written, self.source.as_deref());
        let folder = self.policies.folder();
        let mut head = match &self.source {
            Some(file) => format!("# in force, from {}\n", file.display()),
            None => "# in force: the defaults, there is no configuration file\n".to_owned(),
        };
        if folder.is_dir() || matches!(self.policies, Policies::Set { .. }) {
            let folder = meaning::absolute(folder);
            written.policies = Some(toml::Spanned::new(0..0, folder));
        } else {
            head += "# policies = \"policies\" (the default; there is no such folder)\n";
        }
        match toml::to_string(&written) {
            Ok(body) => format!("{head}\n{body}"),
            // Only a path that is not UTF-8 cannot be written as TOML, and none such was read from it.
            Err(error) => format!("{head}# cannot be shown: {error}\n"),
        }
    }
}

/// False only where there is certainly nothing. A file that cannot be seen, or a link that leads
/// nowhere, is there: reading it fails, and that is better than to run without it.
fn is_there(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Reads the operator's rules, and logs every warning about them and about `config`.
pub fn load_rules(config: &Config) -> Result<RuleSet, ConfigError> {
    let set = read_rules(config, SystemClock.now())?;
    for warning in config.warnings.iter().chain(&set.warnings) {
        tracing::warn!("{warning}");
    }
    Ok(set)
}
