//! One connection to a scripted web server.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::server::TlsStream;

use super::{
    Request, Shared,
    site::{Answer, End, Response, Tls},
};
use crate::support::mx::{self, acceptor};

pub(super) async fn serve(tcp: TcpStream, number: usize, shared: Shared) {
    let _ = tcp.set_nodelay(true);
    // However it ends: what is of interest is in the record.
    let _ = connection(tcp, number, &shared).await;
    shared.record.send_modify(|record| record.closed += 1);
}

async fn connection(mut tcp: TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let site = shared.site.lock().unwrap().clone();
    match &site.tls {
        Tls::Shows(identity, versions) => {
            let tls = mx::Tls {
                versions: *versions,
                ..mx::Tls::with(identity.clone())
            };
            match acceptor(&tls).accept(tcp).await {
                Ok(tls) => request(tls, number, shared, &site.answer).await,
                Err(error) => {
                    let error = error.to_string();
                    shared
                        .record
                        .send_modify(|record| record.failed_handshakes.push(error));
                    Ok(())
                }
            }
        }
        Tls::Breaks(bytes) => {
            tcp.readable().await?;
            tcp.write_all(bytes).await?;
            tcp.shutdown().await?;
            drain(&mut tcp).await
        }
        Tls::Resets => {
            tcp.readable().await?;
            reset(&tcp);
            Ok(())
        }
        Tls::Stalls => drain(&mut tcp).await,
    }
}

async fn request(
    mut tls: TlsStream<TcpStream>,
    number: usize,
    shared: &Shared,
    answer: &Answer,
) -> io::Result<()> {
    let head = head(&mut tls).await?;
    let request = Request {
        connection: number,
        sni: tls.get_ref().1.server_name().map(str::to_owned),
        head,
    };
    shared
        .record
        .send_modify(|record| record.requests.push(request));
    let mut gate = shared.held.subscribe();
    gate.wait_for(|held| !held)
        .await
        .map_err(io::Error::other)?;
    match answer {
        Answer::Response(response) => respond(tls, response).await,
        Answer::Raw(bytes) => {
            tls.write_all(bytes).await?;
            tls.shutdown().await?;
            drain(&mut tls).await
        }
        Answer::Endless(first, again, pause) => endless(tls, first, again, *pause).await,
        Answer::Resets => {
            reset(tls.get_ref().0);
            Ok(())
        }
        Answer::Stalls => drain(&mut tls).await,
    }
}

/// The head of a request, up to the empty line.
async fn head(tls: &mut TlsStream<TcpStream>) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tls.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

async fn respond(mut tls: TlsStream<TcpStream>, response: &Response) -> io::Result<()> {
    tls.write_all(&response.bytes()).await?;
    tls.flush().await?;
    match response.end {
        End::Properly => {
            tls.shutdown().await?;
            drain(&mut tls).await
        }
        End::Never => drain(&mut tls).await,
        End::Cut => {
            let (mut tcp, _) = tls.into_inner();
            tcp.shutdown().await?;
            drain(&mut tcp).await
        }
    }
}

/// Until the client has had enough.
async fn endless(
    mut tls: TlsStream<TcpStream>,
    first: &[u8],
    again: &[u8],
    pause: Duration,
) -> io::Result<()> {
    tls.write_all(first).await?;
    loop {
        if !pause.is_zero() {
            sleep(pause).await;
        }
        tls.write_all(again).await?;
        tls.flush().await?;
    }
}

/// Waits for the client to end the connection.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    while stream.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

/// What is dropped now is reset.
fn reset(tcp: &TcpStream) {
    tcp.set_zero_linger().unwrap();
}
