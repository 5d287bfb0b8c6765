//! What the web server has to prove (RFC 8461 §3.3): a certificate that is valid for its very name and leads
//! to a trust anchor, as for a browser.
//!
//! The library verifies; what it is given is bounded here. A stranger may send a hundred issuers that all
//! have the same name, and a search for a path among them tries them in every order.

use std::iter;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::SetupError;
use crate::policy::requirement::Roots;
use crate::x509;

/// TLS 1.2 and 1.3 with aws-lc-rs; each connection is a full handshake.
pub(super) fn client(roots: &Roots) -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let store = RootCertStore {
        roots: roots.anchors.clone(),
    };
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Bounded(verifier.build()?)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The library's verifier, which sees of a chain no more than a search can cope with.
#[derive(Debug)]
struct Bounded(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Bounded {
    /// RFC 8461 §3.3: names are DNS-IDs, and a wildcard is the whole left-most label.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<_> = iter::once(end_entity)
            .chain(intermediates)
            .cloned()
            .collect();
        let issuers = x509::issuers(&chain);
        self.0
            .verify_server_cert(end_entity, &issuers, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
