//! Proxies that are broken on purpose: the bench has to notice what each of them does to mail.

use std::io::{ErrorKind, Result};
use std::net::SocketAddr;

use clap::ValueEnum;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use waxseal::smtp::data::{DataScanner, Status};

use crate::contestant::floor::welcome;
use crate::contestant::proxied::replies;
use crate::wire::{Wire, greet_sealed};

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It says `250` before the sink did; what the sink then does not take is lost.
    AcknowledgesEarly,
    /// It changes one bit of the first message of a session.
    FlipsABit,
    /// It hands the first message of a session on twice.
    SendsTwice,
}

/// Each session has its own connection to the sink.
pub(crate) async fn session(
    flaw: Flaw,
    stream: TcpStream,
    sink: SocketAddr,
    tls: &TlsConnector,
) -> Result<()> {
    let mut upstream = greet_sealed(sink, tls).await?;
    let mut client = welcome(stream).await?;
    for number in 0.. {
        let mut envelope = client.line().await?;
        if envelope.starts_with(b"QUIT") {
            break;
        }
        envelope.extend(client.line().await?);
        envelope.extend(client.line().await?);
        upstream.send(&envelope).await?;
        replies(3, &mut client, &mut upstream).await?;
        let mut content = content(&mut client).await?;
        let first = number == 0;
        if first && flaw == Flaw::FlipsABit {
            let letter = content.iter().rposition(u8::is_ascii_alphabetic);
            content[letter.ok_or(ErrorKind::InvalidData)?] ^= 1;
        }
        upstream.send(&content).await?;
        if flaw == Flaw::AcknowledgesEarly {
            client.send(b"250 2.0.0 Ok\r\n").await?;
            upstream.expect(2).await?;
            continue;
        }
        if first && flaw == Flaw::SendsTwice {
            upstream.expect(2).await?;
            upstream.send(&envelope).await?;
            for class in [2, 2, 3] {
                upstream.expect(class).await?;
            }
            upstream.send(&content).await?;
        }
        replies(1, &mut client, &mut upstream).await?;
    }
    client.send(b"221 2.0.0 Bye\r\n").await
}

async fn content(client: &mut Wire) -> Result<Vec<u8>> {
    let mut scanner = DataScanner::default();
    let mut content = Vec::new();
    loop {
        let scan = scanner.scan(&client.arrived);
        content.extend(client.arrived.drain(..scan.taken));
        if scan.status == Status::End {
            return Ok(content);
        }
        client.more().await?;
    }
}
