//! Commands and replies on a connection to an MX, each in its time.
//!
//! Whatever goes wrong is a failure of the peer at the other end, and says in which phase it happened. Lines are
//! bounded, octets that come one by one win no time, and what the MX says unasked is noticed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::name::Host;
use crate::net::stream::{Deadline, LINES, Wire, WireError, trim_line};
use crate::net::tls::Server;
use crate::policy::authorize::Peer;
use crate::policy::failure::{Failure, Fault, Phase};
use crate::proxy::caps::Place;
use crate::smtp::reply::{Reply, ReplyParser};

/// Octets of one line of a reply. RFC 5321 §4.5.3.1.5 says 512; servers are chattier.
const REPLY_LINE: usize = 4096;

/// The last word of a connection that is not needed any more may take this long.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection on which commands and replies take turns.
#[derive(Debug)]
pub(super) struct Dialogue {
    pub(super) wire: Wire,
    pub(super) peer: Peer,
    /// The port that was dialled.
    pub(super) port: u16,
    /// Where the MX has limits; free again once the connection is closed.
    pub(super) place: Option<Place>,
    /// True once the MX has said 421: it closes the connection (RFC 5321 §3.8).
    closing: bool,
}

impl Dialogue {
    /// A connection to `peer`, on which nothing was said yet.
    pub(super) fn new(wire: Wire, peer: Peer, port: u16) -> Self {
        Self {
            wire,
            peer,
            port,
            place: None,
            closing: false,
        }
    }

    /// The connection, in its place.
    pub(super) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// The address and port that were dialled.
    pub(super) fn target(&self) -> SocketAddr {
        (self.peer.address, self.port).into()
    }

    /// Where its TLS sessions belong, with this name in SNI.
    pub(super) fn server(&self, name: Option<&Host>) -> Server {
        Server {
            address: self.target(),
            name: name.cloned(),
        }
    }

    /// True once the MX has said that it closes the connection.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Sends `lines` and reads one reply.
    pub(super) async fn command(
        &mut self,
        lines: &[u8],
        phase: Phase,
        within: Duration,
    ) -> Result<Reply, Failure> {
        self.send(lines, phase, within).await?;
        self.reply(phase, within).await
    }

    /// Sends octets.
    pub(super) async fn send(
        &mut self,
        octets: &[u8],
        phase: Phase,
        within: Duration,
    ) -> Result<(), Failure> {
        let sent = self.wire.send(octets, within).await;
        sent.map_err(|error| self.broken(phase, &error))
    }

    /// Reads one reply. `within` is for all of it, so octets that come one by one win no time.
    pub(super) async fn reply(&mut self, phase: Phase, within: Duration) -> Result<Reply, Failure> {
        let mut parser = ReplyParser::default();
        let mut deadline = Deadline::within(within);
        loop {
            if let Some(reply) = self.parse(&mut parser, phase)? {
                return Ok(reply);
            }
            let line = self.wire.line(REPLY_LINE, &mut deadline).await;
            line.map_err(|error| self.broken(phase, &error))?;
        }
    }

    /// Takes lines of a reply out of the buffer, the last one at most.
    fn parse(&mut self, parser: &mut ReplyParser, phase: Phase) -> Result<Option<Reply>, Failure> {
        while let Some(length) = self
            .wire
            .line_length()
            .filter(|length| *length <= REPLY_LINE)
        {
            let parsed = parser.line(trim_line(&self.wire.buffered()[..length]));
            self.wire.consume(length);
            match parsed {
                Ok(Some(reply)) => {
                    self.closing |= reply.code() == 421;
                    return Ok(Some(reply));
                }
                Ok(None) => {}
                Err(error) => return Err(self.fault(Fault::Protocol(phase, error.to_string()))),
            }
        }
        Ok(None)
    }

    /// Reads one reply that leaves nothing open: a 3xx has no place here.
    pub(super) async fn verdict(
        &mut self,
        phase: Phase,
        within: Duration,
    ) -> Result<Reply, Failure> {
        let reply = self.reply(phase, within).await?;
        if reply.is_intermediate() {
            return Err(self.out_of_place(phase, &reply));
        }
        Ok(reply)
    }

    /// A reply of a kind that the question does not have.
    pub(super) fn out_of_place(&self, phase: Phase, reply: &Reply) -> Failure {
        let what = format!("a {} has no place here", reply.code());
        self.fault(Fault::Protocol(phase, what))
    }

    /// What is wrong when the MX has spoken, or has closed, although nothing was asked.
    pub(super) fn interruption(&mut self, phase: Phase) -> Option<Failure> {
        let early = || Fault::Protocol(phase, "a reply before the end".to_owned());
        if !self.wire.buffered().is_empty() {
            return Some(self.fault(early()));
        }
        match self.wire.fill_now()? {
            Ok(()) => Some(self.fault(early())),
            Err(error) => Some(self.broken(phase, &error)),
        }
    }

    /// A failure of this peer.
    pub(super) fn fault(&self, fault: Fault) -> Failure {
        self.peer.failure(fault)
    }

    fn broken(&self, phase: Phase, error: &WireError) -> Failure {
        self.fault(match error {
            WireError::TimedOut => Fault::TimedOut(phase),
            WireError::Closed | WireError::Io(_) => Fault::ConnectionLost(phase),
            WireError::LineTooLong => Fault::Protocol(phase, error.to_string()),
        })
    }

    /// Says QUIT and closes.
    pub(super) async fn farewell(mut self) {
        if self.wire.send(b"QUIT\r\n", FAREWELL).await.is_ok() {
            // The MX may say 221 or nothing; either way the connection ends.
            let _ = self.wire.fill(LINES, FAREWELL).await;
        }
        let _ = timeout(FAREWELL, self.wire.shutdown()).await;
    }

    /// Says QUIT and closes in the background: nobody waits for it.
    pub(super) fn quit(self) {
        tokio::spawn(self.farewell());
    }
}
