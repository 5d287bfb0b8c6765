//! A client that knows the one certificate it wants to see, whatever stands in it.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error};

use super::judged::{self, Judge, Shown};

/// For connections to the server that has `certificate`; without one there are none that it trusts.
pub fn client(certificate: Option<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    judged::client(provider, Pinned(certificate))
}

#[derive(Debug)]
struct Pinned(Option<CertificateDer<'static>>);

impl Judge for Pinned {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        if self.0.as_ref() == Some(shown.certificate) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}
