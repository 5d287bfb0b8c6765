//! What the web server has to prove (RFC 8461 §3.3): a certificate that is valid for its very name and leads
//! to a trust anchor, as for a browser.
//!
//! The library verifies; what it is given is bounded here. A stranger may send a hundred issuers that all
//! have the same name, and a search for a path among them tries them in every order.

use std::iter;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, Error, RootCertStore};

use super::SetupError;
use crate::net::tls::judged::{self, Judge, Shown};
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
    let mut config = judged::client(provider, Bounded(verifier.build()?))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The library's verifier, which sees of a chain no more than a search can cope with.
#[derive(Debug)]
struct Bounded(Arc<WebPkiServerVerifier>);

impl Judge for Bounded {
    /// RFC 8461 §3.3: names are DNS-IDs, and a wildcard is the whole left-most label.
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let chain: Vec<_> = iter::once(shown.certificate)
            .chain(shown.intermediates)
            .cloned()
            .collect();
        let issuers = x509::issuers(&chain);
        let (certificate, name) = (shown.certificate, shown.name);
        self.0
            .verify_server_cert(certificate, &issuers, name, shown.ocsp_response, shown.now)
            .map(|_| ())
    }
}
