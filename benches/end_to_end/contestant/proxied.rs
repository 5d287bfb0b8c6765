//! The floor with a pool: a connection to the sink carries the messages of many clients.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use waxseal::smtp::data::{DataScanner, Status};

use crate::contestant::floor::welcome;
use crate::wire::{Wire, greet_sealed};

pub(crate) struct Pool {
    sink: SocketAddr,
    tls: TlsConnector,
    idle: Mutex<Vec<Wire>>,
}

impl Pool {
    pub(crate) fn new(sink: SocketAddr, tls: TlsConnector) -> Self {
        Self {
            sink,
            tls,
            idle: Mutex::default(),
        }
    }

    pub(crate) async fn session(&self, stream: TcpStream) -> Result<()> {
        let mut client = welcome(stream).await?;
        loop {
            let line = client.line().await?;
            if line.starts_with(b"QUIT") {
                return client.send(b"221 2.0.0 Bye\r\n").await;
            }
            let idle = self.idle.lock().unwrap().pop();
            let mut upstream = match idle {
                Some(upstream) => upstream,
                None => greet_sealed(self.sink, &self.tls).await?,
            };
            transaction(line, &mut client, &mut upstream).await?;
            self.idle.lock().unwrap().push(upstream);
        }
    }
}

/// From MAIL to the reply to the end of data; each flight is one write, and so are its replies.
async fn transaction(first: Vec<u8>, client: &mut Wire, upstream: &mut Wire) -> Result<()> {
    let mut line = first;
    loop {
        let mut flight = line.clone();
        let mut commands = 1;
        while !line.starts_with(b"DATA") && !client.arrived.is_empty() {
            line = client.line().await?;
            flight.extend_from_slice(&line);
            commands += 1;
        }
        upstream.send(&flight).await?;
        replies(commands, client, upstream).await?;
        if line.starts_with(b"DATA") {
            break;
        }
        line = client.line().await?;
    }
    content(client, upstream).await?;
    replies(1, client, upstream).await
}

/// Hands so many on.
pub(crate) async fn replies(number: usize, client: &mut Wire, upstream: &mut Wire) -> Result<()> {
    let mut replies = Vec::new();
    for _ in 0..number {
        replies.extend(upstream.reply().await?.1);
    }
    client.send(&replies).await
}

async fn content(client: &mut Wire, upstream: &mut Wire) -> Result<()> {
    let mut scanner = DataScanner::default();
    loop {
        let scan = scanner.scan(&client.arrived);
        upstream.send(&client.arrived[..scan.taken]).await?;
        client.arrived.drain(..scan.taken);
        if scan.status == Status::End {
            return Ok(());
        }
        client.more().await?;
    }
}
