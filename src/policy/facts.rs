//! What is known about a destination before the first connection.

use std::net::IpAddr;

use crate::dns::LookupError;
use crate::name::{Destination, MailHost};

/// Everything the decision needs to know about one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The domain or literal that the hosts were looked up for: the recipient's, or a rule's route.
    pub next_hop: Destination,
    /// The hosts that take its mail.
    pub hosts: Hosts,
    /// The MTA-STS policy of the recipient domain (RFC 8461).
    pub mta_sts: MtaSts,
}

/// The hosts of a next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// In order of preference, equals in the order of the answer.
    Known(Vec<HostFacts>),
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
    /// The domain does not exist.
    NoSuchDomain,
    /// There are MX records, and none of them names a host that could exist.
    NoneUsable,
    /// The MX look-up failed: nothing is known.
    LookupFailed(LookupError),
}

/// What is known about one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The host, by the name that the MX record has (never its CNAME target).
    pub host: MailHost,
    /// The preference of its MX record; 0 for an implicit MX, a literal and a route.
    pub preference: u16,
    /// Where it can be dialled.
    pub addresses: Addresses,
    /// Its TLSA records (RFC 7672).
    pub dane: Dane,
}

/// The addresses of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// At least one, in the order in which the families are to be tried.
    Known(Vec<IpAddr>),
    /// The name has no address.
    None,
    /// No address is known because the look-ups failed.
    LookupFailed(LookupError),
}

/// The DANE facts of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dane {
    /// Nothing to verify against, and why.
    Absent(NoDane),
}

/// Why a host has no DANE facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDane {
    /// This version of waxseal does not look up TLSA records.
    NotLookedUp,
}

/// The MTA-STS facts of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MtaSts {
    /// No policy, and why.
    Absent(NoMtaSts),
}

/// Why a domain has no MTA-STS policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMtaSts {
    /// This version of waxseal does not discover MTA-STS policies.
    NotLookedUp,
}
