//! Sessions that go on, and those that must not.

use std::sync::Mutex;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, Ticketer};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::ProducesTickets;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::super::TlsClient;
use super::*;
use crate::policy::handshake::{Handshake, Resumption};
use crate::x509::odd;

const HOUR: Duration = Duration::from_hours(1);
const WITHIN: Duration = Duration::from_secs(20);
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A certificate and its key.
struct Identity {
    certificate: Vec<u8>,
    key: KeyPair,
}

impl Identity {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::default().self_signed(&key).unwrap();
        let certificate = made.der().to_vec();
        Self { certificate, key }
    }

    /// One that webpki cannot read.
    fn of_version_1() -> Self {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::default().self_signed(&key).unwrap();
        let certificate = odd::version_1(&made, &key);
        Self { certificate, key }
    }
}

/// What a server does; without a ticketer it remembers sessions itself.
fn manners(
    version: &'static SupportedProtocolVersion,
    identity: &Identity,
    ticketer: Option<Arc<dyn ProducesTickets>>,
) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(identity.key.serialize_der()).into();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certificate = CertificateDer::from(identity.certificate.clone());
    let certified = CertifiedKey::new(vec![certificate], key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    if let Some(ticketer) = ticketer {
        config.ticketer = ticketer;
    }
    // It would take early data if there were any.
    config.max_early_data_size = 1000;
    config
}

/// A server that shakes hands, says one octet, and stays until its client goes.
struct Remote {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    task: JoinHandle<()>,
}

impl Remote {
    async fn on(ip: &str, config: ServerConfig) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(Arc::new(config)));
        let manners = Arc::clone(&config);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let config = Arc::clone(&manners.lock().unwrap());
                tokio::spawn(serve(stream, config));
            }
        });
        Self {
            address,
            config,
            task,
        }
    }

    fn becomes(&self, config: ServerConfig) {
        *self.config.lock().unwrap() = Arc::new(config);
    }

    fn server(&self, name: &str) -> Server {
        Server {
            address: self.address,
            name: Some(name.parse().unwrap()),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, config: Arc<ServerConfig>) {
    let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    assert!(stream.get_mut().1.early_data().is_none());
    stream.write_all(b".").await.unwrap();
    let _ = stream.read(&mut [0]).await;
}

/// A connection that has not yet read anything: no ticket of TLS 1.3 has arrived.
async fn begun(
    client: &TlsClient,
    server: &Server,
    start: Start,
) -> (TlsStream<TcpStream>, Handshake) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let shaken = client.handshake(stream, server, start, WITHIN).await;
    shaken.unwrap()
}

/// One connection from its beginning to its end.
async fn visit_from(client: &TlsClient, server: &Server, start: Start) -> Handshake {
    let (mut stream, handshake) = begun(client, server, start).await;
    stream.read_exact(&mut [0]).await.unwrap();
    handshake
}

async fn visit(client: &TlsClient, server: &Server) -> Handshake {
    visit_from(client, server, Start::Earlier).await
}

fn client() -> TlsClient {
    TlsClient::new(HOUR).unwrap()
}

fn is_full(handshake: &Handshake) -> bool {
    handshake.resumption == Resumption::Full
}

/// A server of each version: one that remembers sessions, and one whose tickets do.
fn memories() -> Vec<(
    &'static SupportedProtocolVersion,
    Option<Arc<dyn ProducesTickets>>,
)> {
    let both = |version| [(version, None), (version, Some(Ticketer::new().unwrap()))];
    VERSIONS.into_iter().flat_map(both).collect()
}

#[tokio::test]
async fn a_session_goes_on_with_the_chain_of_its_full_handshake() {
    for (version, ticketer) in memories() {
        for identity in [Identity::new(), Identity::of_version_1()] {
            let config = manners(version, &identity, ticketer.clone());
            let remote = Remote::on("127.0.0.1", config).await;
            let (client, server) = (client(), remote.server("mx.test"));
            assert!(!client.knows(&server));
            let first = visit(&client, &server).await;
            assert!(is_full(&first));
            assert!(client.knows(&server));
            // One after the other, each with what the one before has left.
            for _ in 0..5 {
                let next = visit(&client, &server).await;
                assert!(!is_full(&next), "{version:?}");
                assert_eq!(next.chain, first.chain);
                assert_eq!(next.chain[0].as_ref(), identity.certificate);
                assert_eq!(next.version, first.version);
                assert_eq!(next.cipher, first.cipher);
                let group = if version == &TLS12 {
                    "none"
                } else {
                    first.key_exchange
                };
                assert_eq!(next.key_exchange, group);
            }
        }
    }
}

#[tokio::test]
async fn what_a_server_shows_meanwhile_is_seen_by_a_full_handshake_alone() {
    for version in VERSIONS {
        let [old, new] = [Identity::new(), Identity::new()];
        let ticketer = Ticketer::new().unwrap();
        let config = manners(version, &old, Some(Arc::clone(&ticketer)));
        let remote = Remote::on("127.0.0.1", config).await;
        let (client, server) = (client(), remote.server("mx.test"));
        visit(&client, &server).await;
        remote.becomes(manners(version, &new, Some(ticketer)));
        let resumed = visit(&client, &server).await;
        assert_eq!(resumed.chain[0].as_ref(), old.certificate);
        let full = visit_from(&client, &server, Start::Full).await;
        assert!(is_full(&full));
        assert_eq!(full.chain[0].as_ref(), new.certificate);
        // From now on that is the session which goes on.
        let resumed = visit(&client, &server).await;
        assert!(!is_full(&resumed));
        assert_eq!(resumed.chain[0].as_ref(), new.certificate);
    }
}

#[tokio::test]
async fn a_session_is_of_one_address_one_port_and_one_name() {
    for version in VERSIONS {
        let identity = Identity::new();
        // Machines that would take one another's tickets.
        let ticketer = Ticketer::new().unwrap();
        let config = || manners(version, &identity, Some(Arc::clone(&ticketer)));
        let remote = Remote::on("127.0.0.1", config()).await;
        let other_port = Remote::on("127.0.0.1", config()).await;
        let other_address = Remote::on("127.0.0.2", config()).await;
        let client = client();
        let nameless = Server {
            address: remote.address,
            name: None,
        };
        let servers = [
            remote.server("mx.test"),
            remote.server("other.test"),
            other_port.server("mx.test"),
            other_address.server("mx.test"),
            nameless,
        ];
        for server in &servers {
            assert!(is_full(&visit(&client, server).await), "{server:?}");
        }
        for server in &servers {
            assert!(!is_full(&visit(&client, server).await), "{server:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_knows_the_session_no_more_makes_a_full_handshake() {
    for (version, ticketer) in memories() {
        let identity = Identity::new();
        let restarted = ticketer.is_some().then(|| Ticketer::new().unwrap());
        let remote = Remote::on("127.0.0.1", manners(version, &identity, ticketer)).await;
        let (client, server) = (client(), remote.server("mx.test"));
        visit(&client, &server).await;
        remote.becomes(manners(version, &identity, restarted));
        assert!(is_full(&visit(&client, &server).await));
        assert!(!is_full(&visit(&client, &server).await), "{version:?}");
    }
}

#[tokio::test]
async fn a_forgotten_session_goes_on_no_more_nor_do_its_later_tickets() {
    let remote = Remote::on("127.0.0.1", manners(&TLS13, &Identity::new(), None)).await;
    let (client, server) = (client(), remote.server("mx.test"));
    let (mut early, _) = begun(&client, &server, Start::Earlier).await;
    client.forget(&server);
    // Its tickets come only now.
    early.read_exact(&mut [0]).await.unwrap();
    assert!(!client.knows(&server));
    assert!(is_full(&visit(&client, &server).await));
}

#[tokio::test]
async fn a_handshake_that_fails_is_the_end_of_the_sessions() {
    let remote = Remote::on("127.0.0.1", manners(&TLS13, &Identity::new(), None)).await;
    let (client, server) = (client(), remote.server("mx.test"));
    visit(&client, &server).await;
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(deaf.local_addr().unwrap());
    let (stream, accepted) = tokio::join!(stream, deaf.accept());
    drop(accepted);
    let shaken = client.handshake(stream.unwrap(), &server, Start::Earlier, WITHIN);
    assert!(shaken.await.is_err());
    assert!(!client.knows(&server));
}

#[tokio::test]
async fn no_session_outlives_its_time() {
    for how_long in [Duration::ZERO, Duration::from_nanos(1)] {
        for version in VERSIONS {
            let remote = Remote::on("127.0.0.1", manners(version, &Identity::new(), None)).await;
            let client = TlsClient::new(how_long).unwrap();
            let server = remote.server("mx.test");
            for _ in 0..3 {
                assert!(is_full(&visit(&client, &server).await));
            }
        }
    }
}

#[tokio::test]
async fn the_sessions_of_so_many_servers_are_kept_and_no_more() {
    let (client, sessions) = (client(), Sessions::new(HOUR));
    for number in 0..3 * SERVERS {
        let server = Server {
            address: "127.0.0.1:25".parse().unwrap(),
            name: Some(format!("mx{number}.test").parse().unwrap()),
        };
        sessions.connector(&server, Start::Earlier, &client.config);
    }
    sessions.0.run_pending_tasks();
    assert_eq!(sessions.0.entry_count(), SERVERS);
}
