//! Everything that can keep a message from leaving, and the one table that turns it into a reply.
//!
//! A reply names the host, the address and what was missing, in words that an administrator can act
//! on. A 4xx keeps the message in the MTA's queue; only what no later try could change is a 5xx.

use std::fmt;
use std::net::IpAddr;

use crate::dane::{Mismatch, MismatchKind};
use crate::dns::LookupError;
use crate::mtasts::record_name;
use crate::name::{Destination, Domain, MailHost};
use crate::policy::cap::Capped;
use crate::policy::downgrade::{Downgrade, Kind};
use crate::policy::facts::{NoDane, NoMtaSts, Unknown};
use crate::policy::handshake::TlsVersion;
use crate::smtp::reply::Reply;

/// Why a message, or one attempt to send it, did not go through. waxseal's own reasons only: what an
/// MX replied passes through as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A look-up failed; nothing is known about the name.
    Dns {
        /// What was looked up, such as `MX of example.com`.
        question: String,
        /// How it failed.
        error: LookupError,
    },
    /// The recipient's domain does not exist.
    NoSuchDomain(Destination),
    /// The recipient's domain takes no mail (RFC 7505).
    NullMx(Destination),
    /// No MX record names a host that could exist.
    NoUsableMx(Destination),
    /// The host has no address.
    NoAddress(MailHost),
    /// Something went wrong with one host at one address.
    Attempt {
        /// The host.
        host: MailHost,
        /// The address that was dialled, or would have been.
        address: IpAddr,
        /// What went wrong.
        fault: Fault,
    },
    /// Whether the host has TLSA records is not known, so that nothing weaker will do.
    DaneLookup {
        /// The host.
        host: MailHost,
        /// What was looked up, such as `TLSA of _25._tcp.mx.example`.
        question: String,
        /// How it failed.
        error: LookupError,
    },
    /// The rule asks for DANE and the host has none.
    DaneRequired {
        /// The host.
        host: MailHost,
        /// Why it has none.
        why: NoDane,
    },
    /// Whether the domain has an MTA-STS policy is not known.
    MtaStsLookup {
        /// The policy domain.
        domain: Domain,
        /// Why not.
        why: Unknown,
    },
    /// The MTA-STS policy of the domain does not name the host (RFC 8461 §4.1).
    MtaStsMismatch {
        /// The host.
        host: MailHost,
        /// The policy domain.
        domain: Domain,
    },
    /// The rule asks for a host that an MTA-STS policy names, and there is no policy.
    MtaStsRequired {
        /// The host.
        host: MailHost,
        /// Why there is none.
        why: NoMtaSts,
    },
    /// No MX was ready within the time that the MTA is made to wait.
    NotReadyInTime(Destination),
}

/// What went wrong with one host at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The address is private, loopback or otherwise special, and not listed in `allow_networks`.
    ForbiddenAddress,
    /// The address and port are one of waxseal's own listeners.
    OwnListener,
    /// The TCP connection was not made: refused, timed out, or no way there.
    Unreachable(Unreached),
    /// This machine could not even try, for example because it has no free file descriptor.
    NoSocket(String),
    /// The MX did not reply in time.
    TimedOut(Phase),
    /// The MX closed or reset the connection.
    ConnectionLost(Phase),
    /// What came is not SMTP.
    Protocol(Phase, String),
    /// The MX turned the connection away, by its code.
    TurnedAway(Phase, u16),
    /// TLS is demanded and STARTTLS is not offered.
    StarttlsNotSupported,
    /// TLS is demanded, STARTTLS was offered, and the command was refused with this code.
    StarttlsRefused(u16),
    /// Bytes came behind the 220 to STARTTLS: somebody injects plaintext (CVE-2011-0411).
    StarttlsInjection,
    /// The TLS handshake failed.
    Handshake(String),
    /// The MX speaks an older TLS than the rule asks for.
    TlsTooOld {
        /// What was agreed on.
        agreed: TlsVersion,
        /// What is asked for.
        least: TlsVersion,
    },
    /// The certificate is not what the policy asks for.
    Certificate(CertificateFault),
    /// No usable TLSA record matches.
    Tlsa(Mismatch),
    /// Nobody demands what is missing, but the host has shown it before.
    Downgraded(Downgrade),
    /// A `[[destination]]` had no room in time; nothing is wrong with the host.
    Capped(Capped),
}

/// Why a TCP connection was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreached {
    /// Nothing listens there, or a firewall says so.
    Refused,
    /// It was reset at once.
    Reset,
    /// The network has no such host.
    NoHost,
    /// There is no way to the network.
    NoNetwork,
    /// Nothing answered.
    TimedOut,
    /// It was not tried, because it did not connect a short while ago.
    Lately,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::NoHost => "host unreachable",
            Self::NoNetwork => "network unreachable",
            Self::TimedOut => "connection timed out",
            Self::Lately => "it did not connect a short while ago",
        })
    }
}

/// Where in a conversation something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// From the connection to the first recipient, as a whole.
    Opening,
    /// Waiting for the 220.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS.
    Starttls,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA or BDAT, before the content.
    Data,
    /// Sending the content.
    Content,
    /// Waiting for the reply to the end of the content.
    EndOfData,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening => "the beginning of the session",
            Self::Greeting => "the greeting",
            Self::Ehlo => "EHLO",
            Self::Starttls => "STARTTLS",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the message content",
            Self::EndOfData => "the end of data",
        })
    }
}

/// What is wrong with a certificate, by the result types of RFC 8460 §4.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFault {
    /// No name in it matches.
    HostMismatch {
        /// What was looked for, for people.
        wanted: String,
    },
    /// It has expired, or is not yet valid.
    Expired,
    /// No chain leads to a trusted root.
    NotTrusted(String),
    /// It cannot be read, or may not be used for a server.
    Invalid(String),
    /// Neither it nor its key has one of the fingerprints.
    FingerprintMismatch,
}

impl Failure {
    /// The reply to the MTA.
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = self.codes();
        Reply::new(code, enhanced, self.to_string())
    }

    /// The same where there is nobody left to talk to: with 421 the MTA closes, and tries its next MX.
    pub fn farewell(&self) -> Reply {
        let (_, enhanced) = self.codes();
        // The class of the enhanced code is that of the code (RFC 2034 §4).
        let detail = enhanced.get(1..).unwrap_or(".0.0");
        Reply::new(421, &format!("4{detail}"), self.to_string())
    }

    fn codes(&self) -> (u16, &'static str) {
        match self {
            Self::Dns { .. }
            | Self::MtaStsLookup {
                why: Unknown::Record(_),
                ..
            } => (451, "4.4.3"),
            Self::MtaStsLookup {
                why: Unknown::Store(_),
                ..
            } => (451, "4.3.0"),
            Self::NoSuchDomain(_) => (550, "5.1.2"),
            // RFC 7505 §4.2.
            Self::NullMx(_) => (556, "5.1.10"),
            Self::NoUsableMx(_) | Self::NoAddress(_) => (451, "4.4.4"),
            Self::DaneLookup { .. }
            | Self::DaneRequired { .. }
            | Self::MtaStsMismatch { .. }
            | Self::MtaStsRequired { .. } => (451, "4.7.5"),
            Self::NotReadyInTime(_) => (451, "4.4.1"),
            Self::Attempt { fault, .. } => fault.codes(),
        }
    }

    /// The `reason` label of the metrics: the result types of RFC 8460 §4.3 where there is one.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Dns { error, .. } if error.is_about_dnssec() => "dnssec-invalid",
            Self::Dns { .. } => "dns-failed",
            // RFC 8460 §4.3.2.1: the resolver returned no valid records.
            Self::DaneLookup { .. } => "dnssec-invalid",
            Self::NoSuchDomain(_) => "no-such-domain",
            Self::NullMx(_) => "null-mx",
            Self::NoUsableMx(_) | Self::NoAddress(_) => "no-address",
            Self::DaneRequired { .. } => "dane-required",
            // RFC 8460 §4.3.2.2: the policy could not be retrieved.
            Self::MtaStsLookup { .. } => "sts-policy-fetch-error",
            Self::MtaStsMismatch { .. } => "sts-mx-mismatch",
            Self::MtaStsRequired { .. } => "sts-required",
            Self::NotReadyInTime(_) => "unreachable",
            Self::Attempt { fault, .. } => fault.reason(),
        }
    }

    /// Every label that [`Failure::reason`] gives beside those of [`Fault::REASONS`].
    pub const REASONS: [&'static str; 9] = [
        "dns-failed",
        "dnssec-invalid",
        "no-such-domain",
        "null-mx",
        "no-address",
        "dane-required",
        "sts-policy-fetch-error",
        "sts-mx-mismatch",
        "sts-required",
    ];

    /// The labels of failures that are about policy ([`Failure::is_about_policy`]).
    pub const POLICY_REASONS: [&'static str; 17] = [
        "dnssec-invalid",
        "dane-required",
        "sts-policy-fetch-error",
        "sts-mx-mismatch",
        "sts-required",
        "tlsa-invalid",
        "starttls-not-supported",
        "starttls-refused",
        "starttls-injection",
        "validation-failure",
        "tls-too-old",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "certificate-invalid",
        "fingerprint-mismatch",
        "downgraded",
    ];

    /// True when a policy, not the network, stands in the way: TLS or identity was demanded and not
    /// shown. Of several failed hosts such a failure is the one to tell the MTA.
    pub fn is_about_policy(&self) -> bool {
        match self {
            Self::DaneLookup { .. }
            | Self::DaneRequired { .. }
            | Self::MtaStsLookup { .. }
            | Self::MtaStsMismatch { .. }
            | Self::MtaStsRequired { .. } => true,
            Self::Dns { error, .. } => error.is_about_dnssec(),
            Self::Attempt { fault, .. } => matches!(
                fault,
                Fault::StarttlsNotSupported
                    | Fault::StarttlsRefused(_)
                    | Fault::StarttlsInjection
                    | Fault::Handshake(_)
                    | Fault::TlsTooOld { .. }
                    | Fault::Certificate(_)
                    | Fault::Tlsa(_)
                    | Fault::Downgraded(_)
            ),
            _ => false,
        }
    }
}

impl Fault {
    fn codes(&self) -> (u16, &'static str) {
        match self {
            Self::ForbiddenAddress | Self::OwnListener => (451, "4.4.6"),
            Self::Unreachable(_) | Self::TurnedAway(..) => (451, "4.4.1"),
            Self::NoSocket(_) => (451, "4.3.2"),
            // RFC 3463 §3.5: the mail system is congested.
            Self::Capped(_) => (451, "4.4.5"),
            Self::TimedOut(_) | Self::ConnectionLost(_) => (451, "4.4.2"),
            Self::Protocol(..) => (451, "4.5.0"),
            Self::StarttlsNotSupported | Self::StarttlsRefused(_) => (451, "4.7.4"),
            Self::StarttlsInjection
            | Self::Handshake(_)
            | Self::TlsTooOld { .. }
            | Self::Certificate(_)
            | Self::Tlsa(_) => (451, "4.7.5"),
            Self::Downgraded(downgrade) => match downgrade.kind {
                Kind::Starttls => (451, "4.7.4"),
                Kind::Authentication => (451, "4.7.5"),
            },
        }
    }

    /// The label for metrics; also the `result` of an attempt.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ForbiddenAddress => "forbidden-address",
            Self::OwnListener => "own-listener",
            Self::Unreachable(_) => "unreachable",
            Self::NoSocket(_) => "no-socket",
            Self::TimedOut(_) => "timeout",
            Self::ConnectionLost(_) => "connection-lost",
            Self::Protocol(..) => "protocol-error",
            Self::TurnedAway(..) => "turned-away",
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::StarttlsRefused(_) => "starttls-refused",
            Self::StarttlsInjection => "starttls-injection",
            // RFC 8460 §4.3.1: validation-failure is the general failure of the negotiation.
            Self::Handshake(_) => "validation-failure",
            Self::TlsTooOld { .. } => "tls-too-old",
            Self::Certificate(fault) => fault.reason(),
            Self::Tlsa(mismatch) => match mismatch.kind() {
                MismatchKind::NoMatch => "tlsa-invalid",
                MismatchKind::HostMismatch { .. } => "certificate-host-mismatch",
                MismatchKind::Expired => "certificate-expired",
                MismatchKind::NotTrusted(_) => "certificate-not-trusted",
                MismatchKind::Invalid(_) => "certificate-invalid",
            },
            Self::Downgraded(_) => "downgraded",
            Self::Capped(capped) => capped.reason(),
        }
    }

    /// Every label that [`Fault::reason`] gives, for metrics that start at zero.
    pub const REASONS: [&'static str; 22] = [
        "forbidden-address",
        "own-listener",
        "unreachable",
        "no-socket",
        "timeout",
        "connection-lost",
        "protocol-error",
        "turned-away",
        "starttls-not-supported",
        "starttls-refused",
        "starttls-injection",
        "validation-failure",
        "tls-too-old",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "certificate-invalid",
        "fingerprint-mismatch",
        "tlsa-invalid",
        "downgraded",
        "connection-limit",
        "message-limit",
    ];
}

impl CertificateFault {
    fn reason(&self) -> &'static str {
        match self {
            Self::HostMismatch { .. } => "certificate-host-mismatch",
            Self::Expired => "certificate-expired",
            Self::NotTrusted(_) => "certificate-not-trusted",
            Self::Invalid(_) => "certificate-invalid",
            Self::FingerprintMismatch => "fingerprint-mismatch",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns { question, error } => write!(f, "DNS look-up of {question} failed: {error}"),
            Self::NoSuchDomain(name) => write!(f, "{name} does not exist in DNS"),
            Self::NullMx(name) => write!(f, "{name} does not accept mail (null MX)"),
            Self::NoUsableMx(name) => write!(f, "the MX records of {name} name no usable host"),
            Self::NoAddress(host) => write!(f, "{host} has no address in DNS"),
            // An address needs no second mention.
            Self::Attempt {
                host: host @ MailHost::Address(_),
                fault,
                ..
            } => write!(f, "{host}: {fault}"),
            Self::Attempt {
                host,
                address,
                fault,
            } => write!(f, "{host}[{address}]: {fault}"),
            Self::DaneLookup {
                host,
                question,
                error,
            } => write!(
                f,
                "{host}: DNS look-up of {question} failed: {error}; without it nobody knows what TLS to ask for"
            ),
            Self::DaneRequired { host, why } => {
                write!(f, "{host}: the rule asks for DANE, and {why}")
            }
            Self::MtaStsLookup { domain, why } => {
                match why {
                    Unknown::Record(error) => {
                        let name = record_name(domain);
                        write!(f, "DNS look-up of TXT of {name} failed: {error}")?;
                    }
                    Unknown::Store(error) => {
                        write!(
                            f,
                            "remembered MTA-STS policies cannot be read here: {error}"
                        )?;
                    }
                }
                write!(f, "; without it nobody knows what TLS {domain} asks for")
            }
            Self::MtaStsMismatch { host, domain } => write!(
                f,
                "{host}: the MTA-STS policy of {domain} names other MX hosts, and not this one"
            ),
            Self::MtaStsRequired { host, why } => write!(
                f,
                "{host}: the rule asks for a host that an MTA-STS policy names, and {why}"
            ),
            Self::NotReadyInTime(name) => write!(f, "no MX of {name} was ready in time"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForbiddenAddress => f.write_str(
                "not a public address; list it in [mx] allow_networks if mail may go there",
            ),
            Self::OwnListener => f.write_str("this is waxseal's own listener, mail would loop"),
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::NoSocket(error) => write!(f, "cannot open a connection here: {error}"),
            Self::TimedOut(phase) => write!(f, "no reply in time to {phase}"),
            Self::ConnectionLost(phase) => write!(f, "connection lost at {phase}"),
            Self::Protocol(phase, what) => write!(f, "not SMTP at {phase}: {what}"),
            Self::TurnedAway(phase, code) => write!(f, "turned away with {code} at {phase}"),
            Self::StarttlsNotSupported => {
                f.write_str("TLS is required, but STARTTLS is not offered")
            }
            Self::StarttlsRefused(code) => {
                write!(f, "TLS is required, but STARTTLS was refused with {code}")
            }
            Self::StarttlsInjection => {
                f.write_str("plaintext was injected behind the reply to STARTTLS")
            }
            Self::Handshake(error) => write!(f, "TLS handshake failed: {error}"),
            Self::TlsTooOld { agreed, least } => {
                write!(
                    f,
                    "{least} is required, but the server agreed only to {agreed}"
                )
            }
            Self::Certificate(fault) => fault.fmt(f),
            Self::Tlsa(mismatch) => write!(f, "DANE: {mismatch}"),
            Self::Capped(capped) => capped.fmt(f),
            Self::Downgraded(Downgrade { kind, best, until }) => {
                let now = match kind {
                    Kind::Starttls => "STARTTLS is gone or does not work",
                    Kind::Authentication => "nothing proves who this is",
                };
                write!(
                    f,
                    "this host has shown {best} before, and now {now}; mail waits until {until} ([tls] downgrade), or until `waxseal host forget` lets it go"
                )
            }
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostMismatch { wanted } => {
                write!(f, "the certificate is for another name, not for {wanted}")
            }
            Self::Expired => f.write_str("the certificate has expired or is not yet valid"),
            Self::NotTrusted(why) => write!(f, "the certificate is not trusted: {why}"),
            Self::Invalid(why) => write!(f, "the certificate is invalid: {why}"),
            Self::FingerprintMismatch => {
                f.write_str("neither certificate nor key has a fingerprint of the rule")
            }
        }
    }
}
