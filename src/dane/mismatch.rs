//! Why no record matched, for a reply, a log and a report.

use std::fmt;

use super::{Brief, Unusable};
use crate::dns::Tlsa;

/// How many records the words of a mismatch name, in a reply and in a log, and how many characters they spend
/// on each reason.
const SHOWN: usize = 3;
const LOGGED: usize = 20;
const REASON: usize = 55;

/// No record matched. It says of each why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(Vec<Evidence>);

/// A record that did not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The record.
    pub tlsa: Tlsa,
    /// Why not.
    pub why: Why,
}

/// Why one record did not match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It matches nothing, whatever the server shows.
    #[error("unusable: {0}")]
    Unusable(#[from] Unusable),
    /// It was held against the chain.
    #[error("{0}")]
    Mismatch(#[from] MismatchKind),
}

/// How far a chain came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MismatchKind {
    /// No certificate is the one of the record: `tlsa-invalid` in a report (RFC 8460 §4.3.2.1).
    #[error("no certificate matches")]
    NoMatch,
    /// The authority is there, and no valid chain leads from the server's certificate to it.
    #[error("not trusted: {0}")]
    NotTrusted(String),
    /// The authority is there, and a certificate cannot be read or may not be used for this.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The authority is there, and a certificate has expired or is not yet valid.
    #[error("expired or not yet valid")]
    Expired,
    /// The chain is good, and the certificate is for another name.
    #[error("for another name, not {wanted}")]
    HostMismatch {
        /// What was looked for, for people.
        wanted: String,
    },
}

impl MismatchKind {
    /// The closer of the two.
    pub(super) fn or(self, other: Self) -> Self {
        if other.closeness() > self.closeness() {
            other
        } else {
            self
        }
    }

    /// The closer to a match, the higher.
    fn closeness(&self) -> u8 {
        match self {
            Self::NoMatch => 1,
            Self::NotTrusted(_) => 2,
            Self::Invalid(_) => 3,
            Self::Expired => 4,
            Self::HostMismatch { .. } => 5,
        }
    }
}

impl Evidence {
    fn closeness(&self) -> u8 {
        match &self.why {
            Why::Unusable(_) => 0,
            Why::Mismatch(kind) => kind.closeness(),
        }
    }
}

impl Mismatch {
    /// Of what is known of each record; the closest comes first.
    pub fn new(mut evidence: Vec<Evidence>) -> Self {
        evidence.sort_by_key(|evidence| std::cmp::Reverse(evidence.closeness()));
        Self(evidence)
    }

    /// Each record and why it did not match, the closest first.
    pub fn evidence(&self) -> &[Evidence] {
        &self.0
    }

    /// What a report says of the whole: what kept the record that came closest from matching.
    pub fn kind(&self) -> MismatchKind {
        match self.0.first().map(|closest| &closest.why) {
            Some(Why::Mismatch(kind)) => kind.clone(),
            Some(Why::Unusable(_)) | None => MismatchKind::NoMatch,
        }
    }
}

impl fmt::Display for Mismatch {
    /// Less than 300 characters, for the line of a reply.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no TLSA record matches")?;
        let colon = if self.0.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.words(SHOWN))
    }
}

impl Mismatch {
    /// The records and why each did not match, for a log.
    pub fn records(&self) -> String {
        self.words(LOGGED)
    }

    fn words(&self, most: usize) -> String {
        let told = |evidence: &Evidence| {
            let reason = clipped(&evidence.why.to_string());
            format!("{} ({reason})", Brief(&evidence.tlsa))
        };
        let mut words: Vec<String> = self.0.iter().take(most).map(told).collect();
        match self.0.len().saturating_sub(most) {
            0 => {}
            rest => words.push(format!("and {rest} more")),
        }
        words.join("; ")
    }
}

fn clipped(reason: &str) -> String {
    match reason.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}..", &reason[..end]),
        None => reason.to_owned(),
    }
}
