//! Both ends of SMTP, as little as a bench needs: buffered lines in, whole flights out, STARTTLS of a client.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use memchr::memchr;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::HOST;

const CHUNK: usize = 64 * 1024;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection, and what has arrived of it and was not looked at yet.
pub(crate) struct Wire {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) arrived: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            arrived: Vec::new(),
        }
    }

    /// Waits for more; an end is an error.
    pub(crate) async fn more(&mut self) -> Result<()> {
        self.arrived.reserve(CHUNK);
        match self.stream.read_buf(&mut self.arrived).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next line, its CRLF included.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = memchr(b'\n', &self.arrived) {
                return Ok(self.arrived.drain(..=at).collect());
            }
            self.more().await?;
        }
    }

    /// The next reply: its code, and all of it.
    pub(crate) async fn reply(&mut self) -> Result<(u16, Vec<u8>)> {
        let mut text = Vec::new();
        loop {
            let line = self.line().await?;
            text.extend_from_slice(&line);
            if line.get(3) != Some(&b'-') {
                let code = line
                    .get(..3)
                    .and_then(|code| std::str::from_utf8(code).ok());
                let code = code.and_then(|code| code.parse().ok());
                return Ok((code.ok_or(ErrorKind::InvalidData)?, text));
            }
        }
    }

    /// The next reply has to be of this class.
    pub(crate) async fn expect(&mut self, class: u16) -> Result<()> {
        let (code, text) = self.reply().await?;
        if code / 100 == class {
            return Ok(());
        }
        Err(Error::other(String::from_utf8_lossy(&text).into_owned()))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

/// A client up to the reply to EHLO, in plaintext.
pub(crate) async fn greet(stream: TcpStream) -> Result<Wire> {
    let mut wire = Wire::new(stream);
    wire.expect(2).await?;
    wire.send(b"EHLO bench.example\r\n").await?;
    wire.expect(2).await?;
    Ok(wire)
}

/// A client up to the reply to the second EHLO, sealed.
pub(crate) async fn greet_sealed(address: SocketAddr, tls: &TlsConnector) -> Result<Wire> {
    let mut wire = greet(connect(address).await?).await?;
    wire.send(b"STARTTLS\r\n").await?;
    wire.expect(2).await?;
    let name = ServerName::try_from(HOST).map_err(Error::other)?;
    let mut sealed = Wire::new(tls.connect(name, wire.stream).await?);
    sealed.send(b"EHLO bench.example\r\n").await?;
    sealed.expect(2).await?;
    Ok(sealed)
}

pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
