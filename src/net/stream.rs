//! A connection with one read buffer: lines for the dialogue, chunks for the content.
//!
//! The same wire serves both sides, MTA and MX, in the clear or under TLS. Memory is bounded: the
//! buffer holds at most one chunk, and a line that does not fit the caller's limit is an error. While nothing is
//! in it there is no buffer: most connections wait most of the time, and cost only what the socket does. After
//! a switch to TLS nothing that was read before may survive, so the switch demands an empty buffer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::net::buffer::Buffer;
use crate::net::timer::Timer;

pub use crate::net::buffer::{CHUNK, LINES};
pub use crate::net::timer::Deadline;

/// How often a silent peer of [`Wire::splice`] is asked whether it is still there, and after so many questions
/// without answer it is gone.
const ALIVE: (Duration, u32) = (Duration::from_mins(1), 5);

/// Why a wire gave nothing, or took nothing.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nothing came, or nothing was taken, in time.
    #[error("timed out")]
    TimedOut,
    /// The other side closed the connection.
    #[error("connection closed")]
    Closed,
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line is longer than the limit.
    #[error("line too long")]
    LineTooLong,
}

/// TCP, or TLS over TCP.
#[derive(Debug)]
pub enum Socket {
    /// In the clear.
    Plain(TcpStream),
    /// TLS, as client or as server.
    Tls(Box<TlsStream<TcpStream>>),
    /// Given away for a handshake: reads as closed.
    Taken,
}

/// A connection and what was read from it but not yet consumed.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    input: Buffer,
    timer: Timer,
}

impl Wire {
    /// A wire with an empty buffer.
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            input: Buffer::default(),
            timer: Timer::default(),
        }
    }

    /// What was read and not yet consumed.
    pub fn buffered(&self) -> &[u8] {
        self.input.octets()
    }

    /// Drops the first `octets` of the buffer.
    pub fn consume(&mut self, octets: usize) {
        self.input.consume(octets);
    }

    /// Reads what is there, at least one octet, at most up to `most` in the buffer.
    pub async fn fill(&mut self, most: usize, within: Duration) -> Result<(), WireError> {
        self.read(most, &mut Deadline::within(within)).await
    }

    /// Reads what has come already, without waiting; `None` where nothing has.
    pub fn fill_now(&mut self) -> Option<Result<(), WireError>> {
        poll_fn(|cx| self.poll_read(LINES, cx)).now_or_never()
    }

    async fn read(&mut self, most: usize, deadline: &mut Deadline) -> Result<(), WireError> {
        poll_fn(|cx| match self.poll_read(most, cx) {
            Poll::Pending => self.poll_timer(deadline, cx),
            Poll::Ready(read) => Poll::Ready(read),
        })
        .await
    }

    fn poll_read(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        let Self { socket, input, .. } = self;
        let (octets, polled) = input.fill(most, |room| {
            let mut room = ReadBuf::new(room);
            let polled = Pin::new(socket).poll_read(cx, &mut room);
            let octets = room.filled().len();
            (octets, (octets, polled))
        });
        Poll::Ready(match (ready!(polled), octets) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), 0) => Err(WireError::Closed),
            (Ok(()), _) => Ok(()),
        })
    }

    fn poll_timer(
        &mut self,
        deadline: &mut Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WireError>> {
        self.timer
            .poll(deadline, cx)
            .map(|()| Err(WireError::TimedOut))
    }

    /// The length of the first line in the buffer, its line feed included; `None` when the buffer
    /// holds no whole line.
    pub fn line_length(&self) -> Option<usize> {
        memchr::memchr(b'\n', self.buffered()).map(|at| at + 1)
    }

    /// Reads until the buffer begins with a whole line, and tells its length. `limit` counts the line feed.
    pub async fn line(
        &mut self,
        limit: usize,
        deadline: &mut Deadline,
    ) -> Result<usize, WireError> {
        loop {
            match self.line_length() {
                Some(length) if length <= limit => return Ok(length),
                None if self.buffered().len() < limit.min(LINES) => {
                    self.read(LINES, deadline).await?;
                }
                _ => return Err(WireError::LineTooLong),
            }
        }
    }

    /// Writes all of `octets`, and makes sure that they leave: a TLS record may otherwise stay behind.
    pub async fn send(&mut self, octets: &[u8], within: Duration) -> Result<(), WireError> {
        let mut deadline = Deadline::within(within);
        let mut rest = octets;
        poll_fn(|cx| match self.socket.poll_send(&mut rest, cx) {
            Poll::Pending => self.poll_timer(&mut deadline, cx),
            Poll::Ready(sent) => Poll::Ready(sent.map_err(WireError::from)),
        })
        .await
    }

    /// The TCP stream, unless this is TLS.
    pub fn plain(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Plain(stream) => Some(stream),
            Socket::Tls(_) | Socket::Taken => None,
        }
    }

    /// Passes octets from each side to the other as they are, until both have ended or one breaks. How long they
    /// may be silent is theirs to know, but a machine that is gone without a word ends it, too.
    pub async fn splice(&mut self, mut other: Self) {
        let pass = async {
            self.keep_alive()?;
            other.keep_alive()?;
            other.socket.write_all(self.buffered()).await?;
            self.socket.write_all(other.buffered()).await?;
            copy_bidirectional(&mut self.socket, &mut other.socket).await
        };
        // However it ends, it is over.
        let _ = pass.await;
    }

    fn keep_alive(&self) -> io::Result<()> {
        let stream = match &self.socket {
            Socket::Plain(stream) => stream,
            Socket::Tls(stream) => stream.get_ref().0,
            Socket::Taken => return Ok(()),
        };
        let (pause, questions) = ALIVE;
        let keepalive = TcpKeepalive::new().with_time(pause).with_interval(pause);
        SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(questions))
    }

    /// Ends the sending direction (under TLS with `close_notify`).
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }

    /// Gives the TCP stream away for a TLS handshake. `None` when octets are left in the buffer, which
    /// somebody must have injected (CVE-2011-0411), or when this is TLS already.
    pub fn take_plain(&mut self) -> Option<TcpStream> {
        if !self.buffered().is_empty() {
            return None;
        }
        match std::mem::replace(&mut self.socket, Socket::Taken) {
            Socket::Plain(stream) => Some(stream),
            Socket::Tls(_) | Socket::Taken => None,
        }
    }
}

/// A line without its end: CRLF, or LF alone.
pub fn trim_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl Socket {
    /// Writes what is left of `rest`, and flushes.
    fn poll_send(&mut self, rest: &mut &[u8], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = Pin::new(self);
        while !rest.is_empty() {
            match ready!(socket.as_mut().poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *rest = &rest[written..],
            }
        }
        socket.poll_flush(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Taken => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Taken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Taken => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Taken => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_is_gone_without_a_word_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let wire = Wire::new(Socket::Plain(stream.unwrap()));
        wire.keep_alive().unwrap();
        let socket = SockRef::from(wire.plain().unwrap());
        assert!(socket.keepalive().unwrap());
        let noticed = socket.tcp_keepalive_time().unwrap()
            + socket.tcp_keepalive_interval().unwrap() * socket.tcp_keepalive_retries().unwrap();
        assert_eq!(noticed, Duration::from_mins(6));
    }
}
