//! Certificate authorities and the certificates they issue, faultless by default.
//!
//! `ca.server("mx.test")` is the happy path; a fault is one field:
//! `ca.issue(Leaf { period: Period::Expired, ..Leaf::for_host("mx.test") })`. A wrong name is another name, a
//! certificate without SAN has no `names`, a wildcard is the name `*.example.test`, an IP SAN the name `127.0.0.1`.

use std::sync::Arc;

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use waxseal::policy::requirement::Roots;
use webpki::anchor_from_trusted_cert;
use x509_parser::asn1_rs::{Any, FromDer};

use super::hex;

/// Who signs a certificate, and what of the way to the root the server sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Signer {
    /// The CA itself; the server sends the leaf alone.
    #[default]
    Ca,
    /// The CA itself; the server sends the root as well, as DANE-TA(2) asks for.
    CaSent,
    /// An intermediate CA, which the server sends.
    Intermediate,
    /// An intermediate CA, which the server forgets to send.
    IntermediateNotSent,
    /// Its own key.
    Itself,
    /// A CA of the same name that nobody trusts.
    Stranger,
}

/// When a certificate is valid; no test clock comes near the borders.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Period {
    /// 1975 to 4096.
    #[default]
    Valid,
    /// 2001 to 2002.
    Expired,
    /// From 2090.
    NotYet,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum KeyType {
    #[default]
    P256,
    P384,
    Ed25519,
}

/// What the certificate says it is for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Role {
    /// Server and client authentication.
    #[default]
    Server,
    /// Client authentication alone.
    ClientOnly,
    /// CA:TRUE, although a server shows it as its own.
    Ca,
}

/// A certificate to issue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaf {
    /// Subject alternative names: DNS names, wildcards, IP addresses.
    pub(crate) names: Vec<String>,
    /// The subject. Default: the first name.
    pub(crate) common_name: Option<String>,
    pub(crate) signer: Signer,
    pub(crate) period: Period,
    pub(crate) key_type: KeyType,
    pub(crate) role: Role,
}

impl Leaf {
    pub(crate) fn for_host(name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            ..Self::default()
        }
    }
}

/// A certificate authority with one intermediate below it.
pub(crate) struct Ca {
    name: String,
    root: Authority,
    intermediate: Authority,
}

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let root = Authority::root(name);
        let intermediate = Authority::below(&root, &format!("{name} intermediate"));
        Self {
            name: name.to_owned(),
            root,
            intermediate,
        }
    }

    /// The root, to be trusted.
    pub(crate) fn pem(&self) -> String {
        self.root.certificate.pem()
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.root.certificate.der().clone()
    }

    /// The root as the one trust anchor.
    pub(crate) fn roots(&self) -> Arc<Roots> {
        let root = self.certificate();
        let anchor = anchor_from_trusted_cert(&root).unwrap().to_owned();
        Arc::new(Roots {
            source: self.name.clone(),
            anchors: vec![anchor],
        })
    }

    /// TLSA data that trusts this root: `2 0 1 <sha256>`. The server has to send it ([`Signer::CaSent`]).
    pub(crate) fn dane_ta(&self) -> String {
        format!("2 0 1 {}", sha256(self.root.certificate.der()))
    }

    /// TLSA data that trusts the intermediate's key: `2 1 1 <sha256>`.
    pub(crate) fn dane_ta_intermediate(&self) -> String {
        format!(
            "2 1 1 {}",
            public_key_sha256(self.intermediate.certificate.der())
        )
    }

    /// A faultless certificate for one host.
    pub(crate) fn server(&self, host: &str) -> Identity {
        self.issue(Leaf::for_host(host))
    }

    pub(crate) fn issue(&self, leaf: Leaf) -> Identity {
        let signer = leaf.signer;
        let key = KeyPair::generate_for(leaf.key_type.algorithm()).unwrap();
        let params = leaf.params();
        let below = |authority: &Authority| params.signed_by(&key, &authority.issuer).unwrap();
        let (root, intermediate) = (&self.root, &self.intermediate);
        let chain = match signer {
            Signer::Ca => vec![below(root)],
            Signer::CaSent => vec![below(root), root.certificate.clone()],
            Signer::Intermediate => vec![below(intermediate), intermediate.certificate.clone()],
            Signer::IntermediateNotSent => vec![below(intermediate)],
            Signer::Itself => vec![params.self_signed(&key).unwrap()],
            Signer::Stranger => vec![below(&Authority::root(&self.name))],
        };
        Identity::new(&chain, &key)
    }
}

impl Authority {
    fn root(name: &str) -> Self {
        let (params, key) = Self::params(name);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn below(parent: &Self, name: &str) -> Self {
        let (params, key) = Self::params(name);
        let certificate = params.signed_by(&key, &parent.issuer).unwrap();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn params(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params, KeyPair::generate().unwrap())
    }
}

fn subject(common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    subject
}

impl Leaf {
    fn params(self) -> CertificateParams {
        let common_name = self.common_name.or_else(|| self.names.first().cloned());
        let mut params = CertificateParams::new(self.names).unwrap();
        params.distinguished_name = subject(&common_name.unwrap_or_default());
        self.period.apply(&mut params);
        self.role.apply(&mut params);
        params
    }
}

impl Period {
    fn apply(self, params: &mut CertificateParams) {
        match self {
            Self::Valid => {}
            Self::Expired => {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 1, 1);
            }
            Self::NotYet => params.not_before = date_time_ymd(2090, 1, 1),
        }
    }
}

impl Role {
    fn apply(self, params: &mut CertificateParams) {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        match self {
            Self::Server => params.extended_key_usages = vec![ServerAuth, ClientAuth],
            Self::ClientOnly => params.extended_key_usages = vec![ClientAuth],
            Self::Ca => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        }
    }
}

impl KeyType {
    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::P384 => &PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &PKCS_ED25519,
        }
    }
}

/// What a server shows, and the key that proves it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    chain_pem: String,
    key: Vec<u8>,
    key_pem: String,
}

impl Identity {
    fn new(chain: &[Certificate], key: &KeyPair) -> Self {
        Self {
            chain: chain
                .iter()
                .map(|certificate| certificate.der().clone())
                .collect(),
            chain_pem: chain.iter().map(Certificate::pem).collect(),
            key: key.serialize_der(),
            key_pem: key.serialize_pem(),
        }
    }

    /// A self-signed certificate of X.509 version 1, without extensions: webpki reads none of those.
    pub(crate) fn of_version_1(host: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Leaf::for_host(host).params();
        let plain = params.self_signed(&key).unwrap();
        let [tbs, algorithm, _] = elements(plain.der()).try_into().unwrap();
        // Version, serial number, algorithm, issuer, validity, subject, key, extensions.
        let tbs = element(0x30, &elements(&tbs)[1..7].concat());
        let signature = [&[0][..], &key.sign(&tbs).unwrap()].concat();
        let der = element(0x30, &[tbs, algorithm, element(0x03, &signature)].concat());
        Self {
            chain: vec![der.into()],
            ..Self::new(&[plain], &key)
        }
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    pub(crate) fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Fingerprint of the leaf, hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        sha256(&self.chain[0])
    }

    /// Fingerprint of the leaf's public key (`SubjectPublicKeyInfo`), hexadecimal.
    pub(crate) fn public_key_sha256(&self) -> String {
        public_key_sha256(&self.chain[0])
    }

    /// TLSA data that trusts this key: `3 1 1 <sha256>`.
    pub(crate) fn dane_ee(&self) -> String {
        format!("3 1 1 {}", self.public_key_sha256())
    }
}

/// The elements of a sequence of DER.
fn elements(der: &[u8]) -> Vec<Vec<u8>> {
    let (_, sequence) = Any::from_der(der).unwrap();
    let (mut rest, mut found) = (sequence.data, Vec::new());
    while !rest.is_empty() {
        let (behind, _) = Any::from_der(rest).unwrap();
        found.push(rest[..rest.len() - behind.len()].to_vec());
        rest = behind;
    }
    found
}

/// One element of DER.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, 0..128) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], &length[..], contents].concat()
}

/// SHA-256, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn public_key_sha256(certificate: &[u8]) -> String {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).unwrap();
    sha256(certificate.public_key().raw)
}
