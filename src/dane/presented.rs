//! The certificates that a server showed, each digest computed at most once.

use std::cell::OnceCell;

use aws_lc_rs::digest::{Algorithm, Digest, SHA256, SHA512, digest};
use rustls::pki_types::CertificateDer;

use crate::dns::Tlsa;
use crate::x509::{self, Outline};

/// A certificate of the chain.
pub(super) struct Presented<'c> {
    pub(super) der: &'c CertificateDer<'static>,
    pub(super) outline: Option<Outline<'c>>,
    whole: Digests,
    key: Digests,
}

#[derive(Default)]
struct Digests {
    sha256: OnceCell<Digest>,
    sha512: OnceCell<Digest>,
}

impl<'c> Presented<'c> {
    /// The chain, the server's own certificate first.
    pub(super) fn chain(chain: &'c [CertificateDer<'static>]) -> Vec<Self> {
        chain.iter().take(x509::MAX_CHAIN).map(Self::new).collect()
    }

    fn new(der: &'c CertificateDer<'static>) -> Self {
        Self {
            der,
            outline: x509::outline(der),
            whole: Digests::default(),
            key: Digests::default(),
        }
    }

    /// Whether this is what the record's data stands for, whatever its usage.
    pub(super) fn is(&self, tlsa: &Tlsa) -> bool {
        let (part, digests) = match (tlsa.selector, self.outline) {
            (0, _) => (self.der.as_ref(), &self.whole),
            (1, Some(outline)) => (outline.public_key, &self.key),
            _ => return false,
        };
        match tlsa.matching {
            0 => part == tlsa.data,
            1 => once(&digests.sha256, &SHA256, part) == tlsa.data,
            2 => once(&digests.sha512, &SHA512, part) == tlsa.data,
            _ => false,
        }
    }
}

fn once<'d>(cell: &'d OnceCell<Digest>, algorithm: &'static Algorithm, part: &[u8]) -> &'d [u8] {
    cell.get_or_init(|| digest(algorithm, part)).as_ref()
}
