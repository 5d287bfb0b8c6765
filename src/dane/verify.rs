//! A chain held against the records.

use std::fmt;

use rustls::pki_types::CertificateDer;

use super::anchor::Authorities;
use super::mismatch::{Evidence, Mismatch, MismatchKind, Why};
use super::presented::Presented;
use super::{Brief, Record, TlsaSet};
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

impl Match {
    /// Which certificate matched, for people.
    pub fn place(&self) -> String {
        match self.depth {
            Some(depth) => format!("certificate {depth}"),
            None => "the authority that the record brings".to_owned(),
        }
    }
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
        match judge(record, &chain, &mut authorities) {
            Ok(found) => return Ok(found),
            Err(why) => evidence.push(Evidence {
                tlsa: record.tlsa.clone(),
                why,
            }),
        }
    }
    Err(Mismatch::new(evidence))
}

/// Each record with what came of it, also those that [`verify`] passes over because another one matched:
/// for a report, which nobody waits for.
pub fn explain(
    set: &TlsaSet,
    names: &[Host],
    chain: &[CertificateDer<'static>],
    now: UnixTime,
) -> Vec<(Tlsa, Result<Match, Why>)> {
    let issuers = x509::issuers(chain);
    let chain = Presented::chain(chain);
    let mut authorities = Authorities::new(names, &chain, issuers, now);
    set.records()
        .iter()
        .map(|record| {
            let verdict = judge(record, &chain, &mut authorities);
            (record.tlsa.clone(), verdict)
        })
        .collect()
}

/// Holds the chain against one record.
fn judge(
    record: &Record,
    chain: &[Presented<'_>],
    authorities: &mut Authorities<'_>,
) -> Result<Match, Why> {
    record.usability?;
    let tlsa = &record.tlsa;
    let Some(leaf) = chain.first() else {
        return Err(nothing_shown().into());
    };
    match tlsa.usage {
        2 => Ok(found(tlsa, authorities.judge(tlsa)?)),
        _ if leaf.is(tlsa) => Ok(found(tlsa, Some(0))),
        _ => Err(MismatchKind::NoMatch.into()),
    }
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
