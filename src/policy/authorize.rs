//! The judge: does what the handshake showed satisfy the requirement?
//!
//! The TLS library has verified the handshake signature, so whoever answered owns the key of the first
//! certificate. Whether that certificate is the right one is judged here and nowhere else, afterwards
//! and each time anew, so that a resumed or pooled connection is held against the requirement of the
//! message at hand.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use webpki::{EndEntityCert, KeyUsage};

use crate::dane;
use crate::name::MailHost;
use crate::policy::downgrade::{Shown, Sight};
use crate::policy::failure::{CertificateFault, Failure, Fault};
use crate::policy::handshake::{Channel, Fingerprint, Handshake, TlsVersion, WhyPlaintext};
use crate::policy::requirement::{Demand, Mode, Reference, Requirement, Roots};
use crate::policy::verdict::Policy;
use crate::time::UnixTime;
use crate::x509;

/// Proof that a channel may carry a message under one requirement. Only [`authorize`] makes it, it
/// cannot be copied, and `proxy` sends no MAIL FROM without it.
#[derive(Debug)]
pub struct Authorized {
    proof: Proof,
    shown: Shown,
    sight: Sight,
    would_block: Option<Failure>,
    tested: Option<Result<(), Failure>>,
}

impl Authorized {
    /// How the server's identity was proven.
    pub fn authentication(&self) -> Authentication {
        match self.proof {
            Proof::Dane(_) => Authentication::Dane,
            Proof::Pkix => Authentication::Pkix,
            Proof::Fingerprint => Authentication::Fingerprint,
            Proof::None => Authentication::None,
        }
    }

    /// The TLSA record that matched.
    pub fn tlsa(&self) -> Option<&dane::Match> {
        match &self.proof {
            Proof::Dane(matched) => Some(matched),
            _ => None,
        }
    }

    /// What the host showed, as far as it is worth remembering.
    pub fn shown(&self) -> Shown {
        self.shown
    }

    /// How that compares with what it has shown before.
    pub fn sight(&self) -> Sight {
        self.sight
    }

    /// What would have blocked the message, had its rule not been in `observe` mode.
    pub fn would_block(&self) -> Option<&Failure> {
        self.would_block.as_ref()
    }

    /// Whether nothing speaks against the channel: neither what is only observed or tested, nor what the host has
    /// shown before.
    pub fn is_beyond_doubt(&self) -> bool {
        let lost = matches!(self.sight, Sight::Lost(_));
        !lost && self.would_block.is_none() && !matches!(self.tested, Some(Err(_)))
    }

    /// Whether the channel satisfies an MTA-STS policy that is only tested; none where there is no such policy.
    pub fn tested(&self) -> Option<&Result<(), Failure>> {
        self.tested.as_ref()
    }
}

/// What proved the server's identity.
#[derive(Debug)]
enum Proof {
    Dane(dane::Match),
    Pkix,
    Fingerprint,
    None,
}

/// How a server's identity was proven. The `authentication` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// A TLSA record that DNSSEC proves (RFC 7672).
    Dane,
    /// A trusted chain and a matching name.
    Pkix,
    /// A fingerprint of the operator's.
    Fingerprint,
    /// Not at all.
    None,
}

impl Authentication {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::Dane, Self::Pkix, Self::Fingerprint, Self::None];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dane => "dane",
            Self::Pkix => "pkix",
            Self::Fingerprint => "fingerprint",
            Self::None => "none",
        }
    }
}

/// Who is at the other end, for the words of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The host.
    pub host: MailHost,
    /// The address that was dialled.
    pub address: IpAddr,
}

impl Peer {
    /// A failure of this peer.
    pub fn failure(&self, fault: Fault) -> Failure {
        Failure::Attempt {
            host: self.host.clone(),
            address: self.address,
            fault,
        }
    }
}

/// Holds `channel` against `requirement`.
pub fn authorize(
    requirement: &Requirement,
    channel: Channel<'_>,
    peer: &Peer,
    now: UnixTime,
) -> Result<Authorized, Failure> {
    let judged = |demand| judge(demand, requirement.min_version, channel, peer, now);
    let (proof, would_block) = match (judged(&requirement.demand), requirement.mode) {
        (Ok(proof), _) => (proof, None),
        (Err(failure), Mode::Enforce) => return Err(failure),
        (Err(failure), Mode::Observe) => (Proof::None, Some(failure)),
    };
    let shown = shown(&proof, channel, requirement.policy);
    let (sight, would_wait) = match (
        compare(requirement, shown, channel, peer, now),
        requirement.mode,
    ) {
        (Ok(sight), _) => (sight, None),
        (Err((_, failure)), Mode::Enforce) => return Err(failure),
        (Err((sight, failure)), Mode::Observe) => (sight, Some(failure)),
    };
    Ok(Authorized {
        proof,
        shown,
        sight,
        would_block: would_block.or(would_wait),
        tested: requirement
            .tested
            .as_ref()
            .map(|demand| judged(demand).map(|_| ())),
    })
}

/// What a connection shows that others may be held against. What a rule alone asks for is not: it goes on asking.
fn shown(proof: &Proof, channel: Channel<'_>, policy: Policy) -> Shown {
    match (proof, channel) {
        (_, Channel::Plaintext(_)) => Shown::Plaintext,
        (Proof::Dane(_), _) => Shown::Dane,
        (Proof::Pkix, _) if policy == Policy::MtaSts => Shown::Pkix,
        (_, Channel::Tls(_)) => Shown::Tls,
    }
}

/// Compares with what the host has shown before; fails where mail has to wait for it.
fn compare(
    requirement: &Requirement,
    shown: Shown,
    channel: Channel<'_>,
    peer: &Peer,
    now: UnixTime,
) -> Result<Sight, (Sight, Failure)> {
    let Some(watch) = &requirement.watch else {
        return Ok(Sight::Kept);
    };
    let sight = watch.sight(shown, |roots| names_itself(channel, &peer.host, roots, now));
    match sight {
        Sight::Lost(kind) => match watch.defers(kind, now) {
            Some(downgrade) => Err((sight, peer.failure(Fault::Downgraded(downgrade)))),
            None => Ok(sight),
        },
        Sight::Kept | Sight::InPart => Ok(sight),
    }
}

/// Whether the certificate proves the name of the host, as an MTA-STS policy would ask (RFC 8461 §4.2).
fn names_itself(channel: Channel<'_>, host: &MailHost, roots: &Roots, now: UnixTime) -> bool {
    match (channel, host.name()) {
        (Channel::Tls(handshake), Some(name)) => {
            pkix(handshake, &[Reference::Name(name.clone())], roots, now).is_ok()
        }
        _ => false,
    }
}

fn judge(
    demand: &Demand,
    min_version: TlsVersion,
    channel: Channel<'_>,
    peer: &Peer,
    now: UnixTime,
) -> Result<Proof, Failure> {
    let fail = |fault| Err(peer.failure(fault));
    let handshake = match (demand, channel) {
        (Demand::Plaintext | Demand::Opportunistic, _) => return Ok(Proof::None),
        (Demand::Unsatisfiable(failure), _) => return Err(failure.clone()),
        (_, Channel::Plaintext(why)) => return fail(missing_tls(why)),
        (_, Channel::Tls(handshake)) => handshake,
    };
    if handshake.version < min_version {
        return fail(Fault::TlsTooOld {
            agreed: handshake.version,
            least: min_version,
        });
    }
    let verdict = match demand {
        Demand::Pkix { references, roots } => {
            pkix(handshake, references, roots, now).map(|()| Proof::Pkix)
        }
        Demand::Dane { set, references } => {
            return dane::verify(set, references, &handshake.chain, now)
                .map(Proof::Dane)
                .or_else(|mismatch| fail(Fault::Tlsa(mismatch)));
        }
        Demand::Fingerprint(prints) => fingerprint(handshake, prints).map(|()| Proof::Fingerprint),
        _ => Ok(Proof::None),
    };
    verdict.or_else(|fault| fail(Fault::Certificate(fault)))
}

fn missing_tls(why: WhyPlaintext) -> Fault {
    match why {
        WhyPlaintext::NotOffered => Fault::StarttlsNotSupported,
        WhyPlaintext::Refused(code) => Fault::StarttlsRefused(code),
        WhyPlaintext::HandshakeFailed => {
            Fault::Handshake("it failed on an earlier connection".to_owned())
        }
    }
}

/// RFC 5280 §6 for the chain, RFC 6125 §6 for the name.
fn pkix(
    handshake: &Handshake,
    references: &[Reference],
    roots: &Roots,
    now: UnixTime,
) -> Result<(), CertificateFault> {
    let leaf = leaf(&handshake.chain)?;
    let certificate = EndEntityCert::try_from(leaf)
        .map_err(|error| CertificateFault::Invalid(error.to_string()))?;
    certificate
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &roots.anchors,
            &x509::issuers(&handshake.chain),
            rustls::pki_types::UnixTime::since_unix_epoch(now.since_epoch()),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(|error| chain_fault(&error))?;
    if references
        .iter()
        .any(|reference| names(&certificate, reference))
    {
        Ok(())
    } else {
        let no_name = certificate.valid_dns_names().next().is_none();
        let hint = if no_name { NO_NAME } else { "" };
        Err(CertificateFault::HostMismatch {
            wanted: in_words(references) + hint,
        })
    }
}

/// RFC 6125 §6.4.4: what stands in the subject is no name to match.
const NO_NAME: &str =
    "; it has no DNS name in subjectAltName, and a common name in its subject does not count";

/// `dot-nexthop` of an address literal names nothing, and the reply has to say so.
fn in_words(references: &[Reference]) -> String {
    if references.is_empty() {
        return "any name that the rule's `match` gives an address literal".to_owned();
    }
    let words: Vec<String> = references.iter().map(Reference::to_string).collect();
    words.join(" or ")
}

fn leaf<'c>(
    chain: &'c [CertificateDer<'static>],
) -> Result<&'c CertificateDer<'static>, CertificateFault> {
    chain
        .first()
        .ok_or_else(|| CertificateFault::Invalid("the server sent no certificate".to_owned()))
}

fn not_trusted(why: &str) -> CertificateFault {
    CertificateFault::NotTrusted(why.to_owned())
}

fn chain_fault(error: &webpki::Error) -> CertificateFault {
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
            CertificateFault::Expired
        }
        webpki::Error::UnknownIssuer => not_trusted(
            "no CA that is trusted has issued it, or the server does not send an intermediate certificate",
        ),
        webpki::Error::CaUsedAsEndEntity => {
            not_trusted("it is that of a CA, or self-signed as one")
        }
        // A root of a trusted one's name with a key of its own.
        webpki::Error::InvalidSignatureForPublicKey => {
            not_trusted("a signature in its chain is wrong")
        }
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            CertificateFault::Invalid("it is not meant for servers".to_owned())
        }
        _ => CertificateFault::Invalid(error.to_string()),
    }
}

fn names(certificate: &EndEntityCert<'_>, reference: &Reference) -> bool {
    let valid_for =
        |name: &ServerName<'_>| certificate.verify_is_valid_for_subject_name(name).is_ok();
    match reference {
        Reference::Name(host) => {
            DnsName::try_from(host.as_str()).is_ok_and(|name| valid_for(&ServerName::DnsName(name)))
        }
        Reference::Address(address) => valid_for(&ServerName::IpAddress((*address).into())),
        // Postfix's `.suffix`: any name below it, a wildcard's name included.
        Reference::Below(parent) => certificate
            .valid_dns_names()
            .any(|name| is_below(&name.to_ascii_lowercase(), parent.as_str())),
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

fn fingerprint(handshake: &Handshake, wanted: &[Fingerprint]) -> Result<(), CertificateFault> {
    let leaf = leaf(&handshake.chain)?;
    let matches = |print: Fingerprint| wanted.contains(&print);
    if matches(Fingerprint::of_certificate(leaf))
        || Fingerprint::of_public_key(leaf).is_some_and(matches)
    {
        Ok(())
    } else {
        Err(CertificateFault::FingerprintMismatch)
    }
}
