//! TLS handshakes: as client with an MX, as server with the MTA.
//!
//! Towards an MX the verifier here checks one thing, the handshake signature: whoever answers owns the
//! key of the certificate that it shows. It refuses no certificate, because at level `may` any is
//! better than plaintext, and because who it must be depends on the message:
//! `policy::authorize` judges the chain afterwards. TLS 1.2 and 1.3 only, 1.3 preferred, with the
//! hybrid group X25519MLKEM768 (post-quantum) offered.

pub(super) mod judged;
pub mod pinned;
mod recorder;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::client::Resumption as Tickets;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, DnsName, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, Error, HandshakeKind, ProtocolVersion, ServerConfig,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::name::Host;
use crate::policy::failure::Fault;
use crate::policy::handshake::{Handshake, Resumption, TlsVersion};

use recorder::Recorder;

/// Makes TLS connections to MX hosts.
#[derive(Clone)]
pub struct TlsClient(TlsConnector);

impl TlsClient {
    /// A client with aws-lc-rs, TLS 1.2 and 1.3.
    pub fn new() -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Recorder::new(&provider);
        let mut config =
            ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
                .with_safe_default_protocol_versions()?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
        // Every connection is a full handshake: nothing crosses from one host to another.
        config.resumption = Tickets::disabled();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands. `name` goes into SNI; without one there is no SNI.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        name: Option<&Host>,
        address: IpAddr,
        within: Duration,
    ) -> Result<(TlsStream<TcpStream>, Handshake), Fault> {
        let name = name
            .and_then(|host| DnsName::try_from(host.as_str().to_owned()).ok())
            .map_or(ServerName::IpAddress(address.into()), ServerName::DnsName);
        let stream = match timeout(within, self.0.connect(name, stream)).await {
            Err(_) => return Err(Fault::Handshake("timed out".to_owned())),
            Ok(Err(error)) => return Err(Fault::Handshake(error.to_string())),
            Ok(Ok(stream)) => stream,
        };
        let handshake = describe(stream.get_ref().1)
            .ok_or_else(|| Fault::Handshake("the handshake left no certificate".to_owned()))?;
        Ok((TlsStream::Client(stream), handshake))
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClient")
    }
}

/// Shakes hands with the MTA.
pub async fn accept(
    config: &Arc<ServerConfig>,
    stream: TcpStream,
    within: Duration,
) -> Result<TlsStream<TcpStream>, String> {
    match timeout(within, TlsAcceptor::from(Arc::clone(config)).accept(stream)).await {
        Err(_) => Err("timed out".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(stream)) => Ok(TlsStream::Server(stream)),
    }
}

/// Takes the evidence out of a finished handshake.
fn describe(connection: &ClientConnection) -> Option<Handshake> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => TlsVersion::Tls12,
        ProtocolVersion::TLSv1_3 => TlsVersion::Tls13,
        _ => return None,
    };
    let chain: Vec<CertificateDer<'static>> = connection
        .peer_certificates()?
        .iter()
        .map(|c| c.clone().into_owned())
        .collect();
    Some(Handshake {
        version,
        cipher: connection
            .negotiated_cipher_suite()?
            .suite()
            .as_str()
            .unwrap_or("unknown"),
        key_exchange: connection
            .negotiated_key_exchange_group()
            .and_then(|group| group.name().as_str())
            .unwrap_or("unknown"),
        resumption: match connection.handshake_kind()? {
            HandshakeKind::Resumed => Resumption::Resumed,
            _ => Resumption::Full,
        },
        chain,
    })
}

#[cfg(test)]
mod tests;
