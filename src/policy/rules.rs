//! The operator's rules: which one is in force for a destination and a sender.
//!
//! The most specific pattern wins, in whichever file it stands: the exact domain (or literal), the
//! longest `.suffix`, an MX pattern, `*`. Of rules with the same pattern the one that names the sender
//! most closely wins, and one that names another sender is as good as absent. An expired rule is
//! ignored. Two rules of the same rank that have not expired are refused when the set is built.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::name::{Destination, Domain, Host};
use crate::policy::handshake::{Fingerprint, TlsVersion};
use crate::policy::requirement::{Mode, Roots};
use crate::time::UnixTime;

mod hits;
mod words;

pub use hits::Hits;

/// One rule, for one pattern and one sender scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Whose mail.
    pub pattern: Pattern,
    /// From whom.
    pub sender: SenderScope,
    /// What is asked.
    pub level: Level,
    /// The least TLS version.
    pub min_version: TlsVersion,
    /// Whether the domain's MTA-STS policy counts.
    pub mta_sts: MtaStsUse,
    /// The name for SNI.
    pub server_name: ServerName,
    /// Where to send instead of the MX.
    pub route: Option<Route>,
    /// Block or only tell.
    pub mode: Mode,
    /// Why the rule is there, in the operator's words.
    pub reason: Option<String>,
    /// From when on it is ignored.
    pub expires: Option<UnixTime>,
    /// Where it stands.
    pub origin: Origin,
    /// How often it was in force.
    pub hits: Hits,
}

/// File and line of a rule.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file's name without its folder.
    pub file: Arc<str>,
    /// The line of its `[[rule]]`, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whose mail a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This domain or literal.
    Exact(Destination),
    /// Every domain below this one, not the domain itself.
    Suffix(Domain),
    /// Every domain that has such an MX host.
    Mx(MxPattern),
    /// Everything.
    Any,
}

/// A pattern for MX host names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MxPattern {
    /// This host.
    Exact(Host),
    /// `*.name` or `.name`: any host below this name, however deep.
    Below(Host),
}

impl MxPattern {
    /// True when the pattern covers `host`.
    pub fn covers(&self, host: &Host) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(parent) => host != parent && host.is_within(parent.as_str()),
        }
    }
}

/// Whose mail, seen from the sender's side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SenderScope {
    /// This sender domain.
    Exact(Domain),
    /// Every sender domain below this one.
    Suffix(Domain),
    /// Everybody, the empty sender of bounces included.
    Anyone,
}

impl SenderScope {
    /// How closely the scope names `sender`; `None` when it does not. Greater is closer.
    fn closeness(&self, sender: Option<&Domain>) -> Option<usize> {
        match (self, sender) {
            (Self::Anyone, _) => Some(0),
            (Self::Exact(domain), Some(sender)) if domain == sender => Some(usize::MAX),
            (Self::Suffix(parent), Some(sender)) if is_below(sender, parent) => {
                Some(1 + parent.as_str().len())
            }
            _ => None,
        }
    }
}

fn is_below(name: &Domain, parent: &Domain) -> bool {
    name != parent && name.is_within(parent.as_str())
}

/// What a rule asks: the words of Postfix's `smtp_tls_security_level`, and `standard`.
#[derive(Debug, Clone, PartialEq)]
pub enum Level {
    /// Plaintext.
    None,
    /// TLS if it works.
    May,
    /// TLS with whoever answers.
    Encrypt,
    /// What the destination publishes, at least the floor.
    Standard(Floor),
    /// DANE or nothing.
    DaneOnly,
    /// A trusted chain and a matching name.
    Secure {
        /// Never empty.
        matches: Vec<NameMatch>,
        /// The trust anchors; `None` = those of the configuration.
        roots: Option<Arc<Roots>>,
    },
    /// One of these certificates or keys, never empty.
    Fingerprint(Arc<[Fingerprint]>),
}

/// The least that `standard` asks where the destination publishes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Floor {
    /// Amazon SES's "Optional".
    #[default]
    May,
    /// Amazon SES's "Require".
    Encrypt,
}

/// Whether `standard` looks at MTA-STS policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MtaStsUse {
    /// As the domain publishes it.
    #[default]
    Followed,
    /// `mta_sts = false`: as if there were none.
    Ignored,
}

/// One word of `match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameMatch {
    /// The recipient domain.
    Nexthop,
    /// Any name below the recipient domain.
    DotNexthop,
    /// The MX host.
    Hostname,
    /// The MX host, where the domain's MTA-STS policy names it.
    MtaSts,
    /// This name.
    Name(Host),
    /// Any name below this one.
    Below(Host),
}

/// The name for SNI.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerName {
    /// The host that is dialled.
    #[default]
    Hostname,
    /// The recipient domain.
    Nexthop,
    /// This name.
    Name(Host),
}

/// A host and port to use instead of the MX; the host may be an address literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The host, looked up for addresses only.
    pub host: Destination,
    /// The port.
    pub port: u16,
}

/// Two rules that could both win.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{second}: there is a rule of the same rank for the same destination and sender at {first}; remove one of them"
)]
pub struct Clash {
    /// The earlier one.
    pub first: Origin,
    /// The later one.
    pub second: Origin,
}

/// All rules, ready for look-up.
#[derive(Debug, Default)]
pub struct Rules {
    exact: HashMap<Destination, Vec<Arc<Rule>>>,
    suffix: HashMap<Domain, Vec<Arc<Rule>>>,
    mx: Vec<Arc<Rule>>,
    any: Vec<Arc<Rule>>,
    all: Vec<Arc<Rule>>,
}

impl Rules {
    /// Builds the set. Rules that have expired stand in nobody's way.
    pub fn new(rules: Vec<Rule>, now: UnixTime) -> Result<Self, Clash> {
        let mut seen: HashMap<(Pattern, SenderScope), Origin> = HashMap::new();
        let mut set = Self::default();
        for rule in rules {
            let key = (rule.pattern.clone(), rule.sender.clone());
            if !rule.has_expired(now)
                && let Some(first) = seen.insert(key, rule.origin.clone())
            {
                return Err(Clash {
                    first,
                    second: rule.origin,
                });
            }
            set.insert(Arc::new(rule));
        }
        Ok(set)
    }

    fn insert(&mut self, rule: Arc<Rule>) {
        self.all.push(Arc::clone(&rule));
        match &rule.pattern {
            Pattern::Exact(name) => self.exact.entry(name.clone()).or_default().push(rule),
            Pattern::Suffix(parent) => self.suffix.entry(parent.clone()).or_default().push(rule),
            Pattern::Mx(_) => self.mx.push(rule),
            Pattern::Any => self.any.push(rule),
        }
    }

    /// All rules in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.all.iter().map(Arc::as_ref)
    }

    /// True where the choice may depend on the MX hosts of the destination.
    pub fn know_mx_patterns(&self) -> bool {
        !self.mx.is_empty()
    }

    /// The rule for the recipient domain itself: exact, then the longest suffix.
    pub fn for_domain(&self, query: &Query<'_>) -> Option<&Arc<Rule>> {
        if let Some(rule) = self
            .exact
            .get(query.destination)
            .and_then(|rules| closest(rules, query))
        {
            return Some(rule);
        }
        let mut name = query.destination.domain()?.as_str();
        while let Some((_, parent)) = name.split_once('.') {
            let key = parent.parse::<Domain>().ok()?;
            if let Some(rule) = self
                .suffix
                .get(&key)
                .and_then(|rules| closest(rules, query))
            {
                return Some(rule);
            }
            name = parent;
        }
        None
    }

    /// The rule for a domain with these MX hosts. Patterns of the same rank can cover different hosts of one
    /// domain; then the rule that asks most wins, for all of them.
    pub fn for_mx(&self, hosts: &[&Host], query: &Query<'_>) -> Option<&Arc<Rule>> {
        self.mx
            .iter()
            .filter(|rule| !rule.has_expired(query.now))
            .filter(|rule| match &rule.pattern {
                Pattern::Mx(pattern) => hosts.iter().any(|host| pattern.covers(host)),
                _ => false,
            })
            .filter_map(|rule| {
                let closeness = rule.sender.closeness(query.sender)?;
                Some(((mx_rank(&rule.pattern), closeness, rule.strength()), rule))
            })
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, rule)| rule)
    }

    /// The rule for everything else.
    pub fn for_anything(&self, query: &Query<'_>) -> Option<&Arc<Rule>> {
        closest(&self.any, query)
    }
}

/// What a rule is looked up for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The recipient's domain or literal.
    pub destination: &'a Destination,
    /// The sender's domain; `None` for bounces and literals.
    pub sender: Option<&'a Domain>,
    /// For rules that expire.
    pub now: UnixTime,
}

impl Rule {
    /// How much a rule asks, to compare rules of the same rank: what is enforced beats what is observed.
    fn strength(&self) -> (Mode, u8) {
        let level = match self.level {
            Level::None => 0,
            Level::May | Level::Standard(Floor::May) => 1,
            Level::Encrypt => 2,
            Level::Standard(Floor::Encrypt) => 3,
            Level::Secure { .. } => 4,
            Level::DaneOnly => 5,
            Level::Fingerprint(_) => 6,
        };
        (self.mode, level)
    }

    /// Whether the rule has to know the TLSA records of the hosts.
    pub fn follows_dane(&self) -> bool {
        matches!(self.level, Level::Standard(_) | Level::DaneOnly)
    }

    /// Whether the rule has to know the MTA-STS policy of the domain.
    pub fn follows_mta_sts(&self) -> bool {
        match &self.level {
            Level::Standard(_) => self.mta_sts == MtaStsUse::Followed,
            Level::Secure { matches, .. } => matches.contains(&NameMatch::MtaSts),
            _ => false,
        }
    }

    /// True when the rule's day has come.
    pub fn has_expired(&self, now: UnixTime) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

fn closest<'r>(rules: &'r [Arc<Rule>], query: &Query<'_>) -> Option<&'r Arc<Rule>> {
    rules
        .iter()
        .filter(|rule| !rule.has_expired(query.now))
        .filter_map(|rule| Some((rule.sender.closeness(query.sender)?, rule)))
        .max_by_key(|(closeness, _)| *closeness)
        .map(|(_, rule)| rule)
}

fn mx_rank(pattern: &Pattern) -> usize {
    match pattern {
        Pattern::Mx(MxPattern::Exact(_)) => usize::MAX,
        Pattern::Mx(MxPattern::Below(parent)) => parent.as_str().len(),
        _ => 0,
    }
}
