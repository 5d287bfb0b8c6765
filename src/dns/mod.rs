//! What a sender asks of DNS, and what it may be told: vocabulary, no socket.
//!
//! Mail for a domain goes to the hosts of its MX records, the lowest preference first (RFC 5321
//! §5.1). Three endings of a look-up must never be mixed up: records, the certainty that there are
//! none, and a failure. A failure is not an absence: whoever could make one look-up fail could
//! otherwise turn every policy off. So absence is an [`Answer`], and failure an error that the caller
//! has to turn into a delay.
//!
//! This module promises the types; `net::resolver` keeps the promise with sockets.

use std::fmt;
use std::net::IpAddr;

use futures_util::future::BoxFuture;

use crate::name::{Domain, Host};

/// What a name server said about one name and type, CNAMEs followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// At least one record.
    Records(Vec<T>),
    /// The name exists and has no record of this type (RFC 2308 §2.2).
    NoData,
    /// The name does not exist (RFC 2308 §2.1).
    NxDomain,
}

/// One MX record (RFC 1035 §3.3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host.
    pub exchange: Exchange,
}

/// The host of an MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// A host to dial.
    Host(Host),
    /// The root name: "null MX", the domain takes no mail (RFC 7505 §3).
    Null,
    /// A name that no host can have, such as one with a blank in it; the record is passed over.
    Unusable,
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
}

/// The look-up failed: nothing is known, and the mail has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LookupError {
    /// SERVFAIL: the resolver could not find out, or found a bogus signature.
    #[error("SERVFAIL")]
    ServFail,
    /// REFUSED, FORMERR, NOTIMP or another code that is no answer.
    #[error("the name server refused the question")]
    Refused,
    /// No server answered in time.
    #[error("no answer in time")]
    Timeout,
    /// No server could be reached, or what came back could not be read.
    #[error("the name server cannot be reached or makes no sense")]
    Broken,
}

/// Whoever answers questions about names. A port: built once in `main.rs`, another one in tests.
pub trait Resolver: Send + Sync {
    /// The MX records of a domain.
    fn mx<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>>;

    /// The addresses of a host in one family.
    fn addresses<'a>(
        &'a self,
        host: &'a Host,
        family: Family,
    ) -> BoxFuture<'a, Result<Answer<IpAddr>, LookupError>>;
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "A",
            Self::Ipv6 => "AAAA",
        })
    }
}
