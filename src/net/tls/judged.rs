//! A client whose server's certificate is judged by somebody of waxseal's own, and the signature of the handshake
//! by the library.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// What a server shows of itself.
pub(in crate::net) struct Shown<'a> {
    pub(in crate::net) certificate: &'a CertificateDer<'a>,
    pub(in crate::net) intermediates: &'a [CertificateDer<'a>],
    pub(in crate::net) name: &'a ServerName<'a>,
    pub(in crate::net) ocsp_response: &'a [u8],
    pub(in crate::net) now: UnixTime,
}

/// Whoever says whether that is the right server.
pub(in crate::net) trait Judge: fmt::Debug + Send + Sync + 'static {
    /// Nothing, or why not.
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error>;
}

/// TLS 1.2 and 1.3, without a certificate of the client's.
pub(in crate::net) fn client(
    provider: Arc<CryptoProvider>,
    judge: impl Judge,
) -> Result<ClientConfig, Error> {
    let verifier = Judged {
        judge,
        algorithms: provider.signature_verification_algorithms,
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

#[derive(Debug)]
struct Judged<J> {
    judge: J,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<J: Judge> ServerCertVerifier for Judged<J> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown {
            certificate,
            intermediates,
            name,
            ocsp_response,
            now,
        };
        self.judge.judge(&shown)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
