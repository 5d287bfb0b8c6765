//! Certificates for the tests, and a word for each verdict.

mod authority;
mod bits;
mod records;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;

use super::*;
use crate::dns::{Answer, Found, Security};
use crate::time::UnixTime;

/// 2026-01-01.
const NOW: UnixTime = UnixTime(1_767_225_600);

type Certificate = CertificateDer<'static>;
/// Usage, selector and matching type.
type Fields = (u8, u8, u8);

/// A certificate and what it takes to issue others.
struct Made {
    der: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Made {
    fn new(params: CertificateParams, key: KeyPair, signer: Option<&Self>) -> Self {
        let made = match signer {
            Some(signer) => params.signed_by(&key, &signer.issuer),
            None => params.self_signed(&key),
        };
        let der = made.unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self { der, issuer }
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A CA, signed by another or by itself.
fn ca(name: &str, signer: Option<&Made>) -> Made {
    Made::new(ca_params(name), KeyPair::generate().unwrap(), signer)
}

fn leaf_params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

fn leaf(params: CertificateParams, signer: Option<&Made>) -> Certificate {
    Made::new(params, KeyPair::generate().unwrap(), signer).der
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
    params
}

/// A root, an intermediate and a server below it: the chain that the server shows, with the root.
struct Chain {
    root: Made,
    middle: Made,
    shown: Vec<Certificate>,
}

impl Chain {
    fn new() -> Self {
        Self::of(leaf_params("mx.a.test"))
    }

    fn of(params: CertificateParams) -> Self {
        let root = ca("root", None);
        let middle = ca("middle", Some(&root));
        let leaf = leaf(params, Some(&middle));
        let shown = vec![leaf, middle.der.clone(), root.der.clone()];
        Self {
            root,
            middle,
            shown,
        }
    }
}

/// The record that stands for a certificate.
fn tlsa(fields: Fields, der: &[u8]) -> Tlsa {
    let (usage, selector, matching) = fields;
    let part = match selector {
        0 => der,
        _ => x509::public_key(der).unwrap(),
    };
    let data = match matching {
        0 => part.to_vec(),
        1 => digest(&SHA256, part).as_ref().to_vec(),
        _ => digest(&SHA512, part).as_ref().to_vec(),
    };
    Tlsa {
        usage,
        selector,
        matching,
        data,
    }
}

fn set(records: impl Into<Vec<Tlsa>>) -> TlsaSet {
    let answer = Answer {
        security: Security::Secure,
        expanded: None,
        found: Found::Records(records.into()),
    };
    TlsaSet::new("mx.a.test".parse().unwrap(), 25, answer.secure().unwrap())
}

fn judge(records: impl Into<Vec<Tlsa>>, chain: &[Certificate]) -> Result<Match, Mismatch> {
    let names = ["mx.a.test", "a.test"].map(|name| name.parse().unwrap());
    verify(&set(records), &names, chain, NOW)
}

/// The verdict in a word: the depth of the match, `record` where the record brought the authority, or
/// what is amiss.
fn verdict(records: impl Into<Vec<Tlsa>>, chain: &[Certificate]) -> String {
    match judge(records, chain) {
        Ok(Match { depth: None, .. }) => "record".to_owned(),
        Ok(Match {
            depth: Some(depth), ..
        }) => depth.to_string(),
        Err(mismatch) => mismatch.kind().to_string(),
    }
}

const COMBINATIONS: [(u8, u8); 6] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
