//! The story of one leg as programs read it: what was known, what was asked for, what was shown, what came of it.
//!
//! One [`Record`] is a line of the audit log, an answer of the admin endpoint, and what `waxseal explain` tells.
//! So its fields are a promise: a name keeps its meaning, an absent value is `null`, new fields may come, and
//! [`VERSION`] changes where an old reader would be misled. Times are RFC 3339 in UTC.
//!
//! It names domains, hosts and addresses, and never a mailbox: of a reply it has the codes only, because the text
//! often repeats the recipient (RFC 5321 §4.2). It is made from an [`Outcome`] when somebody wants to read it, not
//! while mail waits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::policy::failure::Failure;
use crate::policy::handshake::{Fingerprint, Resumption};
use crate::policy::outcome::{AttemptResult, Attempted, Link, Outcome, Seal};
use crate::policy::rules::Rule;
use crate::time::UnixTime;

mod act;
mod facts;
mod story;
#[cfg(test)]
pub(crate) mod tests;

pub use act::{ActRecord, InForceView};
pub use facts::{DaneView, FactsView, HostFactsView, MtaStsView, TlsaView};
pub use story::NO_RULE;

/// The version of the format.
pub const VERSION: u32 = 1;

/// One line of the audit log. `event` tells which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Line {
    /// A leg has ended.
    Delivery(Box<Record>),
    /// Somebody has done something.
    Act(Box<ActRecord>),
}

/// What came of one leg: the part of a transaction that is for one recipient domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// [`VERSION`].
    pub v: u32,
    /// The id in the reply to the MTA and in the log.
    pub id: String,
    /// When it ended.
    pub time: String,
    /// The kind of listener that the message came in by.
    pub listener: String,
    /// `delivered`, `rejected`, `blocked`, `refused`, `deferred` or `abandoned`.
    pub result: String,
    /// The recipient domain, or an address literal.
    pub domain: String,
    /// The sender's domain; none for a bounce.
    pub sender: Option<String>,
    /// Whose word decided: `rule`, `dane`, `mta-sts` or `opportunistic`.
    pub policy: String,
    /// The rule in force.
    pub rule: Option<RuleInForce>,
    /// What was known; none where the time was up before.
    pub facts: Option<FactsView>,
    /// The hosts that were tried, in order.
    pub attempts: Vec<AttemptView>,
    /// The last connection that was ready for the message.
    pub connection: Option<ConnectionView>,
    /// Recipients that the MX accepted.
    pub recipients: usize,
    /// Octets of content that were sent to it.
    pub bytes: u64,
    /// Seconds from the first recipient to the end.
    pub elapsed: f64,
    /// Code and enhanced code of the reply to the MTA, such as `250 2.0.0`.
    pub reply: Option<String>,
    /// Why waxseal kept it back, in the words of the metrics.
    pub reason: Option<String>,
    /// The same for people.
    pub why: Option<String>,
}

/// An operator's rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RuleThatDecided)]
pub struct RuleInForce {
    /// File and line.
    pub origin: String,
    /// What it asks for, such as `secure`.
    pub level: String,
    /// `enforce` or `observe`.
    pub mode: String,
    /// Where it sends mail instead of the MX.
    pub route: Option<String>,
    /// Why it is there.
    pub reason: Option<String>,
    /// From when on it is ignored.
    pub expires: Option<String>,
}

/// What one address of one host came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// The host.
    pub host: String,
    /// Its address.
    pub address: String,
    /// `ready`, `refused`, or what went wrong in the words of the metrics.
    pub result: String,
    /// What went wrong, for people; of a reply the codes.
    pub why: Option<String>,
}

/// A connection, and what it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionView {
    /// The host.
    pub host: String,
    /// Its address.
    pub address: String,
    /// What it had to prove, for people.
    pub must: String,
    /// `tls` or `plaintext`.
    pub encryption: String,
    /// Why there was no TLS.
    pub plaintext_because: Option<String>,
    /// The handshake.
    pub tls: Option<TlsView>,
    /// How the server's identity was proven: `dane`, `pkix`, `fingerprint` or `none`.
    pub authentication: String,
    /// The TLSA record that matched.
    pub tlsa: Option<MatchView>,
    /// What would have blocked the message, had its rule not only observed.
    pub would_block: Option<String>,
    /// What came of an MTA-STS policy in mode `testing`: `passed`, or what would have failed.
    pub mta_sts_testing: Option<String>,
}

/// A TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TlsView {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// The key exchange group.
    pub key_exchange: String,
    /// Whether the session goes on from an earlier one, whose chain this is.
    pub resumed: bool,
    /// The SHA-256 fingerprints of the certificates, the server's own first.
    pub chain: Vec<String>,
}

/// A TLSA record that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatchView {
    /// The record.
    pub record: String,
    /// What it matched, for people.
    pub place: String,
}

impl Record {
    /// Of a leg that ended at `at`.
    pub fn of(outcome: &Outcome, at: UnixTime) -> Self {
        let decision = outcome.decision.as_deref();
        let rule = decision.and_then(|decision| decision.rule.as_deref());
        let failure = outcome.end.failure();
        Self {
            v: VERSION,
            id: outcome.id.to_string(),
            time: at.to_string(),
            listener: outcome.listener.label().to_owned(),
            result: outcome.end.word().to_owned(),
            domain: outcome.destination.to_string(),
            sender: outcome.sender.as_ref().map(ToString::to_string),
            policy: outcome.policy.label().to_owned(),
            rule: rule.map(RuleInForce::of),
            facts: decision.map(FactsView::of),
            attempts: outcome.attempts.iter().map(AttemptView::of).collect(),
            connection: outcome.link.as_deref().map(ConnectionView::of),
            recipients: outcome.recipients,
            bytes: outcome.octets,
            elapsed: outcome.elapsed.as_secs_f64(),
            reply: outcome.end.status(),
            reason: failure.map(|failure| failure.reason().to_owned()),
            why: failure.map(Failure::to_string),
        }
    }
}

impl RuleInForce {
    /// Of a rule.
    pub fn of(rule: &Rule) -> Self {
        Self {
            origin: rule.origin.to_string(),
            level: rule.level.to_string(),
            mode: rule.mode.word().to_owned(),
            route: rule.route.as_ref().map(ToString::to_string),
            reason: rule.reason.clone(),
            expires: rule.expires.map(|expires| expires.to_string()),
        }
    }
}

impl AttemptView {
    fn of(attempt: &Attempted) -> Self {
        let (result, why) = match &attempt.result {
            AttemptResult::Ready => ("ready", None),
            AttemptResult::Failed(failure) => (failure.reason(), Some(failure.to_string())),
            AttemptResult::Refused(reply) => ("refused", Some(reply.status())),
        };
        Self {
            host: attempt.peer.host.to_string(),
            address: attempt.peer.address.to_string(),
            result: result.to_owned(),
            why,
        }
    }
}

impl ConnectionView {
    fn of(link: &Link) -> Self {
        Self {
            host: link.host.to_string(),
            address: link.address.to_string(),
            must: link.requirement.to_string(),
            encryption: link.seal.encryption().to_owned(),
            plaintext_because: match link.seal {
                Seal::Open(why) => Some(why.to_string()),
                Seal::Tls { .. } => None,
            },
            tls: TlsView::of(link),
            authentication: link.seal.authentication().label().to_owned(),
            tlsa: link.tlsa.as_ref().map(|found| MatchView {
                record: found.tlsa.to_string(),
                place: found.place(),
            }),
            would_block: link.would_block.as_ref().map(Failure::to_string),
            mta_sts_testing: link.tested.as_ref().map(|tested| match tested {
                Ok(()) => "passed".to_owned(),
                Err(failure) => failure.to_string(),
            }),
        }
    }
}

impl TlsView {
    fn of(link: &Link) -> Option<Self> {
        let handshake = link.handshake.as_ref()?;
        let chain = handshake.chain.iter().map(Fingerprint::of_certificate);
        Some(Self {
            version: handshake.version.to_string(),
            cipher: handshake.cipher.to_owned(),
            key_exchange: handshake.key_exchange.to_owned(),
            resumed: handshake.resumption == Resumption::Resumed,
            chain: chain.map(|print| print.to_string()).collect(),
        })
    }
}
