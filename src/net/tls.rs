//! TLS handshakes: as client with an MX, as server with the MTA.
//!
//! Towards an MX the verifier here checks one thing, the handshake signature: whoever answers owns the
//! key of the certificate that it shows. It refuses no certificate, because at level `may` any is
//! better than plaintext, and because who it must be depends on the message:
//! `policy::authorize` judges the chain afterwards. TLS 1.2 and 1.3 only, 1.3 preferred, with the
//! hybrid group X25519MLKEM768 (post-quantum) offered.
//!
//! Where a session goes on from an earlier one, there is no certificate and nothing to verify: the chain is the one
//! that the earlier handshake showed, and is judged again like any other. Mail is never sent as early data.

pub(super) mod judged;
pub mod pinned;
mod recorder;
mod sessions;

use std::fmt;
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

use crate::policy::failure::Fault;
use crate::policy::handshake::{Handshake, Resumption, TlsVersion};

use recorder::Recorder;
use sessions::Sessions;

pub use sessions::Server;

/// Makes TLS connections to MX hosts.
#[derive(Clone)]
pub struct TlsClient {
    /// With no memory of sessions.
    config: Arc<ClientConfig>,
    sessions: Option<Sessions>,
}

/// How a handshake begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With an earlier session, where there is one and the server takes it.
    Earlier,
    /// From nothing. The sessions of before are forgotten.
    Full,
}

impl TlsClient {
    /// A client with aws-lc-rs, TLS 1.2 and 1.3. Sessions go on for so long after their full handshake; with zero
    /// every handshake is a full one.
    pub fn new(resume_for: Duration) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Recorder::new(&provider);
        let mut config =
            ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
                .with_safe_default_protocol_versions()?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
        config.resumption = Tickets::disabled();
        Ok(Self {
            config: Arc::new(config),
            sessions: (!resume_for.is_zero()).then(|| Sessions::new(resume_for)),
        })
    }

    /// Shakes hands. After a failure the server's sessions are forgotten.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        server: &Server,
        start: Start,
        within: Duration,
    ) -> Result<(TlsStream<TcpStream>, Handshake), Fault> {
        let shaken = self.shake_hands(stream, server, start, within).await;
        if shaken.is_err() {
            self.forget(server);
        }
        shaken
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        server: &Server,
        start: Start,
        within: Duration,
    ) -> Result<(TlsStream<TcpStream>, Handshake), Fault> {
        let name = server.name.as_ref();
        let name = name
            .and_then(|host| DnsName::try_from(host.as_str().to_owned()).ok())
            .map_or(
                ServerName::IpAddress(server.address.ip().into()),
                ServerName::DnsName,
            );
        let connector = match &self.sessions {
            Some(sessions) => sessions.connector(server, start, &self.config),
            None => TlsConnector::from(Arc::clone(&self.config)),
        };
        let stream = match timeout(within, connector.connect(name, stream)).await {
            Err(_) => return Err(Fault::Handshake("timed out".to_owned())),
            Ok(Err(error)) => return Err(Fault::Handshake(error.to_string())),
            Ok(Ok(stream)) => stream,
        };
        let handshake = describe(stream.get_ref().1)
            .ok_or_else(|| Fault::Handshake("the handshake left no certificate".to_owned()))?;
        Ok((TlsStream::Client(stream), handshake))
    }

    /// Whether there may be sessions of this server.
    pub fn knows(&self, server: &Server) -> bool {
        self.sessions
            .as_ref()
            .is_some_and(|sessions| sessions.know(server))
    }

    /// Forgets the sessions of a server, those to come of its connections included.
    pub fn forget(&self, server: &Server) {
        if let Some(sessions) = &self.sessions {
            sessions.forget(server);
        }
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
    let group = connection.negotiated_key_exchange_group();
    let resumption = match connection.handshake_kind()? {
        HandshakeKind::Resumed => Resumption::Resumed,
        _ => Resumption::Full,
    };
    Some(Handshake {
        version,
        cipher: connection
            .negotiated_cipher_suite()?
            .suite()
            .as_str()
            .unwrap_or("unknown"),
        key_exchange: match group {
            // RFC 5246 §7.3: the keys are made of the earlier session's secret.
            None if resumption == Resumption::Resumed => "none",
            group => group
                .and_then(|group| group.name().as_str())
                .unwrap_or("unknown"),
        },
        resumption,
        chain,
    })
}

#[cfg(test)]
mod tests;
