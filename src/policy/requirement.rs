//! What a connection has to prove, computed before it is dialled and never changed after.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::TrustAnchor;

use crate::dane::TlsaSet;
use crate::name::Host;
use crate::policy::downgrade::Watch;
use crate::policy::failure::Failure;
use crate::policy::handshake::{Fingerprint, TlsVersion};
use crate::policy::verdict::Policy;

/// What one host must prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// What is asked of the channel.
    pub demand: Demand,
    /// What the domain's MTA-STS policy would ask for, were its mode not `testing`: judged and reported,
    /// never enforced (RFC 8461 §5).
    pub tested: Option<Demand>,
    /// Whose word that is.
    pub policy: Policy,
    /// What happens where it is not met.
    pub mode: Mode,
    /// The least TLS version that satisfies the demand.
    pub min_version: TlsVersion,
    /// The name for SNI (RFC 6066 §3); none for an address.
    pub server_name: Option<Host>,
    /// What the host has shown before, unless nothing is known or the rule wants no TLS.
    pub watch: Option<Watch>,
}

#[cfg(test)]
impl Requirement {
    /// What is asked of a host of which nothing is known, where nobody demands anything.
    pub(crate) fn opportunistic() -> Self {
        Self {
            demand: Demand::Opportunistic,
            tested: None,
            policy: Policy::Opportunistic,
            mode: Mode::Enforce,
            min_version: TlsVersion::Tls12,
            server_name: None,
            watch: None,
        }
    }
}

/// What is asked of a channel.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// Level `none`: do not even try TLS.
    Plaintext,
    /// Level `may`: TLS where it is offered and works.
    Opportunistic,
    /// Level `encrypt`: TLS with whoever answers.
    Encryption,
    /// Level `secure`: a chain to one of the roots, and a name that matches.
    Pkix {
        /// The certificate must have one of these.
        references: Vec<Reference>,
        /// The trust anchors.
        roots: Arc<Roots>,
    },
    /// A TLSA record that matches (RFC 7672 §3).
    Dane {
        /// The records; at least one is usable.
        set: Arc<TlsaSet>,
        /// What the certificate is held against for usage 2 (RFC 7672 §3.2.2), the base domain first.
        references: Vec<Host>,
    },
    /// Level `fingerprint`: this certificate or this public key.
    Fingerprint(Arc<[Fingerprint]>),
    /// Nothing that the host can show would do. In `enforce` mode the host is not dialled at all; in
    /// `observe` mode it is, and this is what would have blocked it.
    Unsatisfiable(Failure),
}

/// Whether an unmet demand blocks.
///
/// Blocking is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// Deliver anyway; log and count what would have been blocked.
    Observe,
    /// Block.
    #[default]
    Enforce,
}

impl Mode {
    /// The word of the rule files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

impl Requirement {
    /// True where mail may leave in plaintext: TLS is tried, and given up on a fresh connection when
    /// the handshake fails.
    pub fn allows_plaintext(&self) -> bool {
        matches!(self.demand, Demand::Plaintext | Demand::Opportunistic)
            || self.mode == Mode::Observe
    }
}

impl fmt::Display for Requirement {
    /// What the host must show, in the words of `waxseal check`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.demand {
            Demand::Plaintext => f.write_str("plaintext")?,
            Demand::Opportunistic => f.write_str("TLS if offered, else plaintext")?,
            Demand::Encryption => f.write_str("TLS with any certificate")?,
            Demand::Pkix { references, roots } => {
                write!(f, "TLS, trusted by {roots:?}, for {}", listed(references))?;
            }
            Demand::Dane { set, references } => {
                let (owner, names) = (set.owner(), listed(references));
                write!(
                    f,
                    "TLS, a match of {owner}, for usage 2 also one of the names {names}"
                )?;
            }
            Demand::Fingerprint(prints) => write!(f, "TLS, one of {} fingerprints", prints.len())?,
            Demand::Unsatisfiable(failure) => failure.fmt(f)?,
        }
        if !self.allows_plaintext() {
            write!(f, ", at least {}", self.min_version)?;
        }
        match self.mode {
            Mode::Observe => f.write_str(" (observed, not enforced)"),
            Mode::Enforce => Ok(()),
        }
    }
}

fn listed<T: ToString>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(T::to_string).collect();
    words.join(", ")
}

/// A name that a certificate is held against (RFC 6125's reference identifier, plus Postfix's `.suffix`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A DNS-ID; the certificate may have a wildcard in its left-most label.
    Name(Host),
    /// Any DNS-ID below this name.
    Below(Host),
    /// An IP address.
    Address(IpAddr),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(host) => host.fmt(f),
            Self::Below(host) => write!(f, ".{host}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Trust anchors, and where they came from.
#[derive(Clone, PartialEq)]
pub struct Roots {
    /// For messages: `webpki`, `system`, or a path.
    pub source: String,
    /// The anchors.
    pub anchors: Vec<TrustAnchor<'static>>,
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} anchors)", self.source, self.anchors.len())
    }
}
