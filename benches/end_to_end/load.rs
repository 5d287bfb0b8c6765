//! The load generator: sessions of an MTA that pipelines, so many at a time.

pub(crate) mod asking;
pub(crate) mod body;
pub(crate) mod huge;
pub(crate) mod idle;

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::load::body::Body;
use crate::stage::DOMAINS;
use crate::wire::{Wire, connect, greet, greet_sealed};

/// Whom the load meets, and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) way: Way,
}

#[derive(Clone)]
pub(crate) enum Way {
    Plain,
    /// STARTTLS by the MTA itself.
    Tls(TlsConnector),
    /// Through SOCKS 5 to this address.
    Socks(SocketAddr),
    /// Not at all: this policy table is asked.
    Asking(&'static str),
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) per_session: usize,
    pub(crate) at_a_time: usize,
    pub(crate) size: usize,
    pub(crate) domains: usize,
    /// A message that got no `250` is sent again.
    pub(crate) stubborn: bool,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) elapsed: Duration,
    /// The time of each message, from MAIL to the last reply.
    pub(crate) times: Vec<Duration>,
    /// Tries that got no `250`.
    pub(crate) failed: usize,
}

/// How often a message is tried.
const TRIES: usize = 200;

struct Sender {
    target: Target,
    load: Load,
    body: Body,
    next: AtomicU64,
}

/// Sends it all; each message has got its `250` in the end.
pub(crate) async fn send(target: &Target, load: Load) -> Sent {
    let sender = Arc::new(Sender {
        target: target.clone(),
        load,
        body: Body::new(load.size),
        next: AtomicU64::new(0),
    });
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..load.at_a_time {
        let sender = Arc::clone(&sender);
        workers.spawn(async move { sender.work().await });
    }
    let mut sent = Sent::default();
    for worker in workers.join_all().await {
        sent.times.extend(worker.times);
        sent.failed += worker.failed;
    }
    sent.elapsed = began.elapsed();
    sent
}

impl Sender {
    async fn work(&self) -> Sent {
        let mut sent = Sent::default();
        loop {
            let wanted = self.load.per_session as u64;
            let first = self.next.fetch_add(wanted, Ordering::Relaxed);
            let end = (first + wanted).min(self.load.messages as u64);
            if first >= end {
                return sent;
            }
            let mut left = first..end;
            for turn in 0.. {
                let Err(error) = self.session(&mut left, &mut sent).await else {
                    break;
                };
                let patient = self.load.stubborn && turn < TRIES;
                assert!(patient, "a message is lost: {error}");
                sent.failed += 1;
            }
        }
    }

    async fn session(&self, left: &mut std::ops::Range<u64>, sent: &mut Sent) -> Result<()> {
        let mut wire = open(&self.target).await?;
        while !left.is_empty() {
            let began = Instant::now();
            self.message(&mut wire, left.start).await?;
            sent.times.push(began.elapsed());
            left.start += 1;
        }
        if wire.send(b"QUIT\r\n").await.is_ok() {
            let _ = wire.reply().await;
        }
        Ok(())
    }

    async fn message(&self, wire: &mut Wire, number: u64) -> Result<()> {
        wire.send((envelope(number, self.load.domains) + "DATA\r\n").as_bytes())
            .await?;
        let mut refused = Ok(());
        for class in [2, 2, 3] {
            refused = refused.and(wire.expect(class).await);
        }
        refused?;
        self.body.send(wire, number).await?;
        wire.expect(2).await
    }
}

/// MAIL and RCPT.
pub(crate) fn envelope(number: u64, domains: usize) -> String {
    let domain = number % domains.min(DOMAINS) as u64;
    format!("MAIL FROM:<sender@bench.example>\r\nRCPT TO:<somebody@d{domain}.sink.example>\r\n")
}

/// A session up to the reply to EHLO.
pub(crate) async fn open(target: &Target) -> Result<Wire> {
    match &target.way {
        Way::Plain => greet(connect(target.address).await?).await,
        Way::Tls(tls) => greet_sealed(target.address, tls).await,
        Way::Asking(_) => Err(Error::other("it takes no mail")),
        Way::Socks(sink) => greet(socks(target.address, *sink).await?).await,
    }
}

async fn socks(proxy: SocketAddr, sink: SocketAddr) -> Result<TcpStream> {
    let mut stream = connect(proxy).await?;
    stream.write_all(&[5, 1, 0]).await?;
    let mut reply = [0; 2];
    stream.read_exact(&mut reply).await?;
    let mut request = vec![5, 1, 0, 1, 127, 0, 0, 1];
    request.extend_from_slice(&sink.port().to_be_bytes());
    stream.write_all(&request).await?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await?;
    if reply[1] == 0 {
        return Ok(stream);
    }
    Err(Error::other(format!("SOCKS refused: {}", reply[1])))
}
