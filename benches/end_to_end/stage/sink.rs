//! The mail server at the end: STARTTLS, PIPELINING, and a book of what it took.
//!
//! A message says its number and the sum of number and body in its first header line. `taken` on stdin has the
//! number of messages printed, `report` the book as JSON, which is begun anew; the end of stdin is the end of the sink.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex};

use flate2::Crc;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use waxseal::smtp::data::{DataScanner, Status};

use crate::load::body::MARK;
use crate::process;
use crate::stage::chaos::{Chaos, Whim};
use crate::tls;
use crate::wire::Wire;

const PLAIN: &str = "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS\r\n";
const SEALED: &str =
    "250-sink.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n";
/// What the sink took.
#[derive(Serialize, Deserialize, Default, Debug)]
pub(crate) struct Book {
    /// The number of each message whose `250` was sent, and how often.
    pub(crate) taken: HashMap<u64, u32>,
    /// Messages whose sum is wrong.
    pub(crate) corrupted: usize,
    /// Connections.
    pub(crate) connections: u64,
}

struct Sink {
    tls: TlsAcceptor,
    book: Mutex<Book>,
    chaos: Option<Chaos>,
}

pub(crate) async fn serve(port: u16, chaos: Option<Chaos>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let sink = Arc::new(Sink {
        tls: tls::acceptor(),
        book: Mutex::default(),
        chaos,
    });
    let book = Arc::clone(&sink);
    process::obey(move |word| {
        let mut book = book.book.lock().unwrap();
        match word {
            "taken" => book.taken.len().to_string(),
            _ => serde_json::to_string(&std::mem::take(&mut *book)).unwrap(),
        }
    });
    while let Ok((stream, _)) = listener.accept().await {
        let sink = Arc::clone(&sink);
        tokio::spawn(async move { sink.session(stream).await });
    }
}

impl Sink {
    /// A session ends well, or by chance, or because the client is gone.
    async fn session(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let number = {
            let mut book = self.book.lock().unwrap();
            book.connections += 1;
            book.connections
        };
        let mut whim = Whim::new(self.chaos, number);
        if self.chaos.is_some() {
            // What is dropped without a farewell is reset.
            socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))?;
        }
        let mut wire = Wire::new(stream);
        whim.strike(&mut wire).await?;
        wire.send(b"220 sink.example ESMTP\r\n").await?;
        let mut sealed = false;
        while self.flight(&mut wire, &mut whim, &mut sealed).await? {}
        whim.farewell(&mut wire).await
    }

    /// Answers all lines that have arrived with one write; false after QUIT.
    async fn flight(&self, wire: &mut Wire, whim: &mut Whim, sealed: &mut bool) -> Result<bool> {
        let mut replies = String::new();
        loop {
            let line = wire.line().await?;
            whim.strike(wire).await?;
            match line[..4.min(line.len())].to_ascii_uppercase().as_slice() {
                b"EHLO" if *sealed => replies += SEALED,
                b"EHLO" => replies += PLAIN,
                b"STAR" => {
                    wire.send(b"220 2.0.0 Go ahead\r\n").await?;
                    self.seal(wire).await?;
                    *sealed = true;
                    return Ok(true);
                }
                b"DATA" => {
                    replies += "354 Go ahead\r\n";
                    wire.send(replies.as_bytes()).await?;
                    self.message(wire, whim).await?;
                    return Ok(true);
                }
                b"QUIT" => {
                    replies += "221 2.0.0 Bye\r\n";
                    wire.send(replies.as_bytes()).await?;
                    return Ok(false);
                }
                _ => replies += "250 2.0.0 Ok\r\n",
            }
            if wire.arrived.is_empty() {
                wire.send(replies.as_bytes()).await?;
                return Ok(true);
            }
        }
    }

    async fn seal(&self, wire: &mut Wire) -> Result<()> {
        let (nothing, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut wire.stream, Box::new(nothing));
        wire.stream = Box::new(self.tls.accept(stream).await?);
        Ok(())
    }

    async fn message(&self, wire: &mut Wire, whim: &mut Whim) -> Result<()> {
        let sum = content(wire, whim).await?;
        whim.strike(wire).await?;
        {
            let mut book = self.book.lock().unwrap();
            match sum.number() {
                Some(number) => *book.taken.entry(number).or_default() += 1,
                None => book.corrupted += 1,
            }
        }
        wire.send(b"250 2.0.0 Ok: taken\r\n").await
    }
}

async fn content(wire: &mut Wire, whim: &mut Whim) -> Result<Sum> {
    let mut scanner = DataScanner::default();
    let mut sum = Sum::default();
    loop {
        let scan = scanner.scan(&wire.arrived);
        sum.add(&wire.arrived[..scan.taken]);
        wire.arrived.drain(..scan.taken);
        match scan.status {
            Status::End => return Ok(sum),
            Status::BareNewline => return Err(ErrorKind::InvalidData.into()),
            Status::More => wire.more().await?,
        }
        whim.strike(wire).await?;
    }
}

/// The head of a message, and the sum of what follows.
#[derive(Default)]
struct Sum {
    head: Vec<u8>,
    /// The number and the sum as the message says them, and the sum as it is.
    body: Option<(u64, u32, Crc)>,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        if let Some((.., sum)) = &mut self.body {
            sum.update(bytes);
            return;
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
            return;
        };
        if let Ok((number, said)) = said(&self.head[..end]) {
            let mut sum = Crc::new();
            sum.update(&number.to_le_bytes());
            sum.update(&self.head[end + 4..]);
            self.body = Some((number, said, sum));
        }
    }

    /// The number of a message whose sum is right.
    fn number(&self) -> Option<u64> {
        let (number, said, sum) = self.body.as_ref()?;
        (*said == sum.sum()).then_some(*number)
    }
}

fn said(head: &[u8]) -> Result<(u64, u32)> {
    let head = std::str::from_utf8(head).map_err(Error::other)?;
    let mark = head.lines().find_map(|line| line.strip_prefix(MARK));
    let words = mark.and_then(|mark| mark.split_once(' '));
    let (number, sum) = words.ok_or(ErrorKind::InvalidData)?;
    let sum = u32::from_str_radix(sum, 16).map_err(Error::other)?;
    Ok((number.parse().map_err(Error::other)?, sum))
}
