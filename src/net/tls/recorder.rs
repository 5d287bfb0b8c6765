//! The one thing that is verified in a handshake: the server owns the key of the certificate it shows.
//!
//! Where webpki cannot read the certificate (version 1, broken extensions), the key is taken out of its
//! outline and the signature verified all the same. A signature that does not verify ends the
//! handshake, whatever the level: nobody would know who is at the other end, or who is in between.

use std::sync::LazyLock;

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RsaParameters, UnparsedPublicKey,
};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs as rustls_aws_lc_rs,
    verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, ServerName,
    SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime, alg_id,
};
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use webpki::{EndEntityCert, RawPublicKeyEntity};

use crate::x509;

/// Verifies that the server owns the key of the certificate it shows, and nothing about the certificate.
#[derive(Debug)]
pub(super) struct Recorder {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Recorder {
    /// With the algorithms of `provider`, and RSA keys from 1024 bits.
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        let algorithms = WebPkiSupportedAlgorithms {
            mapping: &MAPPING,
            ..provider.signature_verification_algorithms
        };
        Self { algorithms }
    }

    /// RFC 5246 §7.4.3: the scheme fixes the digest, and of the key only its kind.
    fn verify_tls12_with_key(
        &self,
        message: &[u8],
        key: &SubjectPublicKeyInfoDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = RawPublicKeyEntity::try_from(key).map_err(|_| CertificateError::BadEncoding)?;
        let mut algorithms = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == dss.scheme)
            .flat_map(|(_, algorithms)| *algorithms);
        let verifies = |algorithm: &&dyn SignatureVerificationAlgorithm| {
            key.verify_signature(*algorithm, message, dss.signature())
                .is_ok()
        };
        if algorithms.any(verifies) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

impl ServerCertVerifier for Recorder {
    /// Accepts: `policy::authorize` judges the chain after the handshake.
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match key_of_odd(cert) {
            None => verify_tls12_signature(message, cert, dss, &self.algorithms),
            Some(key) => self.verify_tls12_with_key(message, &key, dss),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match key_of_odd(cert) {
            None => verify_tls13_signature(message, cert, dss, &self.algorithms),
            Some(key) => verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The key of a certificate that webpki cannot read.
fn key_of_odd<'c>(certificate: &'c CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'c>> {
    match EndEntityCert::try_from(certificate) {
        Ok(_) => None,
        Err(_) => x509::public_key(certificate).map(SubjectPublicKeyInfoDer::from),
    }
}

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// The schemes of the library, with small RSA keys in the two that can take them. Neither exists in TLS
/// 1.3 (RFC 8446 §4.2.3), and RSA-PSS, which does, asks for 2048 bits here.
static MAPPING: LazyLock<Vec<(SignatureScheme, Algorithms)>> = LazyLock::new(|| {
    let provider = rustls_aws_lc_rs::default_provider();
    let mapping = provider.signature_verification_algorithms.mapping.iter();
    mapping
        .map(|(scheme, algorithms)| match *scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => (*scheme, SMALL_RSA_SHA256),
            SignatureScheme::RSA_PKCS1_SHA512 => (*scheme, SMALL_RSA_SHA512),
            _ => (*scheme, *algorithms),
        })
        .collect()
});

const SMALL_RSA_SHA256: Algorithms = &[&SmallRsa {
    signature: alg_id::RSA_PKCS1_SHA256,
    parameters: &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
}];
const SMALL_RSA_SHA512: Algorithms = &[&SmallRsa {
    signature: alg_id::RSA_PKCS1_SHA512,
    parameters: &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
}];

/// RSA with PKCS #1 v1.5 and keys from 1024 bits, which old servers still have. It is for handshake
/// signatures alone: no chain is verified with it.
#[derive(Debug)]
struct SmallRsa {
    signature: AlgorithmIdentifier,
    parameters: &'static RsaParameters,
}

impl SignatureVerificationAlgorithm for SmallRsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.parameters, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
