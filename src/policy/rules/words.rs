//! Rules in the words of a rule file.

use std::fmt;

use super::{Floor, Level, MxPattern, NameMatch, Pattern, Route, SenderScope, ServerName};

impl fmt::Display for Pattern {
    /// As `domains` and `mx` have it; an MX pattern says that it is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(destination) => destination.fmt(f),
            Self::Suffix(parent) => write!(f, ".{parent}"),
            Self::Mx(pattern) => write!(f, "mx {pattern}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

impl fmt::Display for SenderScope {
    /// As `senders` has it; `*` is everybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(domain) => domain.fmt(f),
            Self::Suffix(parent) => write!(f, ".{parent}"),
            Self::Anyone => f.write_str("*"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::May => "may",
            Self::Encrypt => "encrypt",
            Self::Standard(Floor::May) => "standard (floor may)",
            Self::Standard(Floor::Encrypt) => "standard (floor encrypt)",
            Self::DaneOnly => "dane-only",
            Self::Secure { .. } => "secure",
            Self::Fingerprint(_) => "fingerprint",
        })
    }
}

impl Floor {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::May => "may",
            Self::Encrypt => "encrypt",
        }
    }
}

impl fmt::Display for NameMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nexthop => f.write_str("nexthop"),
            Self::DotNexthop => f.write_str("dot-nexthop"),
            Self::Hostname => f.write_str("hostname"),
            Self::MtaSts => f.write_str("mta-sts"),
            Self::Name(name) => name.fmt(f),
            Self::Below(name) => write!(f, ".{name}"),
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname => f.write_str("hostname"),
            Self::Nexthop => f.write_str("nexthop"),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
