//! The floor: what a proxy that only does STARTTLS costs.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::contestant::broken::{self, Flaw};
use crate::contestant::proxied::Pool;
use crate::process;
use crate::tls;
use crate::wire::{Wire, greet_sealed};

const CHUNK: usize = 64 * 1024;

pub(crate) async fn serve(port: u16, sink: SocketAddr, pooled: bool, flaw: Option<Flaw>) {
    process::obey(|_| String::new());
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let tls = tls::connector();
    let pool = Arc::new(Pool::new(sink, tls.clone()));
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, pool) = (tls.clone(), Arc::clone(&pool));
        tokio::spawn(async move {
            if let Some(flaw) = flaw {
                broken::session(flaw, stream, sink, &tls).await
            } else if pooled {
                pool.session(stream).await
            } else {
                copy(stream, sink, &tls).await
            }
        });
    }
}

/// Greets the client by itself; from then on octets are only copied.
async fn copy(stream: TcpStream, sink: SocketAddr, tls: &TlsConnector) -> Result<()> {
    let mut upstream = greet_sealed(sink, tls).await?;
    let mut client = welcome(stream).await?;
    upstream.stream.write_all(&client.arrived).await?;
    copy_bidirectional_with_sizes(&mut client.stream, &mut upstream.stream, CHUNK, CHUNK).await?;
    Ok(())
}

/// A server up to its reply to EHLO.
pub(crate) async fn welcome(stream: TcpStream) -> Result<Wire> {
    stream.set_nodelay(true)?;
    let mut client = Wire::new(stream);
    client.send(b"220 floor.example ESMTP\r\n").await?;
    client.line().await?;
    let capabilities = b"250-floor.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
    client.send(capabilities).await?;
    Ok(client)
}
