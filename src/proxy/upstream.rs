//! A connection to an MX, from the greeting to the proof.
//!
//! Each state is a type, and a step consumes it: [`Greeted`] knows what the MX offers, [`Ready`] holds
//! an [`Authorized`] and is the only one from which mail can be sent. Bytes behind the 220 to STARTTLS
//! end the connection (the CVE-2011-0411 family), and what the MX offered in the clear is forgotten once
//! TLS is up (RFC 3207 §4.2).

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use crate::net::stream::{Socket, Wire, WireError, trim_line};
use crate::policy::authorize::{Authorized, Peer, authorize};
use crate::policy::failure::{Failure, Fault, Phase};
use crate::policy::handshake::{Channel, Handshake, WhyPlaintext};
use crate::policy::outcome::{Event, Link, Seal};
use crate::policy::requirement::{Demand, Requirement};
use crate::policy::verdict::Policy;
use crate::proxy::gate::Gate;
use crate::smtp::capabilities::{Capabilities, Extension};
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
}

impl Dialogue {
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

    /// Reads one reply.
    pub(super) async fn reply(&mut self, phase: Phase, within: Duration) -> Result<Reply, Failure> {
        let deadline = Instant::now() + within;
        let mut parser = ReplyParser::default();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let length = self
                .wire
                .line(REPLY_LINE, left)
                .await
                .map_err(|error| self.broken(phase, &error))?;
            let parsed = parser.line(trim_line(&self.wire.buffered()[..length]));
            self.wire.consume(length);
            match parsed {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(self.fault(Fault::Protocol(phase, error.to_string()))),
            }
        }
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

    /// What is wrong when the MX has spoken, or has closed, before the content was sent.
    pub(super) fn interruption(&mut self) -> Option<Failure> {
        let early = || Fault::Protocol(Phase::Content, "a reply before the end".to_owned());
        if !self.wire.buffered().is_empty() {
            return Some(self.fault(early()));
        }
        // Asked once, not awaited: the time does not matter.
        match self.wire.fill(FAREWELL).now_or_never()? {
            Ok(()) => Some(self.fault(early())),
            Err(error) => Some(self.broken(Phase::Content, &error)),
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
            let _ = self.wire.fill(FAREWELL).await;
        }
        let _ = timeout(FAREWELL, self.wire.shutdown()).await;
    }

    /// Says QUIT and closes in the background: nobody waits for it.
    pub(super) fn quit(self) {
        tokio::spawn(self.farewell());
    }
}

/// An MX that has said 220 and told what it offers.
#[derive(Debug)]
pub struct Greeted {
    dialogue: Dialogue,
    offers: Capabilities,
}

/// Whether TLS is tried on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starttls {
    /// Where the MX offers it.
    IfOffered,
    /// A handshake failed before: not again.
    NotAfterFailure,
}

/// An MX that has shown what the requirement asks for. Only this can send MAIL FROM.
#[derive(Debug)]
pub struct Ready {
    pub(super) dialogue: Dialogue,
    pub(super) offers: Capabilities,
    authorized: Authorized,
    policy: Policy,
    handshake: Result<Handshake, WhyPlaintext>,
}

impl Ready {
    /// What the connection is, for the outcome and the seal.
    pub fn link(&self) -> Link {
        Link {
            host: self.dialogue.peer.host.clone(),
            address: self.dialogue.peer.address,
            seal: match &self.handshake {
                Err(why) => Seal::Open(*why),
                Ok(handshake) => Seal::Tls {
                    version: handshake.version,
                    cipher: handshake.cipher,
                    key_exchange: handshake.key_exchange,
                    authentication: self.authorized.authentication(),
                },
            },
            policy: self.policy,
            tlsa: self.authorized.tlsa().cloned(),
            would_block: self.authorized.would_block().cloned(),
            tested: self.authorized.tested().cloned(),
        }
    }

    /// What the MX offers on this connection.
    pub fn offers(&self) -> &Capabilities {
        &self.offers
    }

    /// The handshake, unless the connection is in the clear.
    pub fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_ref().ok()
    }

    /// Ends the connection without sending mail.
    pub fn quit(self) {
        self.dialogue.quit();
    }
}

/// What a host showed to somebody who only looks.
#[derive(Debug)]
pub struct Inspection {
    /// What it offers in the clear.
    pub offers: Option<Capabilities>,
    /// What it offers under TLS.
    pub offers_under_tls: Option<Capabilities>,
    /// The TLS handshake.
    pub handshake: Option<Handshake>,
    /// Whether it satisfies the requirement.
    pub proof: Result<Authorized, Failure>,
}

fn channel_of(handshake: &Result<Handshake, WhyPlaintext>) -> Channel<'_> {
    match handshake {
        Ok(handshake) => Channel::Tls(handshake),
        Err(why) => Channel::Plaintext(*why),
    }
}

impl Gate {
    /// Dials `peer` and makes it prove what `requirement` asks for.
    pub async fn open(
        &self,
        peer: &Peer,
        port: u16,
        requirement: &Requirement,
    ) -> Result<Ready, Failure> {
        self.open_with(peer, port, requirement, Starttls::IfOffered)
            .await
    }

    pub(super) async fn open_with(
        &self,
        peer: &Peer,
        port: u16,
        requirement: &Requirement,
        starttls: Starttls,
    ) -> Result<Ready, Failure> {
        let greeted = self.greet(peer, port).await?;
        let (greeted, handshake) = self.seal(greeted, requirement, starttls).await?;
        match authorize(requirement, channel_of(&handshake), peer, self.clock.now()) {
            Ok(authorized) => Ok(Ready {
                dialogue: greeted.dialogue,
                offers: greeted.offers,
                authorized,
                policy: requirement.policy,
                handshake,
            }),
            Err(failure) => {
                greeted.dialogue.quit();
                Err(failure)
            }
        }
    }

    /// Dials `peer` and tells all that it shows, whether it satisfies `requirement` or not.
    pub async fn inspect(&self, peer: &Peer, port: u16, requirement: &Requirement) -> Inspection {
        let blank = |offers, proof| Inspection {
            offers,
            offers_under_tls: None,
            handshake: None,
            proof,
        };
        let greeted = match self.greet(peer, port).await {
            Ok(greeted) => greeted,
            Err(failure) => return blank(None, Err(failure)),
        };
        let offers = Some(greeted.offers.clone());
        let (greeted, handshake) = match self.seal(greeted, requirement, Starttls::IfOffered).await
        {
            Ok(sealed) => sealed,
            Err(failure) => return blank(offers, Err(failure)),
        };
        let proof = authorize(requirement, channel_of(&handshake), peer, self.clock.now());
        let Greeted {
            dialogue,
            offers: now_offered,
        } = greeted;
        dialogue.farewell().await;
        match handshake {
            Err(_) => blank(offers, proof),
            Ok(handshake) => Inspection {
                offers_under_tls: Some(now_offered),
                handshake: Some(handshake),
                ..blank(offers, proof)
            },
        }
    }

    /// Connects, reads the greeting, says EHLO.
    async fn greet(&self, peer: &Peer, port: u16) -> Result<Greeted, Failure> {
        let target = (peer.address, port).into();
        let started = Instant::now();
        let connected = self
            .dialer
            .connect(target, self.settings.timeouts.connect)
            .await;
        if let Err(Fault::Unreachable(_)) = connected {
            self.dead.note(target);
        }
        let stream = connected.map_err(|fault| peer.failure(fault))?;
        self.observer.record(Event::Connected(started.elapsed()));
        let mut dialogue = Dialogue {
            wire: Wire::new(Socket::Plain(stream)),
            peer: peer.clone(),
        };
        let greeting = dialogue
            .reply(Phase::Greeting, self.settings.timeouts.greeting)
            .await;
        if let Err(Failure::Attempt {
            fault: Fault::TimedOut(_),
            ..
        }) = greeting
        {
            self.dead.note(target);
        }
        let greeting = greeting?;
        // RFC 5321 §3.1: anything but 220 (554 above all) means no service here; the next MX may help.
        if greeting.code() != 220 {
            dialogue.quit();
            return Err(peer.failure(Fault::TurnedAway(Phase::Greeting, greeting.code())));
        }
        let offers = self.ehlo(&mut dialogue).await?;
        Ok(Greeted { dialogue, offers })
    }

    /// EHLO, or HELO where EHLO is not known (RFC 5321 §3.2).
    async fn ehlo(&self, dialogue: &mut Dialogue) -> Result<Capabilities, Failure> {
        let within = self.settings.timeouts.ehlo;
        let name = &self.settings.hostname;
        let ehlo = format!("EHLO {name}\r\n");
        let reply = dialogue
            .command(ehlo.as_bytes(), Phase::Ehlo, within)
            .await?;
        if reply.is_positive() {
            return Ok(Capabilities::parse(&reply));
        }
        if !reply.is_permanent() {
            return Err(dialogue.fault(Fault::TurnedAway(Phase::Ehlo, reply.code())));
        }
        let helo = format!("HELO {name}\r\n");
        let reply = dialogue
            .command(helo.as_bytes(), Phase::Ehlo, within)
            .await?;
        if reply.is_positive() {
            Ok(Capabilities::none())
        } else {
            Err(dialogue.fault(Fault::TurnedAway(Phase::Ehlo, reply.code())))
        }
    }

    /// STARTTLS where it is offered and wanted.
    async fn seal(
        &self,
        mut greeted: Greeted,
        requirement: &Requirement,
        starttls: Starttls,
    ) -> Result<(Greeted, Result<Handshake, WhyPlaintext>), Failure> {
        if starttls == Starttls::NotAfterFailure {
            return Ok((greeted, Err(WhyPlaintext::HandshakeFailed)));
        }
        // STARTTLS is never sent where it is not offered: a 502 must not become the fate of a message.
        if requirement.demand == Demand::Plaintext || !greeted.offers.has(Extension::StartTls) {
            return Ok((greeted, Err(WhyPlaintext::NotOffered)));
        }
        let within = self.settings.timeouts.ehlo;
        let reply = greeted
            .dialogue
            .command(b"STARTTLS\r\n", Phase::Starttls, within)
            .await?;
        if reply.code() != 220 {
            return Ok((greeted, Err(WhyPlaintext::Refused(reply.code()))));
        }
        let (mut dialogue, handshake) = self.shake_hands(greeted.dialogue, requirement).await?;
        let offers = self.ehlo(&mut dialogue).await?;
        Ok((Greeted { dialogue, offers }, Ok(handshake)))
    }

    async fn shake_hands(
        &self,
        dialogue: Dialogue,
        requirement: &Requirement,
    ) -> Result<(Dialogue, Handshake), Failure> {
        let Dialogue { mut wire, peer } = dialogue;
        let Some(stream) = wire.take_plain() else {
            return Err(peer.failure(Fault::StarttlsInjection));
        };
        let started = Instant::now();
        let name = requirement.server_name.as_ref();
        let within = self.settings.timeouts.tls_handshake;
        let (stream, handshake) = self
            .tls
            .handshake(stream, name, peer.address, within)
            .await
            .map_err(|fault| peer.failure(fault))?;
        self.observer
            .record(Event::Handshake(&handshake, started.elapsed()));
        Ok((
            Dialogue {
                wire: Wire::new(Socket::Tls(Box::new(stream))),
                peer,
            },
            handshake,
        ))
    }
}
