//! One connection of Postfix: many requests, each answered in its turn.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{MapServer, TABLE, order_to_stop, reply};
use crate::policy::outcome::{MapEvent, MapResult};
use crate::socketmap::{Inbox, Reply, Request};

/// Postfix waits 100 seconds for a reply, and tells nobody why it gave up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client that is turned away gets this long to take the reply.
const FAREWELL: Duration = Duration::from_secs(5);

/// Replies are sent when there are so many octets of them, even where more requests have arrived.
const FULL: usize = 16 * 1024;

/// What follows on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Read,
    Close,
}

/// One connection.
pub(super) struct Session<'a, S> {
    server: &'a MapServer,
    stream: S,
    draining: watch::Receiver<bool>,
    inbox: Inbox,
    output: Vec<u8>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    pub(super) fn new(server: &'a MapServer, stream: S, draining: watch::Receiver<bool>) -> Self {
        Self {
            server,
            stream,
            draining,
            inbox: Inbox::default(),
            output: Vec::new(),
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        while self.read().await == Next::Read {
            let next = self.answer_all().await;
            let sent = self.send().await;
            if next == Next::Close {
                // The client may be gone, and then there is nobody to tell.
                let _ = timeout(FAREWELL, self.part()).await;
                return;
            }
            if sent == Next::Close || *self.draining.borrow() {
                return;
            }
        }
    }

    /// A connection that is closed on octets nobody has read is reset, and the last reply may be lost with it.
    async fn part(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut unread = [0; 1024];
        for _ in 0..64 {
            if self.stream.read(&mut unread).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> Next {
        let idle = self.server.waits.idle;
        let octets = tokio::select! {
            biased;
            read = timeout(idle, self.stream.read(self.inbox.room())) => read,
            () = order_to_stop(&mut self.draining) => return Next::Close,
        };
        match octets {
            Ok(Ok(octets)) if octets > 0 => {
                self.inbox.filled(octets);
                Next::Read
            }
            _ => Next::Close,
        }
    }

    /// Answers every request that has arrived whole.
    async fn answer_all(&mut self) -> Next {
        let idle = self.server.waits.idle;
        loop {
            let reply = match self.inbox.pull() {
                Ok(None) => return Next::Read,
                Ok(Some(content)) => {
                    let mut asking = pin!(answer(self.server, content));
                    let known = asking.as_mut().now_or_never();
                    // What is known already does not wait for what is looked up.
                    if known.is_none()
                        && send(&mut self.stream, &mut self.output, idle).await == Next::Close
                    {
                        return Next::Close;
                    }
                    match known {
                        Some(reply) => reply,
                        None => asking.await,
                    }
                }
                Err(malformed) => {
                    let reply = Reply::Perm(malformed.to_string());
                    self.server.record(MapEvent::Answered(MapResult::Perm));
                    reply.write_to(&mut self.output);
                    return Next::Close;
                }
            };
            reply.write_to(&mut self.output);
            if self.output.len() >= FULL && self.send().await == Next::Close {
                return Next::Close;
            }
        }
    }

    async fn send(&mut self) -> Next {
        send(&mut self.stream, &mut self.output, self.server.waits.idle).await
    }
}

/// Sends what is to be said; a client that does not take it in time is left.
async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    output: &mut Vec<u8>,
    idle: Duration,
) -> Next {
    let sent = timeout(idle, stream.write_all(output)).await;
    output.clear();
    match sent {
        Ok(Ok(())) => Next::Read,
        _ => Next::Close,
    }
}

async fn answer(server: &MapServer, content: &[u8]) -> Reply {
    let (result, reply) = match Request::parse(content) {
        Ok(Request { table, key }) if table == TABLE => ask(server, key).await,
        Ok(_) => {
            let reason = format!("there is no such table here, only `{TABLE}`");
            (MapResult::Perm, Reply::Perm(reason))
        }
        Err(error) => (MapResult::Perm, Reply::Perm(error.to_string())),
    };
    server.record(MapEvent::Answered(result));
    reply
}

async fn ask(server: &MapServer, key: &str) -> (MapResult, Reply) {
    let asking = server.table.answer(key, server.listener.attributes);
    if let Ok(answer) = timeout(PATIENCE, asking).await {
        (answer.result(), reply(answer))
    } else {
        let reason = "the look-ups take too long".to_owned();
        tracing::warn!(reason, "Postfix is told to keep the mail");
        (MapResult::Temp, Reply::Timeout(reason))
    }
}

/// The last word to a client that is turned away.
pub(super) async fn farewell(mut stream: TcpStream, reply: Reply) {
    let mut wire = Vec::new();
    reply.write_to(&mut wire);
    let sending = async {
        stream.write_all(&wire).await?;
        stream.shutdown().await
    };
    let _ = timeout(FAREWELL, sending).await;
}

#[cfg(test)]
mod tests;
