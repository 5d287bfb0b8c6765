//! How much goes to an MX, or to a network of them, at one time: what a `[[destination]]` of the configuration says.
//!
//! Big providers turn away whoever opens too many connections or sends too fast (421, 451), and remember it. So a
//! limit is for everything together that its `[[destination]]` names, and the first one that names an MX counts.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::authorize::Peer;
use crate::policy::rules::MxPattern;

/// One `[[destination]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// The MX hosts and networks that it is for.
    pub names: Names,
    /// What may go there.
    pub limits: Limits,
}

/// MX hosts and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// MX hosts.
    pub hosts: Vec<MxPattern>,
    /// Networks, in which the address is that is dialled.
    pub networks: Vec<IpNet>,
}

/// What may go there; none = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Connections at one time, in use and idle together.
    pub connections: Option<usize>,
    /// Messages that begin.
    pub messages: Option<Rate>,
}

/// So many, at least one, in any such time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: usize,
    /// In how long.
    pub per: Duration,
}

/// That there was no room in time: the limit, and the first name of its `[[destination]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capped {
    /// All connections are in use.
    Connections(usize, String),
    /// All messages of this time have begun.
    Messages(Rate, String),
}

impl Names {
    /// True for an MX that is named by its host name or by its address.
    pub fn cover(&self, peer: &Peer) -> bool {
        let host = peer.host.name();
        let by_name = |pattern: &MxPattern| host.is_some_and(|host| pattern.covers(host));
        self.hosts.iter().any(by_name)
            || self.networks.iter().any(|net| net.contains(&peer.address))
    }

    fn first(&self) -> String {
        let hosts = self.hosts.iter().map(MxPattern::to_string);
        let mut names = hosts.chain(self.networks.iter().map(IpNet::to_string));
        names.next().unwrap_or_default()
    }
}

impl Cap {
    /// That no connection came free.
    pub fn has_no_connection(&self) -> Capped {
        let limit = self.limits.connections.unwrap_or(usize::MAX);
        Capped::Connections(limit, self.names.first())
    }

    /// That no message may begin yet at this `rate`.
    pub fn has_no_message(&self, rate: Rate) -> Capped {
        Capped::Messages(rate, self.names.first())
    }
}

impl Capped {
    /// The label for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connections(..) => "connection-limit",
            Self::Messages(..) => "message-limit",
        }
    }
}

impl fmt::Display for Capped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections(limit, name) => write!(
                f,
                "all connections are in use that [[destination]] {name} allows (connections = {limit}); try again later, or raise the limit"
            ),
            Self::Messages(rate, name) => write!(
                f,
                "all messages have begun that [[destination]] {name} allows (messages = \"{rate}\"); try again later, or raise the limit"
            ),
        }
    }
}

impl fmt::Display for Rate {
    /// As the configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, humantime::format_duration(self.per))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::MailHost;

    fn names(hosts: &[&str], networks: &[&str]) -> Names {
        let below = |parent: &str| MxPattern::Below(parent.parse().unwrap());
        let host = |text: &&str| match text.strip_prefix("*.") {
            Some(parent) => below(parent),
            None => MxPattern::Exact(text.parse().unwrap()),
        };
        Names {
            hosts: hosts.iter().map(host).collect(),
            networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    fn covers(names: &Names, host: &str, address: &str) -> bool {
        let address = address.parse().unwrap();
        let host = host
            .parse()
            .map_or(MailHost::Address(address), MailHost::Named);
        names.cover(&Peer { host, address })
    }

    #[test]
    fn an_mx_is_named_by_its_host_or_by_its_address() {
        let names = names(&["mx.a.example", "*.b.example"], &["192.0.2.0/24"]);
        assert!(covers(&names, "mx.a.example", "203.0.113.1"));
        assert!(covers(&names, "deep.down.b.example", "203.0.113.1"));
        assert!(covers(&names, "elsewhere.example", "192.0.2.255"));
        assert!(covers(&names, "[192.0.2.1]", "192.0.2.1"));
        assert!(!covers(&names, "b.example", "203.0.113.1"));
        assert!(!covers(&names, "x.mx.a.example", "2001:db8::1"));
    }

    #[test]
    fn what_is_told_names_the_limit_and_its_destination() {
        let rate = Rate {
            count: 100,
            per: Duration::from_mins(1),
        };
        let cap = Cap {
            names: names(&["*.b.example"], &["192.0.2.0/24"]),
            limits: Limits {
                connections: Some(20),
                messages: Some(rate),
            },
        };
        assert_eq!(
            cap.has_no_connection().to_string(),
            "all connections are in use that [[destination]] *.b.example allows (connections = 20); try again later, or raise the limit"
        );
        assert_eq!(
            cap.has_no_message(rate).to_string(),
            "all messages have begun that [[destination]] *.b.example allows (messages = \"100/1m\"); try again later, or raise the limit"
        );
    }
}
