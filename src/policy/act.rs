//! What somebody did to a waxseal: the other half of what an audit log has to tell.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::name::{Domain, Host};
use crate::policy::handshake::Fingerprint;
use crate::policy::rules::{Pattern, Rule, Rules, SenderScope};

/// One administrative act.
#[derive(Debug, Clone)]
pub struct Act {
    /// Who did it.
    pub by: Actor,
    /// What.
    pub deed: Deed,
    /// What came of it, for people.
    pub result: Result<String, String>,
    /// What is in force from then on; none where nothing has changed.
    pub in_force: Option<Configured>,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever started the process, or it itself.
    Process,
    /// Whoever may send it a signal.
    Signal(&'static str),
    /// A client of the admin endpoint.
    Client(IpAddr),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("process"),
            Self::Signal(name) => f.write_str(name),
            Self::Client(address) => address.to_canonical().fmt(f),
        }
    }
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The process begins to serve.
    Start,
    /// It stops.
    Stop,
    /// Configuration and rules are read again.
    Reload,
    /// The MTA-STS policy of a domain is fetched now.
    RefreshPolicy(Domain),
    /// It is forgotten.
    ForgetPolicy(Domain),
    /// What an MX host has shown is forgotten.
    ForgetHost(Host),
    /// A rule is added; the reload that follows tells which.
    AddRule,
    /// Rules that were added expire; the reload that follows tells which.
    ExpireRule,
}

impl Deed {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::RefreshPolicy(_) => "policy-refresh",
            Self::ForgetPolicy(_) => "policy-forget",
            Self::ForgetHost(_) => "host-forget",
            Self::AddRule => "rule-add",
            Self::ExpireRule => "rule-expire",
        }
    }

    /// Which policy domain it is about.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::RefreshPolicy(domain) | Self::ForgetPolicy(domain) => Some(domain),
            _ => None,
        }
    }

    /// Which host it is about.
    pub fn host(&self) -> Option<&Host> {
        match self {
            Self::ForgetHost(host) => Some(host),
            _ => None,
        }
    }
}

/// What a gate was read from: the digests that `sha256sum` gives of the same octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The configuration file; none where the defaults are in force.
    pub config: Option<Fingerprint>,
    /// The rule files, one behind the other in name order.
    pub rules: Fingerprint,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// What it was read from.
    pub written: Written,
    /// How many rules.
    pub rules: usize,
    /// What has changed since, by place and level.
    pub change: Change,
}

/// How two sets of rules differ. A rule that has changed was removed and added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Rules that are new, such as `50-partners.toml:3 secure`.
    pub added: Vec<String>,
    /// Rules that are gone.
    pub removed: Vec<String>,
}

impl Change {
    /// From one set to the other. Where a rule stands does not matter.
    pub fn between(old: &Rules, new: &Rules) -> Self {
        Self {
            added: beyond(new, old),
            removed: beyond(old, new),
        }
    }
}

/// The rules of `set` that `other` does not have.
fn beyond(set: &Rules, other: &Rules) -> Vec<String> {
    let known: HashMap<_, &Rule> = other.iter().map(|rule| (rank(rule), rule)).collect();
    let is_known = |rule: &&Rule| {
        let twin = known.get(&rank(rule));
        twin.is_some_and(|twin| is_same(rule, twin))
    };
    set.iter()
        .filter(|rule| !is_known(rule))
        .map(|rule| format!("{} {}", rule.origin, rule.level))
        .collect()
}

/// What no two rules of a set have in common.
fn rank(rule: &Rule) -> (&Pattern, &SenderScope) {
    (&rule.pattern, &rule.sender)
}

fn is_same(one: &Rule, other: &Rule) -> bool {
    let elsewhere = Rule {
        origin: other.origin.clone(),
        ..one.clone()
    };
    elsewhere == *other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::handshake::TlsVersion;
    use crate::policy::requirement::Mode;
    use crate::policy::rules::{Hits, Level, MtaStsUse, Origin, ServerName};
    use crate::time::UnixTime;

    fn rule(domain: &str, level: Level, line: usize) -> Rule {
        Rule {
            pattern: Pattern::Exact(domain.parse().unwrap()),
            sender: SenderScope::Anyone,
            level,
            min_version: TlsVersion::Tls12,
            mta_sts: MtaStsUse::default(),
            server_name: ServerName::default(),
            route: None,
            mode: Mode::Enforce,
            reason: None,
            expires: None,
            origin: Origin {
                file: "a.toml".into(),
                line,
            },
            hits: Hits::default(),
        }
    }

    #[test]
    fn a_rule_that_only_moved_has_not_changed() {
        let old = Rules::new(
            vec![
                rule("stays.example", Level::Encrypt, 1),
                rule("changes.example", Level::May, 4),
                rule("goes.example", Level::None, 7),
            ],
            UnixTime(0),
        );
        let new = Rules::new(
            vec![
                rule("comes.example", Level::DaneOnly, 1),
                rule("stays.example", Level::Encrypt, 4),
                rule("changes.example", Level::Encrypt, 7),
            ],
            UnixTime(0),
        );
        let change = Change::between(&old.unwrap(), &new.unwrap());
        assert_eq!(change.added, ["a.toml:1 dane-only", "a.toml:7 encrypt"]);
        assert_eq!(change.removed, ["a.toml:4 may", "a.toml:7 none"]);
    }

    #[test]
    fn a_client_is_named_by_its_address() {
        let client = |address: &str| Actor::Client(address.parse().unwrap()).to_string();
        assert_eq!(client("::ffff:127.0.0.1"), "127.0.0.1");
        assert_eq!(client("2001:db8::1"), "2001:db8::1");
    }
}
