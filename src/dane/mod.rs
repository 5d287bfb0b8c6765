//! DANE: a domain says in DNS, proven by DNSSEC, which certificates its mail servers show.
//!
//! The records are of type TLSA, below the host's name: `_25._tcp.mx.example`. Each is four fields
//! (RFC 6698 §2.1). *Usage* tells what it speaks of: 3 (DANE-EE) is the server's own certificate, and
//! whoever has its key is the server, whatever else the certificate says; 2 (DANE-TA) is an authority,
//! from which a valid chain has to lead to a certificate for the right name. *Selector* tells whether the
//! whole certificate is meant or its key alone, *matching type* how that is given. Any one record that
//! matches is enough, so a domain can announce the next key before it uses it.
//!
//! SMTP takes its own path through the options (RFC 7672), where usages 0 and 1 do not exist. A record
//! that nobody can use is *unusable*: it matches nothing and demands nothing; but it still means that the
//! domain speaks TLS. This module tells the usable records from the others ([`TlsaSet`]) and holds a
//! chain against them ([`verify`]).
//!
//! It promises that nothing is taken from a record that DNSSEC has not proven, and that hostile chains
//! cost little. It asks no name server, and the handshake signature, without which any certificate
//! proves nothing, is verified elsewhere.

mod anchor;
mod mismatch;
mod names;
mod presented;
mod verify;

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use crate::dns::{Secure, Tlsa};
use crate::name::Host;
use crate::x509;

pub use mismatch::{Evidence, Mismatch, MismatchKind, Why};
pub use verify::{Match, explain, verify};

/// How many records of a set are looked at; those behind them match nothing.
const MAX_RECORDS: usize = 100;

/// The TLSA `RRset` of one base domain and port, each record judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsaSet {
    base: Host,
    port: u16,
    records: Vec<Record>,
}

/// A TLSA record, and whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The record.
    pub tlsa: Tlsa,
    /// Nothing, or why it cannot be used.
    pub usability: Result<(), Unusable>,
}

/// Why a record cannot be used. It matches nothing; but where a set has no other records, TLS is still
/// owed (RFC 7672 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unusable {
    /// RFC 7672 §3.1.3: usages 0 and 1 are not for SMTP; all others but 2 and 3 are unknown.
    #[error("certificate usage {0} is not for SMTP")]
    Usage(u8),
    /// Neither 0 nor 1.
    #[error("selector {0} is unknown")]
    Selector(u8),
    /// None of 0, 1 and 2.
    #[error("matching type {0} is unknown")]
    Matching(u8),
    /// The digest does not have the length of its algorithm.
    #[error("the digest has {found} octets instead of {wanted}")]
    Length {
        /// Of SHA-256 or SHA-512.
        wanted: usize,
        /// Of the record.
        found: usize,
    },
    /// Matching type 0, and the data is no certificate or no key.
    #[error("the data is no certificate or key in DER")]
    NotDer,
    /// RFC 7671 §9: there is a stronger digest for this usage and selector.
    #[error("a stronger digest stands beside it")]
    Weaker,
}

impl TlsaSet {
    /// Judges the records of `base` and `port`. A record that is there twice counts once, and their order
    /// is their own: name servers give them in another one each time, and words about them shall not vary.
    pub fn new(base: Host, port: u16, records: Secure<Vec<Tlsa>>) -> Self {
        let records: BTreeSet<Tlsa> = records.into_inner().into_iter().collect();
        let mut records: Vec<Record> = records
            .into_iter()
            .take(MAX_RECORDS)
            .map(Record::new)
            .collect();
        drop_weaker(&mut records);
        Self {
            base,
            port,
            records,
        }
    }

    /// The base domain (RFC 7672 §2.2.3): the host that the records are of.
    pub fn base(&self) -> &Host {
        &self.base
    }

    /// The name that has the records, such as `_25._tcp.mx.example` (RFC 6698 §3).
    pub fn owner(&self) -> String {
        format!("_{}._tcp.{}", self.port, self.base)
    }

    /// Whether at least one record can be used.
    pub fn is_usable(&self) -> bool {
        self.usable().next().is_some()
    }

    /// The records, each once, and at most 100.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    fn usable(&self) -> impl Iterator<Item = &Tlsa> {
        let usable = self
            .records
            .iter()
            .filter(|record| record.usability.is_ok());
        usable.map(|record| &record.tlsa)
    }
}

impl Record {
    fn new(tlsa: Tlsa) -> Self {
        let usability = usability(&tlsa);
        Self { tlsa, usability }
    }

    /// Usage and selector of a usable digest.
    fn digest(&self) -> Option<(u8, u8)> {
        let is_digest = self.usability.is_ok() && self.tlsa.matching != 0;
        is_digest.then_some((self.tlsa.usage, self.tlsa.selector))
    }
}

/// Judges a record by itself.
fn usability(tlsa: &Tlsa) -> Result<(), Unusable> {
    if !matches!(tlsa.usage, 2 | 3) {
        return Err(Unusable::Usage(tlsa.usage));
    }
    let is_readable = match tlsa.selector {
        0 => x509::is_certificate,
        1 => x509::is_public_key,
        unknown => return Err(Unusable::Selector(unknown)),
    };
    match tlsa.matching {
        0 if is_readable(&tlsa.data) => Ok(()),
        0 => Err(Unusable::NotDer),
        1 => of_length(32, tlsa),
        2 => of_length(64, tlsa),
        unknown => Err(Unusable::Matching(unknown)),
    }
}

fn of_length(wanted: usize, tlsa: &Tlsa) -> Result<(), Unusable> {
    let found = tlsa.data.len();
    if found == wanted {
        Ok(())
    } else {
        Err(Unusable::Length { wanted, found })
    }
}

/// RFC 7671 §9: of each usage and selector only the strongest digest counts, and matching type 0
/// besides. A digest that cannot be used weakens nothing.
fn drop_weaker(records: &mut [Record]) {
    let strong: HashSet<(u8, u8)> = records
        .iter()
        .filter(|record| record.tlsa.matching == 2)
        .filter_map(Record::digest)
        .collect();
    let weak = records
        .iter_mut()
        .filter(|record| record.tlsa.matching == 1);
    for record in weak {
        if record.digest().is_some_and(|kind| strong.contains(&kind)) {
            record.usability = Err(Unusable::Weaker);
        }
    }
}

/// A record for a log field or a reply: `3 1 1` and the first octets of the data.
struct Brief<'a>(&'a Tlsa);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tlsa {
            usage,
            selector,
            matching,
            data,
        } = self.0;
        write!(f, "{usage} {selector} {matching} ")?;
        let shown = data.iter().take(8);
        shown
            .into_iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(if data.len() > 8 { ".." } else { "" })
    }
}

#[cfg(test)]
mod tests;
