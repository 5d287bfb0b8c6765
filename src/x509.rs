//! A certificate's outline: just enough of X.509 to find its key and its names.
//!
//! Mail servers show certificates that no strict parser takes: X.509 v1, serial numbers below zero,
//! dates and texts in the wrong encoding, extensions that contradict each other. Where nothing but the
//! key counts, as for a handshake signature, a fingerprint, or a TLSA record of usage 3, what is wrong
//! beside the key must not matter. So the walk here reads tags and lengths and no contents, and
//! promises nothing about the certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, FromBer};

/// Certificates of a chain that are looked at: real ones have two to four.
pub const MAX_CHAIN: usize = 16;
/// How many issuers of the same name are considered: a search for a path tries them all at each step.
const MAX_NAMESAKES: usize = 3;

/// Identifier octets.
const VERSION: u8 = 0xa0;
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// The parts of a certificate that it is told apart by, each with its tag and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The name of the issuer.
    pub issuer: &'a [u8],
    /// The name of the subject.
    pub subject: &'a [u8],
    /// The `SubjectPublicKeyInfo`.
    pub public_key: &'a [u8],
}

/// The outline of a certificate (RFC 5280 §4.1); `None` where there is none to be seen.
pub fn outline(certificate: &[u8]) -> Option<Outline<'_>> {
    let (certificate, _) = sequence(certificate)?;
    let (mut rest, _) = sequence(certificate)?;
    // RFC 5280 §4.1.2.1: version 1 is the default, which is not encoded.
    if element(rest)?.is(VERSION) {
        rest = element(rest)?.rest;
    }
    let [_serial, _signature, issuer, _validity, subject] = elements(&mut rest)?;
    let public_key = element(rest)?;
    is_public_key(public_key.whole).then_some(Outline {
        issuer,
        subject,
        public_key: public_key.whole,
    })
}

/// The `SubjectPublicKeyInfo` of a certificate, with its tag and length.
pub fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    outline(certificate).map(|outline| outline.public_key)
}

/// Whether `der` is an outlined certificate and nothing behind it.
pub fn is_certificate(der: &[u8]) -> bool {
    is_alone(der) && outline(der).is_some()
}

/// Whether `der` looks like a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) and nothing behind it: an
/// algorithm and a bit string.
pub fn is_public_key(der: &[u8]) -> bool {
    let parts = || {
        let (key, _) = sequence(der)?;
        let (_, bits) = sequence(key)?;
        element(bits)
    };
    is_alone(der) && parts().is_some_and(|bits| bits.is(BIT_STRING))
}

/// The issuers in a chain whose first certificate is the server's: each once, those without an outline left
/// out, and no more than a search for a path can cope with, for the chain is a stranger's.
pub fn issuers<'c>(chain: &'c [CertificateDer<'_>]) -> Vec<CertificateDer<'c>> {
    let mut issuers: Vec<CertificateDer<'c>> = Vec::new();
    let mut subjects: Vec<&[u8]> = Vec::new();
    for certificate in chain.iter().take(MAX_CHAIN).skip(1) {
        let der: &'c [u8] = certificate.as_ref();
        let Some(outline) = outline(der) else {
            continue;
        };
        let namesakes = subjects.iter().filter(|name| **name == outline.subject);
        let known = issuers.iter().any(|issuer| issuer.as_ref() == der);
        if namesakes.count() < MAX_NAMESAKES && !known {
            subjects.push(outline.subject);
            issuers.push(CertificateDer::from(der));
        }
    }
    issuers
}

/// What is inside one element, without its tag and length.
pub fn contents(der: &[u8]) -> Option<&[u8]> {
    element(der).map(|element| element.contents)
}

/// One element and what follows it.
struct Element<'a> {
    contents: &'a [u8],
    whole: &'a [u8],
    rest: &'a [u8],
}

impl Element<'_> {
    fn is(&self, identifier: u8) -> bool {
        self.whole.first() == Some(&identifier)
    }
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    // BER, because a length in more octets than DER allows is no reason to give up.
    let (rest, any) = Any::from_ber(der).ok()?;
    let whole = &der[..der.len() - rest.len()];
    let contents = any.data;
    Some(Element {
        contents,
        whole,
        rest,
    })
}

/// The contents of a sequence, and what follows it.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let element = element(der)?;
    element
        .is(SEQUENCE)
        .then_some((element.contents, element.rest))
}

/// The next elements, each with its tag and length.
fn elements<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<[&'a [u8]; N]> {
    let mut found = [*rest; N];
    for slot in &mut found {
        let next = element(rest)?;
        (*slot, *rest) = (next.whole, next.rest);
    }
    Some(found)
}

fn is_alone(der: &[u8]) -> bool {
    element(der).is_some_and(|element| element.rest.is_empty())
}

#[cfg(test)]
pub(crate) mod odd;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn plain() -> Vec<u8> {
        let params = CertificateParams::new(vec!["mx.test".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_plain_certificate_has_the_outline_that_a_parser_finds() {
        let der = plain();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let outline = outline(&der).unwrap();
        assert_eq!(outline.public_key, parsed.public_key().raw);
        assert_eq!(outline.subject, parsed.subject().as_raw());
        assert_eq!(outline.issuer, parsed.issuer().as_raw());
        assert!(is_certificate(&der) && !is_public_key(&der));
        assert!(is_public_key(outline.public_key) && !is_certificate(outline.public_key));
    }

    #[test]
    fn an_odd_certificate_has_one_too() {
        for (what, der) in odd::certificates(&KeyPair::generate().unwrap()) {
            let outline = outline(&der).expect(what);
            assert!(is_public_key(outline.public_key), "{what}");
            assert!(is_certificate(&der), "{what}");
        }
    }

    #[test]
    fn of_a_chain_only_a_few_issuers_of_one_name_are_considered() {
        let chain: Vec<CertificateDer<'_>> = (0..40).map(|_| plain().into()).collect();
        assert_eq!(issuers(&chain).len(), MAX_NAMESAKES);
        let same = vec![chain[0].clone(); 40];
        assert_eq!(issuers(&same).len(), 1);
        assert!(issuers(&chain[..1]).is_empty());
        let unreadable = vec![b"no certificate".to_vec().into(); 3];
        assert!(issuers(&unreadable).is_empty());
    }

    #[test]
    fn half_a_certificate_has_none() {
        let der = plain();
        for end in 0..der.len() {
            assert_eq!(outline(&der[..end]), None);
        }
        assert!(outline(&[&der[..], b"more"].concat()).is_some());
        assert!(!is_certificate(&[&der[..], b"more"].concat()));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>, at: prop::sample::Index, octet: u8) {
            outline(&octets);
            let mut der = plain();
            let at = at.index(der.len());
            der[at] = octet;
            outline(&der);
        }
    }
}
