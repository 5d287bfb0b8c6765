//! Deliver, defer or refuse.

use std::net::IpAddr;
use std::sync::Arc;

use crate::name::MailHost;
use crate::policy::failure::Failure;
use crate::policy::requirement::Requirement;

/// What is to be done with a message for one destination.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Try these hosts.
    Deliver(Plan),
    /// Do not dial. [`Failure::reply`] tells whether the MTA may try again.
    Stop {
        /// Why.
        failure: Failure,
        /// Whose word it was.
        policy: Policy,
    },
}

/// The hosts of a destination and what each must prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In order of preference; equals may be tried in any order (RFC 5321 §5.1).
    pub candidates: Vec<Candidate>,
    /// The port to dial.
    pub port: u16,
}

/// One host of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The host.
    pub host: MailHost,
    /// Its preference: lower is tried first.
    pub preference: u16,
    /// Whose word decides about it.
    pub policy: Policy,
    /// How to reach it, or why it must not be tried.
    pub way: Result<Way, Failure>,
}

/// How to reach a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Its addresses, never empty.
    pub addresses: Vec<IpAddr>,
    /// What it must prove.
    pub requirement: Arc<Requirement>,
}

/// Whose word decided. The `policy` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The operator's rule.
    Rule,
    /// The TLSA records of the host, or that they cannot be looked up (RFC 7672).
    Dane,
    /// The MTA-STS policy of the domain, or that nobody knows whether it has one (RFC 8461).
    MtaSts,
    /// Nobody demanded anything: TLS if it works.
    Opportunistic,
}

impl Policy {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::Rule, Self::Dane, Self::MtaSts, Self::Opportunistic];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Dane => "dane",
            Self::MtaSts => "mta-sts",
            Self::Opportunistic => "opportunistic",
        }
    }
}
