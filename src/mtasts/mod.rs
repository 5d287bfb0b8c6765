//! MTA-STS: a domain says over HTTPS which MX hosts it has and that they prove who they are (RFC 8461).
//!
//! A TXT record at `_mta-sts.<domain>` tells that there is a policy, and an `id` that changes with it.
//! The policy itself is a short text at `https://mta-sts.<domain>/.well-known/mta-sts.txt`. Neither needs
//! DNSSEC: what protects the policy is the certificate of that web server, and that a sender remembers it for
//! `max_age` seconds. So everything rests on two rules. A policy that is remembered and has not expired
//! counts, whatever DNS or the web server say or fail to say today (§3.3). And a text that is not a
//! valid policy is none, rather than half of one.
//!
//! This room promises the grammar of record and policy, and the words for what is known of a domain's
//! policy. It opens no socket and reads no clock.

pub mod answer;
pub mod pattern;
pub mod policy;
pub mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::dns::LookupError;
use crate::name::{Domain, Host};
use crate::time::UnixTime;

pub use answer::HttpAnswer;
pub use pattern::PatternError;
pub use policy::PolicyError;
pub use record::{NoRecord, NotAnId};

/// The longest policy that is read (RFC 8461 §3.3: 64 kilobytes); a longer one is refused, not cut.
pub const MAX_POLICY: usize = 64 * 1024;

/// The longest lifetime of a policy (RFC 8461 §3.2: 31557600 seconds); a longer one is cut down to it.
pub const MAX_MAX_AGE: Duration = Duration::from_hours(8766);

/// The path of the policy (RFC 8461 §3.3).
pub const WELL_KNOWN: &str = "/.well-known/mta-sts.txt";

/// The owner name of the TXT record (RFC 8461 §3.1).
pub fn record_name(domain: &Domain) -> String {
    format!("_mta-sts.{domain}")
}

/// The web server that has the policy (RFC 8461 §3.3).
pub fn policy_host(domain: &Domain) -> String {
    format!("mta-sts.{domain}")
}

/// The `id` of a record: 1 to 32 letters and digits (RFC 8461 §3.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyId(Box<str>);

impl PolicyId {
    /// The id as it stands in the record; compared to the letter.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A policy (RFC 8461 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What follows where a host fails.
    pub mode: Mode,
    /// How long the policy counts from the moment it was fetched; whole seconds.
    pub max_age: Duration,
    /// The hosts; empty only where the mode is `none`.
    pub mx: Vec<MxPattern>,
}

impl Policy {
    /// Whether the policy lets mail go to this host of an MX record.
    ///
    /// RFC 8461 §4.1: the name that stands in the MX record counts, not what it is an alias of.
    pub fn covers(&self, host: &Host) -> bool {
        self.mx.iter().any(|pattern| pattern.covers(host))
    }
}

/// The mode of a policy (RFC 8461 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Do not deliver to a host that fails.
    Enforce,
    /// Deliver, and report what would have failed.
    Testing,
    /// As if there were no policy.
    None,
}

impl Mode {
    /// Every mode, for metrics that start at zero.
    pub const ALL: [Self; 3] = [Self::Enforce, Self::Testing, Self::None];

    /// The word in the policy, and the metric label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// One `mx` of a policy (RFC 8461 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MxPattern {
    /// This host.
    Exact(Host),
    /// `*.name`: any host one label below this name.
    OneLabelBelow(Host),
}

impl MxPattern {
    /// Whether the pattern stands for `host`.
    pub fn covers(&self, host: &Host) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::OneLabelBelow(parent) => host
                .as_str()
                .split_once('.')
                .is_some_and(|(_, rest)| rest == parent.as_str()),
        }
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::OneLabelBelow(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// A policy that was fetched, and what is remembered with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The id of the record that led to it.
    pub id: PolicyId,
    /// The policy.
    pub policy: Policy,
    /// The text that it was read from, as the web server sent it.
    pub text: Arc<str>,
    /// When it was fetched, the last time that it was.
    pub at: UnixTime,
}

impl Fetched {
    /// From when on it no longer counts (RFC 8461 §3.2).
    pub fn expires(&self) -> UnixTime {
        UnixTime(self.at.0.saturating_add(self.policy.max_age.as_secs()))
    }

    /// Whether it no longer counts.
    pub fn has_expired(&self, now: UnixTime) -> bool {
        now >= self.expires()
    }
}

/// Why the policy could not be had from the web server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address of the web server could not be looked up.
    #[error("DNS look-up of {0} failed: {1}")]
    Dns(String, LookupError),
    /// The web server has no address.
    #[error("{0} has no address in DNS")]
    NoAddress(String),
    /// None of its addresses is public or listed.
    #[error(
        "{0} has no public address; list its network in [mx] allow_networks if it may be asked"
    )]
    ForbiddenAddress(String),
    /// No connection, or it was lost.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The certificate proves nothing, or TLS failed (RFC 8461 §3.3).
    #[error("TLS with the web server failed: {0}")]
    Tls(String),
    /// The time was up.
    #[error("no answer in time")]
    TimedOut,
    /// What came is not HTTP, or broke off.
    #[error("not a whole HTTP answer: {0}")]
    Protocol(String),
    /// A redirect, which is not followed (RFC 8461 §3.3).
    #[error("HTTP status {0} is a redirect, which is not followed")]
    Redirect(u16),
    /// Another status than 200.
    #[error("HTTP status {0} instead of 200")]
    Status(u16),
    /// Not `text/plain`.
    #[error("the media type is {0} instead of text/plain")] // quoted, or the word "missing"
    MediaType(String),
    /// Packed, although it was asked for as it is.
    #[error("the content is encoded as {0}, although it was asked for without")]
    Encoded(String),
    /// More than [`MAX_POLICY`] octets.
    #[error("the policy is longer than 64 KiB")]
    TooLong,
    /// The text is not a policy.
    #[error("the policy is not valid: {0}")]
    Invalid(PolicyError),
}

impl FetchError {
    /// The result type of RFC 8460 §4.3.2.2; the `result` label of the metrics.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "sts-policy-invalid",
            Self::Tls(_) => "sts-webpki-invalid",
            _ => "sts-policy-fetch-error",
        }
    }
}

/// What a stranger wrote, for a log or a terminal: in quotes, escaped, and cut where it is long.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
