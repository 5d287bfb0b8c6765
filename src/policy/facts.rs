//! What is known about a destination before the first connection.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::dane::TlsaSet;
use crate::dns::{LookupError, Security};
use crate::mtasts::record::NoRecord;
use crate::mtasts::{FetchError, Fetched};
use crate::name::{Destination, Host, MailHost};
use crate::policy::downgrade::Known;

/// Everything the decision needs to know about one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The domain or literal that the hosts were looked up for: the recipient's, or a rule's route.
    pub next_hop: Destination,
    /// The name at the end of its CNAMEs, where it is an alias.
    pub expanded: Option<Host>,
    /// Whether the MX records, or their absence, are proven. An operator's route needs no proof.
    pub security: Security,
    /// The hosts that take its mail.
    pub hosts: Hosts,
    /// The MTA-STS policy of the next hop (RFC 8461).
    pub mta_sts: MtaSts,
}

impl Facts {
    /// Whether something about it could not be found out.
    pub fn have_failed(&self) -> bool {
        let hosts_have = match &self.hosts {
            Hosts::LookupFailed(_) => true,
            Hosts::Known(hosts) => hosts.iter().any(HostFacts::have_failed),
            Hosts::NullMx | Hosts::NoSuchDomain | Hosts::NoneUsable => false,
        };
        hosts_have
            || matches!(
                self.mta_sts,
                MtaSts::Unknown(_) | MtaSts::Absent(NoMtaSts::FetchFailed(_))
            )
    }

    /// Whether the MX records are proven, for people. A look-up that came to nothing is neither secure nor insecure.
    pub fn mx_security(&self) -> String {
        match (&self.hosts, self.security) {
            (Hosts::LookupFailed(error), _) => format!("unknown: {error}"),
            (_, Security::Secure) => "secure".to_owned(),
            (_, Security::Insecure) => "insecure".to_owned(),
        }
    }

    /// Which `mx` of the MTA-STS policy names a host, for people; none where there is no policy.
    pub fn named_by_mta_sts(&self, host: &MailHost) -> Option<String> {
        let MtaSts::Policy(fetched) = &self.mta_sts else {
            return None;
        };
        let mut patterns = fetched.policy.mx.iter();
        let found = host
            .name()
            .and_then(|name| patterns.find(|pattern| pattern.covers(name)));
        Some(match found {
            Some(pattern) => format!("named by mx: {pattern}"),
            None => "not named by the policy".to_owned(),
        })
    }
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
    /// What it has shown before; none where it never had TLS, or where nobody can tell.
    pub known: Option<Known>,
}

impl HostFacts {
    fn have_failed(&self) -> bool {
        matches!(self.addresses, Addresses::LookupFailed(_))
            || matches!(self.dane, Dane::LookupFailed { .. })
    }
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dane {
    /// Nothing to verify against, and why.
    Absent(NoDane),
    /// Proven TLSA records; whether any can be used they know themselves.
    Published(Arc<TlsaSet>),
    /// Whether there are any is not known, so that the host must not be used (RFC 7672 §2.1.2).
    LookupFailed {
        /// What was asked for, such as `TLSA of _25._tcp.mx.example`.
        question: String,
        /// How it failed.
        error: LookupError,
    },
}

/// Why a host has no DANE facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDane {
    /// The rule does not ask for them.
    NotAsked,
    /// It is dialled by its address, without a name.
    NoName,
    /// There is no DNSSEC at present: switched off, or no name server knows it.
    NoDnssec,
    /// It has no address.
    NoAddress,
    /// The MX records are not signed, and the rule insists on it.
    InsecureMx,
    /// Its address records are not signed, so that its TLSA records cannot be either.
    InsecureHost,
    /// It has no TLSA records, or none that are signed.
    NoRecords,
    /// It has TLSA records, and none that can be used.
    NoneUsable,
}

impl fmt::Display for NoDane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => "the rule does not ask for it",
            Self::NoName => "an address has no TLSA records",
            Self::NoDnssec => "there is no DNSSEC here",
            Self::NoAddress => "the host has no address",
            Self::InsecureMx => "the MX records are not signed with DNSSEC",
            Self::InsecureHost => "the host is not signed with DNSSEC",
            Self::NoRecords => "there are no signed TLSA records",
            Self::NoneUsable => "none of the TLSA records is usable",
        })
    }
}

/// The MTA-STS facts of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MtaSts {
    /// A policy that has not expired, in mode `enforce` or `testing`.
    Policy(Arc<Fetched>),
    /// No policy, and why.
    Absent(NoMtaSts),
    /// Nobody knows whether there is one.
    Unknown(Unknown),
}

impl fmt::Display for MtaSts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(fetched) => write!(f, "policy in mode {}", fetched.policy.mode.word()),
            Self::Absent(why) => write!(f, "none: {why}"),
            Self::Unknown(Unknown::Record(error)) => {
                write!(f, "unknown, the look-up failed: {error}")
            }
            Self::Unknown(Unknown::Store(error)) => {
                write!(f, "unknown, what is remembered cannot be read: {error}")
            }
        }
    }
}

/// Why nobody knows whether a domain has an MTA-STS policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// None is remembered, and the record cannot be looked up.
    Record(LookupError),
    /// The domain has no policy to be fetched, and what is remembered cannot be read.
    Store(String),
}

/// Why a domain has no MTA-STS policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMtaSts {
    /// The rule does not ask for it, or the configuration switches MTA-STS off.
    NotAsked,
    /// An address literal has no policy domain.
    NoDomain,
    /// There is no record, or none that is valid (RFC 8461 §3.1).
    NoRecord(NoRecord),
    /// There is a record, and the policy cannot be had (RFC 8461 §3.3: as if there were none).
    FetchFailed(FetchError),
    /// Its policy says that it has none any more (RFC 8461 §8.3).
    ModeNone,
}

impl fmt::Display for NoMtaSts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("nobody asks for it"),
            Self::NoDomain => f.write_str("an address has no policy"),
            Self::NoRecord(why) => why.fmt(f),
            Self::ModeNone => f.write_str("the policy is withdrawn (mode none)"),
            Self::FetchFailed(error) => write!(f, "the policy cannot be fetched: {error}"),
        }
    }
}
