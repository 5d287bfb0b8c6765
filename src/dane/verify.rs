//! A chain held against the records.

use std::fmt;

use rustls::pki_types::CertificateDer;

use super::anchor::Authorities;
use super::mismatch::{Evidence, Mismatch, MismatchKind, Why};
use super::presented::Presented;
use super::{Brief, TlsaSet};
use crate::dns::Tlsa;
use crate::name::Host;
use crate::time::UnixTime;
use crate::x509;

/// A record that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The record.
    pub tlsa: Tlsa,
    /// Which certificate of the chain it is, 0 the server's own; none where the record itself brought
    /// the authority.
    pub depth: Option<usize>,
}

impl fmt::Display for Match {
    /// Such as `3 1 1 8cb0d4a2..`: for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Brief(&self.tlsa).fmt(f)
    }
}

/// Judges a chain, the server's own certificate first. `names` are the reference identifiers that a
/// certificate below an authority (usage 2) has to be for one of: the base domain, and where the MX
/// records are proven the next-hop domain (RFC 7672 §3.2.2).
pub fn verify(
    set: &TlsaSet,
    names: &[Host],
    chain: &[CertificateDer<'static>],
    now: UnixTime,
) -> Result<Match, Mismatch> {
    let issuers = x509::issuers(chain);
    let chain = Presented::chain(chain);
    if let Some(found) = end_entity(set, &chain) {
        return Ok(found);
    }
    let mut authorities = Authorities::new(names, &chain, issuers, now);
    let mut evidence = Vec::new();
    for record in set.records() {
        let tlsa = &record.tlsa;
        let why = match record.usability {
            Err(unusable) => Why::Unusable(unusable),
            Ok(()) if chain.is_empty() => Why::Mismatch(nothing_shown()),
            Ok(()) if tlsa.usage == 2 => match authorities.judge(tlsa) {
                Ok(depth) => return Ok(found(tlsa, depth)),
                Err(kind) => Why::Mismatch(kind),
            },
            Ok(()) => Why::Mismatch(MismatchKind::NoMatch),
        };
        evidence.push(Evidence {
            tlsa: tlsa.clone(),
            why,
        });
    }
    Err(Mismatch::new(evidence))
}

/// RFC 7671 §5.1: usage 3 is about the server's own certificate, whatever name, date or issuer it has.
fn end_entity(set: &TlsaSet, chain: &[Presented<'_>]) -> Option<Match> {
    let leaf = chain.first()?;
    let mut records = set.usable().filter(|tlsa| tlsa.usage == 3);
    records
        .find(|tlsa| leaf.is(tlsa))
        .map(|tlsa| found(tlsa, Some(0)))
}

fn found(tlsa: &Tlsa, depth: Option<usize>) -> Match {
    let tlsa = tlsa.clone();
    Match { tlsa, depth }
}

fn nothing_shown() -> MismatchKind {
    MismatchKind::Invalid("the server sent no certificate".to_owned())
}
