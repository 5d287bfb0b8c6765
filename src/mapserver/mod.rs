//! The policy table for Postfix, over the socketmap protocol: Postfix asks what it has to prove about a destination,
//! and does the rest itself.
//!
//! Whoever knows the answers is handed in as a [`Table`]; this room lets clients in, finds their requests and writes
//! the replies, in the order of the requests. It promises that a client costs the same memory whatever it sends: one
//! buffer for what has arrived, one for replies, which are sent before more is read. A client that says something
//! else than a request hears why, and that is the end of its connection. On a stop the requests that have arrived
//! whole are answered, and Postfix asks the others again elsewhere or later: it keeps the mail.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::policy::outcome::{Event, MapEvent, Observer};
use crate::policy::postfix::{Answer, Attributes};
use crate::policy::refusal::Refusal;
use crate::socketmap::Reply;

mod session;

/// The one table that there is: the last word of `socketmap:inet:127.0.0.1:8461:waxseal`.
pub const TABLE: &str = "waxseal";

/// After an error of `accept` (such as no free file descriptor) there is this pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Whoever knows what Postfix is to be told.
pub trait Table: Send + Sync {
    /// What holds for the next hop `key`, as Postfix has it.
    fn answer<'a>(&'a self, key: &'a str, attributes: Attributes) -> Asked<'a>;
}

/// What becomes of a question.
pub enum Asked<'a> {
    /// The answer is known.
    Known(Arc<Answer>),
    /// It has to be found out.
    LookUp(BoxFuture<'a, Arc<Answer>>),
}

/// One listener for Postfix.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Networks that a client may connect from.
    pub allow: Vec<IpNet>,
    /// Sessions at the same time.
    pub max_sessions: usize,
    /// Whether Postfix is new enough for the attributes of MTA-STS.
    pub attributes: Attributes,
}

/// Waits.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For the next request, and for the client to take a reply.
    pub idle: Duration,
    /// For requests in flight when waxseal stops.
    pub drain: Duration,
}

/// One listener, and all that its sessions need.
pub struct MapServer {
    /// The listener.
    pub listener: Listener,
    /// Waits.
    pub waits: Waits,
    /// Knows the answers.
    pub table: Arc<dyn Table>,
    /// Counts and logs.
    pub observer: Arc<dyn Observer>,
}

impl MapServer {
    /// Serves `socket` until `draining` turns true; then waits for the sessions, but not for ever.
    pub async fn serve(self, socket: TcpListener, mut draining: watch::Receiver<bool>) {
        let server = Arc::new(self);
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                () = order_to_stop(&mut draining) => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                accepted = socket.accept() => match accepted {
                    Ok((stream, client)) => server.admit(stream, client, &mut sessions, &draining),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(socket);
        let all = async { while sessions.join_next().await.is_some() {} };
        if timeout(server.waits.drain, all).await.is_err() {
            sessions.shutdown().await;
        }
    }

    fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        sessions: &mut JoinSet<()>,
        draining: &watch::Receiver<bool>,
    ) {
        // A reply must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        if let Some(refusal) = self.refusal(client.ip().to_canonical(), sessions.len()) {
            self.record(MapEvent::Refused(refusal));
            tokio::spawn(session::farewell(stream, reply_to(refusal)));
            return;
        }
        let open = Open::new(Arc::clone(self));
        let draining = draining.clone();
        sessions.spawn(async move { session::Session::new(&open.0, stream, draining).run().await });
    }

    fn refusal(&self, client: IpAddr, sessions: usize) -> Option<Refusal> {
        let allow = &self.listener.allow;
        if !allow.iter().any(|network| network.contains(&client)) {
            Some(Refusal::NotAllowed)
        } else if sessions >= self.listener.max_sessions {
            Some(Refusal::Overloaded)
        } else {
            None
        }
    }

    fn record(&self, event: MapEvent) {
        self.observer.record(Event::Map(event));
    }
}

/// Waits until waxseal is told to stop. Nobody left to tell it is the same.
async fn order_to_stop(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

/// What a client hears that is turned away, whatever it was about to ask.
fn reply_to(refusal: Refusal) -> Reply<'static> {
    match refusal {
        Refusal::NotAllowed => {
            Reply::Perm("your address is in no `allow` network of this listener")
        }
        _ => Reply::Temp("too many sessions (max_sessions), try again later"),
    }
}

/// An answer as it goes over the wire.
pub fn reply(answer: &Answer) -> Reply<'_> {
    match answer {
        Answer::Policy(policy) => Reply::Found(policy),
        Answer::Nothing(_) => Reply::NotFound,
        Answer::Later(reason) => Reply::Temp(reason),
        Answer::Never(reason) => Reply::Perm(reason),
    }
}

/// Counts a session for as long as it lives, also when it is cut off.
struct Open(Arc<MapServer>);

impl Open {
    fn new(server: Arc<MapServer>) -> Self {
        server.record(MapEvent::Opened);
        Self(server)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.record(MapEvent::Closed);
    }
}
