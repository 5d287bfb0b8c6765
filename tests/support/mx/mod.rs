//! A scriptable MX: behaviour is data ([`Script`]), and so is what it saw ([`Record`]).

mod body;
mod record;
mod script;
mod serve;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, task::JoinSet};

pub(crate) use record::{Command, Handshake, Message, Record, Via};
pub(crate) use script::{
    Act, Answer, Ask, EndOfData, Interrupt, Keep, Script, StartTls, Tls, Versions, capabilities,
    last_reply, reply,
};

pub(super) use serve::acceptor;

use self::{record::Ledger, serve::Stage};
use super::{net::listeners_on, within};

/// A running MX; it and its connections end when it is dropped.
pub(crate) struct Mx {
    address: SocketAddr,
    stage: Arc<Mutex<Arc<Stage>>>,
    ledger: Arc<Ledger>,
    _tasks: JoinSet<()>,
}

impl Mx {
    /// Listens on `ip` at `port`, or with 0 at any.
    pub(crate) async fn start(ip: &str, port: u16, script: Script) -> Self {
        let mut listeners = listeners_on(&[ip], port).await;
        Self::on(listeners.remove(0), script)
    }

    /// Several MX, each on its own address, at one port that was free on all of them.
    pub(crate) async fn together<const N: usize>(scripts: [(&str, Script); N]) -> [Self; N] {
        let ips = scripts.each_ref().map(|(ip, _)| *ip);
        let mut listeners = listeners_on(&ips, 0).await.into_iter();
        scripts.map(|(_, script)| Self::on(listeners.next().unwrap(), script))
    }

    fn on(listener: TcpListener, script: Script) -> Self {
        let address = listener.local_addr().unwrap();
        let stage = Arc::new(Mutex::new(Arc::new(Stage::new(script))));
        let ledger = Arc::<Ledger>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&stage), Arc::clone(&ledger)));
        Self {
            address,
            stage,
            ledger,
            _tasks: tasks,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn ip(&self) -> String {
        self.address.ip().to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Plays another script for connections from now on.
    pub(crate) fn play(&self, script: Script) {
        *self.stage.lock().unwrap() = Arc::new(Stage::new(script));
    }

    /// Everything that it saw so far.
    pub(crate) fn record(&self) -> Record {
        self.ledger.read().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.ledger.read().connections
    }

    /// The command lines so far, of all connections.
    pub(crate) fn lines(&self) -> Vec<String> {
        let record = self.ledger.read();
        record
            .commands
            .iter()
            .map(|command| command.line.clone())
            .collect()
    }

    /// How many command lines so far began with this verb.
    pub(crate) fn heard(&self, verb: &str) -> usize {
        let same = |line: &String| {
            line.get(..verb.len())
                .is_some_and(|v| v.eq_ignore_ascii_case(verb))
        };
        self.lines().into_iter().filter(same).count()
    }

    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        self.ledger.read().handshakes.clone()
    }

    /// The messages whose end came.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.ledger.read().messages.clone()
    }

    /// The one message that came.
    pub(crate) fn message(&self) -> Message {
        let mut messages = self.messages();
        assert_eq!(
            messages.len(),
            1,
            "messages at {}: {messages:#?}",
            self.address
        );
        messages.remove(0)
    }

    /// What came of messages whose end did not come.
    pub(crate) fn partials(&self) -> Vec<Message> {
        self.ledger.read().partials.clone()
    }

    /// Waits until the MX saw what is wished for; `what` is for the panic.
    pub(crate) async fn until(&self, what: &str, wish: impl Fn(&Record) -> bool) {
        within(what, self.ledger.until(wish)).await;
    }

    /// Waits until all connections are over.
    pub(crate) async fn idle(&self) {
        self.until("the end of all connections", |record| {
            record.closed == record.connections
        })
        .await;
    }
}

async fn accept(listener: TcpListener, stage: Arc<Mutex<Arc<Stage>>>, ledger: Arc<Ledger>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, peer)) = listener.accept().await {
        // Without it each reply but the first waits for a delayed acknowledgement: 40 ms a message.
        tcp.set_nodelay(true).unwrap();
        let stage = Arc::clone(&stage.lock().unwrap());
        let number = ledger.write(|record| {
            record.connections += 1;
            record.peers.push(peer.ip());
            record.connections - 1
        });
        connections.spawn(serve::serve(tcp, number, stage, Arc::clone(&ledger)));
    }
}
