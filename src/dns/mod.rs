//! What a sender asks of DNS, and what it may be told: vocabulary, no socket.
//!
//! Mail for a domain goes to the hosts of its MX records, the lowest preference first (RFC 5321
//! §5.1). Four endings of a look-up must never be mixed up. There are records, or there certainly are
//! none, and either answer is *secure*, proven by a chain of DNSSEC signatures from the root, or
//! *insecure*, from a part of the tree that is provably not signed (RFC 4035 §4.3). Or the look-up came
//! to nothing: the answer is *bogus*, forged or broken, or there is none. A failure is not an absence:
//! whoever could make one look-up fail could otherwise turn every policy off. So absence is an
//! [`Answer`], and failure an error that the caller has to turn into a delay.
//!
//! What only a proven answer may decide takes a [`Secure`], which only a secure answer makes.
//!
//! This module promises the types; `net::resolver` keeps the promise with sockets.

use std::fmt;
use std::net::IpAddr;

use futures_util::future::BoxFuture;

use crate::name::{Domain, Host};

/// What a name server said about one name and type, CNAMEs followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// Whether it is proven: every CNAME on the way, and the records or their absence.
    pub security: Security,
    /// The name at the end of the chain of CNAMEs; none where the name asked for is no alias.
    pub expanded: Option<Host>,
    /// The records, or that there are none.
    pub found: Found<T>,
}

/// Records, or the certainty that there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// At least one record.
    Records(Vec<T>),
    /// The name exists and has no record of this type (RFC 2308 §2.2).
    NoData,
    /// The name does not exist (RFC 2308 §2.1).
    NxDomain,
}

/// Whether an answer is proven (RFC 4035 §4.3). Bogus and indeterminate answers are no answers here, but
/// a [`LookupError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// Provably not signed, or nobody has looked: it may be forged.
    Insecure,
    /// Signed, and the signatures lead to a trust anchor.
    Secure,
}

/// A value that DNSSEC proves. [`Answer::secure`] is its only maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secure<T>(T);

impl<T> Secure<T> {
    /// The value, which is no longer marked as proven.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Answer<T> {
    /// The records, if there are any and they are proven.
    pub fn secure(self) -> Option<Secure<Vec<T>>> {
        match (self.security, self.found) {
            (Security::Secure, Found::Records(records)) => Some(Secure(records)),
            _ => None,
        }
    }
}

/// One TLSA record as it came (RFC 6698 §2.1); `dane` tells whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tlsa {
    /// What the record speaks of: 2 is an issuer (DANE-TA), 3 the server itself (DANE-EE).
    pub usage: u8,
    /// Which part of the certificate: 0 all of it, 1 its public key.
    pub selector: u8,
    /// How it is given: 0 as it is, 1 as SHA-256, 2 as SHA-512.
    pub matching: u8,
    /// The certificate association data.
    pub data: Vec<u8>,
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

/// Whether an answer from the resolver's cache will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It will.
    Cached,
    /// The name servers are asked, and what they say replaces the cached answer.
    Fresh,
}

/// The look-up failed: nothing is known, and the mail has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LookupError {
    /// Signatures are missing, wrong or expired where there have to be good ones.
    #[error("DNSSEC validation failed (bogus)")]
    Bogus,
    /// SERVFAIL: the resolver could not find out.
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
    /// DANE is required, and no name server proves its answers.
    #[error("[dns] dane = \"required\", and no name server gives DNSSEC-validated answers")]
    NoDnssec,
}

impl LookupError {
    /// Whether the answer, or the name server, lacks a proof: not the network, but somebody's policy
    /// stands in the way.
    pub fn is_about_dnssec(self) -> bool {
        matches!(self, Self::Bogus | Self::NoDnssec)
    }
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

    /// The TLSA records of the service at a TCP port of `base` (RFC 6698 §3).
    fn tlsa<'a>(
        &'a self,
        base: &'a Host,
        port: u16,
    ) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>>;

    /// The TXT records at a name such as `_mta-sts.example.com`: the strings of each record joined without a
    /// separator, as RFC 8461 §3.1 and RFC 7208 §3.3 have it.
    fn txt<'a>(
        &'a self,
        owner: &'a str,
        freshness: Freshness,
    ) -> BoxFuture<'a, Result<Answer<Vec<u8>>, LookupError>>;

    /// The CNAME record of a host itself, not followed.
    fn alias<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Answer<Host>, LookupError>>;

    /// Whether an answer can be secure at all; where it cannot, DANE is off.
    fn dnssec(&self) -> Dnssec;
}

/// Whether there is DNSSEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dnssec {
    /// Answers tell whether they are proven.
    Works,
    /// Every answer is insecure: the operator switched DNSSEC off, or no server knows it.
    Off,
}

impl fmt::Display for Tlsa {
    /// In presentation format (RFC 6698 §2.2), the data in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "A",
            Self::Ipv6 => "AAAA",
        })
    }
}
