//! Handshakes with a server that shows odd certificates, and with one that does not own what it shows.

use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256,
};
use tokio::net::TcpListener;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::internal::msgs::codec::{Codec, Reader};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    DigitallySignedStruct, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion,
};

use super::*;
use crate::policy::handshake::Fingerprint;
use crate::x509::{self, odd};

/// A server that shows `certificate` and signs with `key`, whether they belong together or not.
fn server(
    version: &'static SupportedProtocolVersion,
    certificate: &[u8],
    key: &KeyPair,
) -> TlsAcceptor {
    let key = loaded(key);
    serving(version, certificate, key)
}

fn loaded(key: &KeyPair) -> Arc<dyn SigningKey> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = aws_lc_rs::default_provider();
    provider.key_provider.load_private_key(key).unwrap()
}

fn serving(
    version: &'static SupportedProtocolVersion,
    certificate: &[u8],
    key: Arc<dyn SigningKey>,
) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certified = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    TlsAcceptor::from(Arc::new(config))
}

async fn shake_hands(
    version: &'static SupportedProtocolVersion,
    certificate: &[u8],
    key: &KeyPair,
) -> Result<Handshake, Fault> {
    shake_hands_with(server(version, certificate, key)).await
}

async fn shake_hands_with(acceptor: TlsAcceptor) -> Result<Handshake, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_ok()
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let client = TlsClient::new(Duration::ZERO).unwrap();
    let server_of = Server {
        address,
        name: None,
    };
    let within = Duration::from_secs(20);
    let shaken = client
        .handshake(stream, &server_of, Start::Full, within)
        .await;
    // A stream that is dropped too early could look like a failure to the server.
    server.await.unwrap();
    shaken.map(|(_, handshake)| handshake)
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const WRONG: &str = "invalid peer certificate: BadSignature";

#[tokio::test]
async fn the_signature_of_an_odd_certificate_is_verified() {
    let [key, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
    for (what, certificate) in odd::certificates(&key) {
        for version in VERSIONS {
            let good = shake_hands(version, &certificate, &key).await;
            assert_eq!(good.unwrap().chain[0].as_ref(), certificate, "{what}");
            let bad = shake_hands(version, &certificate, &other).await;
            assert_eq!(bad, Err(Fault::Handshake(WRONG.to_owned())), "{what}");
        }
    }
}

/// A key whose signatures have one wrong bit.
#[derive(Debug)]
struct Flipping {
    key: Arc<dyn SigningKey>,
    bit: usize,
}

impl SigningKey for Flipping {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = self.key.choose_scheme(offered)?;
        let bit = self.bit;
        Some(Box::new(FlippingSigner { signer, bit }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[derive(Debug)]
struct FlippingSigner {
    signer: Box<dyn Signer>,
    bit: usize,
}

impl Signer for FlippingSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = self.signer.sign(message)?;
        let at = self.bit / 8 % signature.len();
        signature[at] ^= 1 << (self.bit % 8);
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.signer.scheme()
    }
}

#[tokio::test]
async fn one_wrong_bit_of_the_handshake_signature_ends_it() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let plain = CertificateParams::default().self_signed(&pair).unwrap();
        let odd = odd::version_1(&plain, &pair);
        let key = loaded(&pair);
        for (version, certificate) in [
            (VERSIONS[0], plain.der().as_ref()),
            (VERSIONS[1], plain.der().as_ref()),
            (VERSIONS[0], &odd),
            (VERSIONS[1], &odd),
        ] {
            for bit in (0..512).step_by(13) {
                let key = Arc::clone(&key);
                let flipping = Arc::new(Flipping { key, bit });
                let shaken = shake_hands_with(serving(version, certificate, flipping)).await;
                assert!(shaken.is_err(), "bit {bit}: {shaken:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_of_version_1_may_have_any_key() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
        &PKCS_RSA_SHA256,
    ] {
        let [key, other] = [(); 2].map(|()| KeyPair::generate_for(algorithm).unwrap());
        let plain = CertificateParams::default().self_signed(&key).unwrap();
        let certificate = odd::version_1(&plain, &key);
        for version in VERSIONS {
            for der in [plain.der().as_ref(), &certificate] {
                let good = shake_hands(version, der, &key).await.unwrap();
                let print = Fingerprint::of_public_key(&good.chain[0]);
                assert_eq!(print, x509::public_key(der).map(Fingerprint::of));
                let bad = shake_hands(version, der, &other).await;
                assert_eq!(bad, Err(Fault::Handshake(WRONG.to_owned())));
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_without_a_key_proves_nothing() {
    let key = KeyPair::generate().unwrap();
    for version in VERSIONS {
        for rubbish in [&b"no certificate"[..], &[0x30, 0], &[0x30, 2, 0x30, 0]] {
            assert!(shake_hands(version, rubbish, &key).await.is_err());
        }
    }
}

/// A certificate with an RSA key of 1024 bits, and `signed` signed with it.
const SMALL: &[u8] = include_bytes!("../../../tests/data/rsa1024/certificate.der");
const PKCS1_SHA256: &[u8] = include_bytes!("../../../tests/data/rsa1024/pkcs1-sha256");
const PKCS1_SHA384: &[u8] = include_bytes!("../../../tests/data/rsa1024/pkcs1-sha384");
const PKCS1_SHA512: &[u8] = include_bytes!("../../../tests/data/rsa1024/pkcs1-sha512");
const PSS_SHA256: &[u8] = include_bytes!("../../../tests/data/rsa1024/pss-sha256");

fn signature(scheme: SignatureScheme, octets: &[u8]) -> DigitallySignedStruct {
    let mut encoded = u16::from(scheme).to_be_bytes().to_vec();
    encoded.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
    encoded.extend(octets);
    DigitallySignedStruct::read(&mut Reader::init(&encoded)).unwrap()
}

/// Whether it verifies with the small key in TLS 1.2; in TLS 1.3 it never does.
fn verifies(message: &[u8], scheme: SignatureScheme, octets: &[u8]) -> bool {
    let recorder = Recorder::new(&aws_lc_rs::default_provider());
    let certificate = CertificateDer::from(SMALL);
    let signature = signature(scheme, octets);
    let in_1_3 = recorder.verify_tls13_signature(message, &certificate, &signature);
    assert!(in_1_3.is_err(), "{scheme:?}");
    let in_1_2 = recorder.verify_tls12_signature(message, &certificate, &signature);
    in_1_2.is_ok()
}

#[test]
fn a_small_rsa_key_signs_in_tls_1_2() {
    use SignatureScheme as Scheme;
    assert!(verifies(b"signed", Scheme::RSA_PKCS1_SHA256, PKCS1_SHA256));
    assert!(verifies(b"signed", Scheme::RSA_PKCS1_SHA512, PKCS1_SHA512));
}

#[test]
fn a_wrong_signature_of_a_small_rsa_key_is_refused() {
    use SignatureScheme as Scheme;
    let [by_256, by_512] = [Scheme::RSA_PKCS1_SHA256, Scheme::RSA_PKCS1_SHA512];
    for (message, scheme, octets, why) in [
        (&b"forged"[..], by_256, PKCS1_SHA256, "another message"),
        (b"forged", by_512, PKCS1_SHA512, "another message"),
        (b"signed", by_256, PKCS1_SHA512, "another digest"),
        (b"signed", by_512, PKCS1_SHA256, "another digest"),
        (b"signed", by_256, &PKCS1_SHA256[1..], "cut"),
        (b"signed", by_256, &[], "nothing"),
        (
            b"signed",
            Scheme::RSA_PKCS1_SHA384,
            PKCS1_SHA384,
            "not known",
        ),
        (b"signed", Scheme::RSA_PSS_SHA256, PSS_SHA256, "not known"),
    ] {
        assert!(!verifies(message, scheme, octets), "{scheme:?}: {why}");
    }
}

#[test]
fn the_same_schemes_are_offered_as_without_small_keys() {
    let provider = aws_lc_rs::default_provider();
    let usual = provider
        .signature_verification_algorithms
        .supported_schemes();
    assert_eq!(Recorder::new(&provider).supported_verify_schemes(), usual);
}
