//! What came of one leg: the single record that metrics, log and audit are projected from.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::dane;
use crate::mtasts::FetchError;
use crate::name::{Destination, Domain, Host, MailHost};
use crate::policy::act::Act;
use crate::policy::authorize::{Authentication, Peer};
use crate::policy::decide::Decision;
use crate::policy::delivery_id::DeliveryId;
use crate::policy::downgrade::{Known, Turn};
use crate::policy::failure::Failure;
use crate::policy::handshake::{Handshake, TlsVersion, WhyPlaintext};
use crate::policy::refusal::Refusal;
use crate::policy::requirement::Requirement;
use crate::policy::rules::Rule;
use crate::policy::verdict::Policy;
use crate::smtp::reply::Reply;
use crate::time::UnixTime;

/// One leg of one transaction, from its first recipient to its end.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name; the MTA has seen it, too, where the reply carries the seal.
    pub id: DeliveryId,
    /// The listener that the message came in by.
    pub listener: Ingress,
    /// The recipient domain or literal.
    pub destination: Destination,
    /// The sender's domain or literal; none for a bounce.
    pub sender: Option<Destination>,
    /// Whose word decided.
    pub policy: Policy,
    /// The last decision and what it rests on; none where the time was up before.
    pub decision: Option<Arc<Decision>>,
    /// The hosts that were tried, in order.
    pub attempts: Vec<Attempted>,
    /// The last connection that was ready for the message, if one was.
    pub link: Option<Arc<Link>>,
    /// Recipients that the MX accepted at RCPT.
    pub recipients: usize,
    /// Octets of content that were sent.
    pub octets: u64,
    /// From the first recipient to the end.
    pub elapsed: Duration,
    /// How it ended.
    pub end: End,
}

/// What one address of one MX came to, up to the reply to MAIL FROM.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// The host and its address.
    pub peer: Peer,
    /// What came of it.
    pub result: AttemptResult,
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub enum AttemptResult {
    /// It has proven what it must, and was ready for mail.
    Ready,
    /// It was not, or lost the connection at once.
    Failed(Failure),
    /// It was ready, and then refused the sender, or lacks an extension that the message needs.
    Refused(Reply),
}

/// How a leg ended.
#[derive(Debug, Clone)]
pub enum End {
    /// The MX took responsibility for the message.
    Delivered(Reply),
    /// The MX said no: to every recipient, or to the message.
    Rejected(Reply),
    /// waxseal itself kept the message back, or could not get through.
    Failed(Failure),
    /// The MTA gave up: RSET, QUIT, a lost connection, or content that was refused.
    Abandoned,
}

impl Outcome {
    /// The rule in force, if any.
    pub fn rule(&self) -> Option<&Rule> {
        self.decision.as_ref()?.rule.as_deref()
    }
}

impl End {
    /// Every word of [`End::word`].
    pub const WORDS: [&'static str; 6] = [
        "delivered",
        "rejected",
        "blocked",
        "refused",
        "deferred",
        "abandoned",
    ];

    /// How the leg ended, in one word: the `result` of log and audit log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Rejected(reply) if reply.code() >= 500 => "rejected",
            Self::Failed(failure) if failure.is_about_policy() => "blocked",
            Self::Failed(failure) if failure.reply().code() >= 500 => "refused",
            Self::Rejected(_) | Self::Failed(_) => "deferred",
            Self::Abandoned => "abandoned",
        }
    }

    /// Code and enhanced code of the reply that the MTA got; the text may name mail addresses.
    pub fn status(&self) -> Option<String> {
        match self {
            Self::Delivered(reply) | Self::Rejected(reply) => Some(reply.status()),
            Self::Failed(failure) => Some(failure.reply().status()),
            Self::Abandoned => None,
        }
    }

    /// waxseal's own reason, where it had one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// A connection that was ready for mail.
#[derive(Debug, Clone)]
pub struct Link {
    /// The host.
    pub host: MailHost,
    /// Its address.
    pub address: IpAddr,
    /// What it had to prove, and by whose word.
    pub requirement: Arc<Requirement>,
    /// Sealed or open.
    pub seal: Seal,
    /// What the server showed; none in the clear.
    pub handshake: Option<Arc<Handshake>>,
    /// The TLSA record that proved the host.
    pub tlsa: Option<dane::Match>,
    /// What would have blocked the message, had the rule not only observed.
    pub would_block: Option<Failure>,
    /// Whether the connection satisfies an MTA-STS policy in mode `testing`, where there is one.
    pub tested: Option<Result<(), Failure>>,
}

/// Whether a connection was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seal {
    /// In the clear, and why.
    Open(WhyPlaintext),
    /// TLS.
    Tls {
        /// The version.
        version: TlsVersion,
        /// The cipher suite.
        cipher: &'static str,
        /// The key exchange group.
        key_exchange: &'static str,
        /// How the server's identity was proven.
        authentication: Authentication,
    },
}

impl Seal {
    /// The `encryption` label of the metrics.
    pub fn encryption(&self) -> &'static str {
        match self {
            Self::Open(_) => "plaintext",
            Self::Tls { .. } => "tls",
        }
    }

    /// How the server's identity was proven.
    pub fn authentication(&self) -> Authentication {
        match self {
            Self::Open(_) => Authentication::None,
            Self::Tls { authentication, .. } => *authentication,
        }
    }
}

impl Link {
    /// The seal for the MTA's log, such as `[mx.example TLSv1.3 pkix 01kb5cw8r0v4q8zj2m6tn3x9fy]`.
    pub fn stamp(&self, id: DeliveryId) -> String {
        let host = &self.host;
        // Nearly always enough: growing by the word would cost more than the text.
        let mut stamp = String::with_capacity(128);
        let written = match &self.seal {
            Seal::Open(_) => write!(stamp, "[{host} plaintext {id}]"),
            Seal::Tls {
                version,
                authentication,
                ..
            } => {
                let authentication = authentication.label();
                write!(stamp, "[{host} {version} {authentication} {id}]")
            }
        };
        debug_assert!(written.is_ok(), "a String takes everything");
        stamp
    }
}

/// The kind of listener that a message came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ingress {
    /// SMTP, one recipient domain per transaction.
    Relay,
    /// LMTP, one leg per recipient domain.
    Lmtp,
    /// SMTP that a firewall has sent here; the MTA has chosen the MX.
    Transparent,
    /// SMTP behind SOCKS; the MTA has chosen the MX.
    Socks5,
}

impl Ingress {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::Relay, Self::Lmtp, Self::Transparent, Self::Socks5];

    /// The metric label and the word of the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Lmtp => "lmtp",
            Self::Transparent => "transparent",
            Self::Socks5 => "socks5",
        }
    }

    /// True where the MTA chooses the MX, and not waxseal.
    pub fn mta_chooses(self) -> bool {
        matches!(self, Self::Transparent | Self::Socks5)
    }
}

/// Something worth counting or logging.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// An MTA was let in.
    SessionOpened(Ingress),
    /// It is gone.
    SessionClosed(Ingress),
    /// The MTA, a command of it or a message was turned away.
    Refused(Ingress, Refusal),
    /// The facts about a destination were gathered.
    Lookup {
        /// How it went.
        result: LookupResult,
        /// How long it took; none where it was known from a moment ago.
        elapsed: Option<Duration>,
    },
    /// The TLSA records of one host were looked up.
    TlsaLookup(LookupResult),
    /// The MTA-STS policy of a destination was looked up, in what is remembered or anew.
    MtaStsLookup(LookupResult),
    /// An MTA-STS policy was asked for at its web server.
    MtaStsFetch {
        /// The policy domain.
        domain: &'a Domain,
        /// What came of it.
        result: Result<(), &'a FetchError>,
        /// Until when a policy that is remembered counts all the same, if there is one.
        remembered: Option<UnixTime>,
    },
    /// Room was waited for where a `[[destination]]` has limits, whatever came of it.
    Waited(Duration),
    /// A TCP connection was made.
    Connected(Duration),
    /// A TLS handshake was finished.
    Handshake(&'a Handshake, Duration),
    /// One address of one MX was tried: `None` = it was ready for mail.
    Attempt(&'a Peer, Option<&'a Failure>),
    /// A host shows less than before, or does so no longer.
    Downgrade {
        /// The host.
        host: &'a Host,
        /// What has changed.
        turn: Turn,
        /// What is known of it now.
        known: &'a Known,
    },
    /// A connection was passed through, and nothing is known of the mail in it.
    PassedThrough(Ingress, Untouched),
    /// A leg ended.
    Outcome(&'a Arc<Outcome>),
    /// Somebody has done something to this waxseal.
    Act(&'a Act),
    /// Something happened at the policy table for Postfix.
    Map(MapEvent),
    /// A connection to an MX came to wait for the next message, or waits no more.
    Pool(PoolEvent),
}

/// What happens among the connections that wait for the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolEvent {
    /// One came to wait.
    Came,
    /// One waits no more, whatever becomes of it.
    Left,
    /// One that had left carries another message.
    Reused,
}

/// What happens at the policy table for Postfix.
#[derive(Debug, Clone, Copy)]
pub enum MapEvent {
    /// A client was let in.
    Opened,
    /// It is gone.
    Closed,
    /// A client was turned away.
    Refused(Refusal),
    /// A request was answered.
    Answered(MapResult),
}

/// The listener of the policy table: its kind in the configuration, and its metric label.
pub const MAP_LISTENER: &str = "socketmap";

/// How a request to the policy table was answered. The `result` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapResult {
    /// With a policy.
    Ok,
    /// Nothing is asked of the destination.
    NotFound,
    /// Nobody knows at present.
    Temp,
    /// The configuration, here or at Postfix, must be changed first.
    Perm,
}

impl MapResult {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::Ok, Self::NotFound, Self::Temp, Self::Perm];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotFound => "notfound",
            Self::Temp => "temp",
            Self::Perm => "perm",
        }
    }

    /// The exit code of `waxseal query`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::NotFound => 1,
            Self::Perm => 2,
            Self::Temp => 3,
        }
    }
}

/// Why a connection was passed through as it is. The `reason` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Untouched {
    /// Its destination is in a network of `bypass`.
    Bypass,
    /// The MTA does TLS with the MX itself.
    Starttls,
}

impl Untouched {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 2] = [Self::Bypass, Self::Starttls];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Starttls => "starttls",
        }
    }
}

/// How a look-up of a destination went. The `result` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LookupResult {
    /// There are hosts, or TLSA records, or a policy.
    Found,
    /// The domain takes no mail, does not exist, or names no usable host; the host has no TLSA records; the
    /// domain has no policy.
    None,
    /// Nothing is known.
    Failed,
}

impl LookupResult {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 3] = [Self::Found, Self::None, Self::Failed];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::None => "none",
            Self::Failed => "failed",
        }
    }
}

/// Whoever counts or logs. The rooms that send mail know nothing else of metrics and logs.
pub trait Observer: Send + Sync {
    /// Takes note of `event`; never blocks.
    fn record(&self, event: Event<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::failure::Fault;

    #[test]
    fn every_end_has_its_word() {
        let reply = |code| Reply::new(code, "x.0.0", "x");
        let host = MailHost::Named("mx.a.example".parse().unwrap());
        let peer = Peer {
            host: host.clone(),
            address: "192.0.2.1".parse().unwrap(),
        };
        let blocked = peer.failure(Fault::StarttlsNotSupported);
        let word = |end: End, word| {
            assert_eq!(end.word(), word);
            assert!(End::WORDS.contains(&word), "{word}");
        };
        word(End::Delivered(reply(250)), "delivered");
        word(End::Rejected(reply(550)), "rejected");
        word(End::Rejected(reply(451)), "deferred");
        word(End::Failed(blocked), "blocked");
        word(End::Failed(Failure::NoAddress(host)), "deferred");
        let name = "a.example".parse().unwrap();
        word(End::Failed(Failure::NullMx(name)), "refused");
        word(End::Abandoned, "abandoned");
    }
}
