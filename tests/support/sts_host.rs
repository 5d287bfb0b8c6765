//! A scripted web server for MTA-STS policies: what it shows is data ([`Site`]), and so is what it saw ([`Record`]).
//!
//! `Site::policy(identity, text)` is the happy path; a fault is one field of it. A site can be changed while it is
//! served, and answers can be held back ([`StsHost::hold`]), to see what happens while everybody waits for one.

mod serve;
mod site;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, sync::watch, task::JoinSet};

pub(crate) use self::site::{Answer, End, Framing, Response, Site, Tls, policy};
use super::{net::listeners_on, within};

/// A request that came as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) connection: usize,
    pub(crate) sni: Option<String>,
    /// The request line and the fields, as they came.
    pub(crate) head: String,
}

impl Request {
    /// `GET /path HTTP/1.1`.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// The value of a field, if there is one.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Everything that a web server saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Connections accepted so far.
    pub(crate) connections: usize,
    /// Connections that the client has ended too.
    pub(crate) closed: usize,
    pub(crate) failed_handshakes: Vec<String>,
    pub(crate) requests: Vec<Request>,
}

/// What its connections share.
#[derive(Clone)]
struct Shared {
    site: Arc<Mutex<Arc<Site>>>,
    record: watch::Sender<Record>,
    held: watch::Sender<bool>,
}

/// A running web server; it and its connections end when it is dropped.
pub(crate) struct StsHost {
    address: SocketAddr,
    shared: Shared,
    _tasks: JoinSet<()>,
}

impl StsHost {
    /// Listens on `ip` at `port`, or with 0 at any.
    pub(crate) async fn start(ip: &str, port: u16, site: Site) -> Self {
        let mut listeners = listeners_on(&[ip], port).await;
        Self::on(listeners.remove(0), site)
    }

    /// Several, each on its own address, at one port that was free on all of them.
    pub(crate) async fn together<const N: usize>(sites: [(&str, Site); N]) -> [Self; N] {
        let ips = sites.each_ref().map(|(ip, _)| *ip);
        let mut listeners = listeners_on(&ips, 0).await.into_iter();
        sites.map(|(_, site)| Self::on(listeners.next().unwrap(), site))
    }

    fn on(listener: TcpListener, site: Site) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            site: Arc::new(Mutex::new(Arc::new(site))),
            record: watch::Sender::default(),
            held: watch::Sender::new(false),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Self {
            address,
            shared,
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

    /// Shows another site to connections from now on.
    pub(crate) fn show(&self, site: Site) {
        *self.shared.site.lock().unwrap() = Arc::new(site);
    }

    /// Gives another answer to connections from now on, with the same certificate.
    pub(crate) fn answer(&self, answer: impl Into<Answer>) {
        let mut site = self.shared.site.lock().unwrap();
        *site = Arc::new(Site {
            tls: site.tls.clone(),
            answer: answer.into(),
        });
    }

    /// Holds all answers back until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Lets the answers go.
    pub(crate) fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Everything that it saw so far.
    pub(crate) fn record(&self) -> Record {
        self.shared.record.borrow().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.record.borrow().connections
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.record().requests
    }

    /// The one request that came.
    pub(crate) fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests: {requests:#?}");
        requests.remove(0)
    }

    /// Waits until the server saw what is wished for; `what` is for the panic.
    pub(crate) async fn until(&self, what: &str, wish: impl FnMut(&Record) -> bool) {
        let mut record = self.shared.record.subscribe();
        within(what, record.wait_for(wish)).await.unwrap();
    }

    /// Waits until all connections are over.
    pub(crate) async fn idle(&self) {
        self.until("the end of all connections", |record| {
            record.closed == record.connections
        })
        .await;
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let number = shared.record.borrow().connections;
        shared.record.send_modify(|record| record.connections += 1);
        connections.spawn(serve::serve(tcp, number, shared.clone()));
    }
}
