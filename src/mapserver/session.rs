//! One connection of Postfix: many requests, each answered in its turn.

use std::fmt::Display;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{Asked, MapServer, TABLE, order_to_stop, reply};
use crate::policy::outcome::{MapEvent, MapResult};
use crate::policy::postfix::Answer;
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
        let mut draining = self.draining.clone();
        // Both are there for the whole session: to make them for each request takes longer than most replies.
        let mut stop = pin!(order_to_stop(&mut draining));
        let mut alarm = pin!(sleep(self.server.waits.idle));
        while self.read(stop.as_mut(), alarm.as_mut()).await == Next::Read {
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

    async fn read(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        mut alarm: Pin<&mut Sleep>,
    ) -> Next {
        let until = Instant::now() + self.server.waits.idle;
        loop {
            tokio::select! {
                biased;
                octets = self.stream.read(self.inbox.room()) => match octets {
                    Ok(octets) if octets > 0 => {
                        self.inbox.filled(octets);
                        return Next::Read;
                    }
                    _ => return Next::Close,
                },
                () = &mut stop => return Next::Close,
                // It rings for an earlier request, unless that was the last one.
                () = &mut alarm => {
                    if alarm.deadline() >= until {
                        return Next::Close;
                    }
                    alarm.as_mut().reset(until);
                }
            }
        }
    }

    /// Answers every request that has arrived whole.
    async fn answer_all(&mut self) -> Next {
        let idle = self.server.waits.idle;
        loop {
            let asked = match self.inbox.pull() {
                Ok(None) => return Next::Read,
                Ok(Some(content)) => ask(self.server, content),
                Err(malformed) => {
                    let answer = never(&malformed);
                    tell(self.server, &answer, &mut self.output);
                    return Next::Close;
                }
            };
            match asked {
                Asked::Known(answer) => tell(self.server, &answer, &mut self.output),
                Asked::LookUp(mut looking) => {
                    if let Some(answer) = (&mut looking).now_or_never() {
                        tell(self.server, &answer, &mut self.output);
                    } else {
                        // What is known already does not wait for what is looked up.
                        if send(&mut self.stream, &mut self.output, idle).await == Next::Close {
                            return Next::Close;
                        }
                        found_out(self.server, looking, &mut self.output).await;
                    }
                }
            }
            if self.output.len() >= FULL
                && send(&mut self.stream, &mut self.output, idle).await == Next::Close
            {
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
    let mut writing = pin!(stream.write_all(output));
    // Most replies are taken at once, and need no timer.
    let sent = match writing.as_mut().now_or_never() {
        Some(sent) => Ok(sent),
        None => timeout(idle, writing).await,
    };
    output.clear();
    match sent {
        Ok(Ok(())) => Next::Read,
        _ => Next::Close,
    }
}

fn ask<'a>(server: &'a MapServer, content: &'a [u8]) -> Asked<'a> {
    match Request::parse(content) {
        Ok(Request { table, key }) if table == TABLE => {
            server.table.answer(key, server.listener.attributes)
        }
        Ok(_) => Asked::Known(never(&format_args!(
            "there is no such table here, only `{TABLE}`"
        ))),
        Err(error) => Asked::Known(never(&error)),
    }
}

fn never(reason: &dyn Display) -> Arc<Answer> {
    Arc::new(Answer::Never(reason.to_string()))
}

fn tell(server: &MapServer, answer: &Answer, output: &mut Vec<u8>) {
    server.record(MapEvent::Answered(answer.result()));
    reply(answer).write_to(output);
}

async fn found_out(server: &MapServer, looking: BoxFuture<'_, Arc<Answer>>, output: &mut Vec<u8>) {
    if let Ok(answer) = timeout(PATIENCE, looking).await {
        tell(server, &answer, output);
    } else {
        let reason = "the look-ups take too long";
        tracing::warn!(reason, "Postfix is told to keep the mail");
        server.record(MapEvent::Answered(MapResult::Temp));
        Reply::Timeout(reason).write_to(output);
    }
}

/// The last word to a client that is turned away.
pub(super) async fn farewell(mut stream: TcpStream, reply: Reply<'static>) {
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
