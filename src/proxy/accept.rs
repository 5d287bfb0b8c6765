//! Lets MTAs in: who may connect, how many, and how it ends.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::net::stream::{Socket, Wire};
use crate::policy::outcome::{Event, Ingress};
use crate::policy::refusal::Refusal;
use crate::proxy::gate::{Gate, SessionGate};
use crate::proxy::session::{Driver, Transaction};
use crate::proxy::settings::{Listener, MtaTls};
use crate::smtp::session::{Flavour, Session, Settings as SessionSettings, StartTls};

/// A client that is turned away gets this long to take the reply.
const FAREWELL: Duration = Duration::from_secs(5);
/// After an error of `accept` (such as no free file descriptor) there is this pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `socket` until `draining` turns true; then waits for the sessions, at most as long as
/// `drain` says, and ends those that are left.
pub async fn serve(
    socket: TcpListener,
    listener: Listener,
    gates: Arc<ArcSwap<Gate>>,
    mut draining: watch::Receiver<bool>,
) {
    let doorman = Doorman {
        listener,
        gates,
        stop: CancellationToken::new(),
    };
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = order_to_stop(&mut draining) => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            accepted = socket.accept() => match accepted {
                Ok((stream, client)) => doorman.admit(stream, client, &mut sessions),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(socket);
    doorman.stop.cancel();
    let drain = doorman.gates.load().settings.timeouts.drain;
    let finished = timeout(drain, async {
        while sessions.join_next().await.is_some() {}
    })
    .await;
    if finished.is_err() {
        tracing::warn!(
            sessions = sessions.len(),
            "sessions still open after the drain time; their messages stay with the MTA"
        );
        sessions.shutdown().await;
    }
}

/// Waits until waxseal is told to stop. Nobody left to tell it is the same.
async fn order_to_stop(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

struct Doorman {
    listener: Listener,
    gates: Arc<ArcSwap<Gate>>,
    stop: CancellationToken,
}

impl Doorman {
    fn admit(&self, stream: TcpStream, client: SocketAddr, sessions: &mut JoinSet<()>) {
        let gate = self.gates.load_full();
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let refusal = if !self.allows(client.ip()) {
            Some(Refusal::NotAllowed)
        } else if sessions.len() >= self.listener.max_sessions {
            Some(Refusal::Overloaded)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            tracing::info!(client = %client.ip(), reason = refusal.label(), "connection turned away");
            gate.observer
                .record(Event::Refused(self.listener.kind, refusal));
            // What an SMTP reply is, a SOCKS client does not know.
            if self.listener.kind != Ingress::Socks5 {
                tokio::spawn(turn_away(stream, refusal));
            }
            return;
        }
        let driver = self.driver(stream, client, gate);
        let open = Open::new(Arc::clone(&driver.gate), self.listener.kind);
        let session = async move {
            driver.run().await;
            drop(open);
        };
        // In a box: the runtime moves what it is given several times.
        sessions.spawn(session.boxed());
    }

    fn allows(&self, client: IpAddr) -> bool {
        self.listener
            .allow
            .iter()
            .any(|network| network.contains(&client))
    }

    fn driver(&self, stream: TcpStream, client: SocketAddr, gate: Arc<Gate>) -> Driver {
        // A reply must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (tls, starttls) = match &self.listener.tls {
            MtaTls::Off => (None, StartTls::NotOffered),
            MtaTls::Offered(config) => (Some(Arc::clone(config)), StartTls::Offered),
            MtaTls::Required(config) => (Some(Arc::clone(config)), StartTls::Required),
            MtaTls::PassedOn => (None, StartTls::PassedOn),
        };
        let settings = session_settings(&gate, self.listener.kind, starttls);
        Driver {
            gates: Arc::clone(&self.gates),
            gate: Arc::new(gate),
            ingress: self.listener.kind,
            client,
            chooser: self.listener.chooser.clone(),
            chosen: None,
            wire: Wire::new(Socket::Plain(stream)),
            session: Session::new(Arc::new(settings)),
            tls,
            stop: self.stop.child_token(),
            output: Vec::new(),
            burst: Vec::new(),
            transaction: Transaction::default(),
        }
    }
}

fn session_settings(gate: &Gate, kind: Ingress, starttls: StartTls) -> SessionSettings {
    let limits = &gate.settings.limits;
    SessionSettings {
        flavour: match kind {
            Ingress::Relay => Flavour::Relay,
            Ingress::Lmtp => Flavour::Lmtp,
            Ingress::Transparent | Ingress::Socks5 => Flavour::Transparent,
        },
        hostname: Arc::clone(&gate.settings.hostname),
        max_size: gate.settings.max_size,
        starttls,
        max_recipients: limits.max_recipients,
        max_legs: limits.max_legs,
        max_errors: limits.max_errors,
    }
}

async fn turn_away(stream: TcpStream, refusal: Refusal) {
    let mut reply = Vec::new();
    refusal.reply().write_to(&mut reply);
    let mut wire = Wire::new(Socket::Plain(stream));
    if wire.send(&reply, FAREWELL).await.is_ok() {
        let _ = wire.shutdown().await;
    }
}

/// Counts a session for as long as it lives, also when it is cut off.
struct Open {
    gate: SessionGate,
    kind: Ingress,
}

impl Open {
    fn new(gate: SessionGate, kind: Ingress) -> Self {
        gate.observer.record(Event::SessionOpened(kind));
        Self { gate, kind }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gate.observer.record(Event::SessionClosed(self.kind));
    }
}
