//! A connection to an MX, from the greeting to the proof.
//!
//! Each state is a type, and a step consumes it: [`Greeted`] knows what the MX offers, [`Ready`] holds
//! an [`Authorized`] and is the only one from which mail can be sent. Bytes behind the 220 to STARTTLS
//! end the connection (the CVE-2011-0411 family), and what the MX offered in the clear is forgotten once
//! TLS is up (RFC 3207 §4.2).

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::name::Host;
use crate::net::stream::{Socket, Wire};
use crate::net::tls::Start;
use crate::policy::authorize::{Authorized, Peer, authorize};
use crate::policy::failure::{Failure, Fault, Phase};
use crate::policy::handshake::{Channel, Handshake, WhyPlaintext};
use crate::policy::outcome::{Event, Link, Seal};
use crate::policy::requirement::{Demand, Requirement};
use crate::proxy::caps::Place;
use crate::proxy::dialogue::Dialogue;
use crate::proxy::gate::Gate;
use crate::proxy::opener::Attempt;
use crate::smtp::capabilities::{Capabilities, Extension};
use crate::smtp::reply::Reply;

/// An MX that has said 220 and told what it offers.
#[derive(Debug)]
pub struct Greeted {
    pub(super) dialogue: Dialogue,
    pub(super) offers: Capabilities,
}

/// An MX with which TLS has been settled, one way or the other; what it has proven is not yet judged.
#[derive(Debug)]
pub struct Settled {
    pub(super) dialogue: Dialogue,
    pub(super) offers: Capabilities,
    pub(super) handshake: Result<Arc<Handshake>, WhyPlaintext>,
    /// The name that was sent in SNI; none without TLS, or where an address was dialled by itself.
    pub(super) server_name: Option<Host>,
    /// What the MX still thinks of from the message before.
    pub(super) remembers: Remembers,
    /// When the MX was ready for its first message.
    pub(super) since: Instant,
    /// Messages that it was used for.
    pub(super) messages: usize,
    /// What it was for the last of them.
    pub(super) link: Option<Arc<Link>>,
}

/// What an MX still thinks of when a transaction is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembers {
    /// RFC 5321 §4.1.1.4: the reply to the end of data cleared everything.
    Nothing,
    /// The envelope, which RSET makes it forget.
    Envelope,
}

impl Settled {
    /// Whether there is TLS where the demand wants it tried, and none where not.
    pub(super) fn is_sealed_as(&self, demand: &Demand) -> bool {
        let wants_tls = *demand != Demand::Plaintext;
        // What is offered in the clear has STARTTLS in it where TLS was not tried, or tried in vain.
        match self.handshake {
            Ok(_) => wants_tls,
            Err(_) => !wants_tls || !self.offers.has(Extension::StartTls),
        }
    }

    /// The connection, for a message that `authorized` lets it carry to `peer`.
    pub(super) fn ready(
        mut self: Box<Self>,
        peer: &Peer,
        authorized: Authorized,
        requirement: &Arc<Requirement>,
    ) -> Ready {
        if self.dialogue.peer != *peer {
            self.dialogue.peer = peer.clone();
        }
        Ready::new(self, authorized, requirement)
    }

    /// The channel, for the judge.
    pub(super) fn channel(&self) -> Channel<'_> {
        match &self.handshake {
            Ok(handshake) => Channel::Tls(handshake),
            Err(why) => Channel::Plaintext(*why),
        }
    }
}

impl Greeted {
    pub(super) fn in_the_clear(self, why: WhyPlaintext) -> Box<Settled> {
        Box::new(Settled {
            dialogue: self.dialogue,
            offers: self.offers,
            handshake: Err(why),
            server_name: None,
            remembers: Remembers::Nothing,
            since: Instant::now(),
            messages: 0,
            link: None,
        })
    }
}

/// Whether TLS is tried on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starttls {
    /// Where the MX offers it. An earlier session goes on, where there is one.
    IfOffered,
    /// Where the MX offers it, with a full handshake.
    Afresh,
    /// A handshake failed before: not again.
    NotAfterFailure,
}

/// An MX that has shown what the requirement asks for. Only this can send MAIL FROM.
#[derive(Debug)]
pub struct Ready {
    pub(super) line: Box<Settled>,
    authorized: Authorized,
    requirement: Arc<Requirement>,
}

impl Ready {
    /// A connection that is authorized, and what it had to prove.
    pub(super) fn new(
        line: Box<Settled>,
        authorized: Authorized,
        requirement: &Arc<Requirement>,
    ) -> Self {
        Self {
            line,
            authorized,
            requirement: Arc::clone(requirement),
        }
    }

    /// What the connection is, for the outcome and the seal; the same as for the message before where nothing has
    /// changed since.
    pub(super) fn link(&mut self) -> Arc<Link> {
        let link = match self.line.link.take() {
            Some(link) if self.is_still(&link) => link,
            _ => Arc::new(self.link_anew()),
        };
        self.line.link = Some(Arc::clone(&link));
        link
    }

    /// Whether it is only let through because its rule observes.
    pub(super) fn would_block(&self) -> bool {
        self.authorized.would_block().is_some()
    }

    /// Whether the connection is for this message what it was for another one.
    fn is_still(&self, link: &Link) -> bool {
        Arc::ptr_eq(&link.requirement, &self.requirement)
            && link.host == self.line.dialogue.peer.host
            && link.seal == self.seal()
            && link.tlsa.as_ref() == self.authorized.tlsa()
            && link.would_block.as_ref() == self.authorized.would_block()
            && link.tested.as_ref() == self.authorized.tested()
    }

    fn seal(&self) -> Seal {
        match &self.line.handshake {
            Err(why) => Seal::Open(*why),
            Ok(handshake) => Seal::Tls {
                version: handshake.version,
                cipher: handshake.cipher,
                key_exchange: handshake.key_exchange,
                authentication: self.authorized.authentication(),
            },
        }
    }

    fn link_anew(&self) -> Link {
        Link {
            host: self.line.dialogue.peer.host.clone(),
            address: self.line.dialogue.peer.address,
            seal: self.seal(),
            handshake: self.line.handshake.as_ref().ok().cloned(),
            requirement: Arc::clone(&self.requirement),
            tlsa: self.authorized.tlsa().cloned(),
            would_block: self.authorized.would_block().cloned(),
            tested: self.authorized.tested().cloned(),
        }
    }

    /// What the MX offers on this connection.
    pub fn offers(&self) -> &Capabilities {
        &self.line.offers
    }

    /// The handshake, unless the connection is in the clear.
    pub fn handshake(&self) -> Option<&Handshake> {
        self.line.handshake.as_deref().ok()
    }

    /// Ends the connection without sending mail.
    pub fn quit(self) {
        self.line.dialogue.quit();
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

impl Gate {
    /// Dials an MX and makes it prove what it must.
    pub(super) async fn open(
        &self,
        attempt: &Attempt<'_>,
        mut starttls: Starttls,
        place: Option<Place>,
    ) -> Result<Ready, Failure> {
        let Attempt {
            peer,
            port,
            requirement,
            ..
        } = attempt;
        let name = &self.settings.hostname;
        let (line, judged) = loop {
            let greeted = self.greet(peer, *port, place.clone()).await?;
            let sealed = self.try_to_seal(greeted, requirement, starttls, name);
            if let Some(line) = sealed.await? {
                let judged = authorize(requirement, line.channel(), peer, self.clock.now());
                if !self.forget_in_doubt(&line, judged.as_ref().ok()) {
                    break (line, judged);
                }
                // Closed at once: the next one is in the same place.
                drop(line);
            }
            starttls = Starttls::Afresh;
        };
        self.note(&peer.host, requirement, judged.as_ref()).await;
        match judged {
            Ok(authorized) => Ok(Ready::new(line, authorized, requirement)),
            Err(failure) => {
                line.dialogue.quit();
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
        let greeted = match self.greet(peer, port, None).await {
            Ok(greeted) => greeted,
            Err(failure) => return blank(None, Err(failure)),
        };
        let offers = Some(greeted.offers.clone());
        let name = &self.settings.hostname;
        let sealed = self.seal(greeted, requirement, Starttls::Afresh, name);
        let line = match sealed.await {
            Ok(line) => line,
            Err(failure) => return blank(offers, Err(failure)),
        };
        let proof = authorize(requirement, line.channel(), peer, self.clock.now());
        line.dialogue.farewell().await;
        match line.handshake {
            Err(_) => blank(offers, proof),
            Ok(handshake) => Inspection {
                offers_under_tls: Some(line.offers),
                handshake: Some(Arc::unwrap_or_clone(handshake)),
                ..blank(offers, proof)
            },
        }
    }

    /// Connects, reads the greeting, says EHLO.
    async fn greet(
        &self,
        peer: &Peer,
        port: u16,
        place: Option<Place>,
    ) -> Result<Greeted, Failure> {
        let target = (peer.address, port).into();
        let within = self.settings.timeouts.connect;
        let connecting = self.dialer.connect(target, within);
        let stream = self.connected(peer, target, connecting).await?;
        let wire = Wire::new(Socket::Plain(stream));
        let mut dialogue = Dialogue::new(wire, peer.clone(), port).at(place);
        let greeting = self.greeting(&mut dialogue, target).await?;
        // RFC 5321 §3.1: anything but 220 (554 above all) means no service here; the next MX may help.
        if greeting.code() != 220 {
            dialogue.quit();
            return Err(peer.failure(Fault::TurnedAway(Phase::Greeting, greeting.code())));
        }
        let offers = self.ehlo(&mut dialogue, &self.settings.hostname).await?;
        Ok(Greeted { dialogue, offers })
    }

    /// Waits for a TCP connection.
    pub(super) async fn connected<T>(
        &self,
        peer: &Peer,
        target: SocketAddr,
        connecting: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let connected = connecting.await;
        if let Err(Fault::Unreachable(_)) = connected {
            self.dead.note(target);
        }
        let connected = connected.map_err(|fault| peer.failure(fault))?;
        self.observer.record(Event::Connected(started.elapsed()));
        Ok(connected)
    }

    /// Waits for the first reply, whatever it is.
    pub(super) async fn greeting(
        &self,
        dialogue: &mut Dialogue,
        target: SocketAddr,
    ) -> Result<Reply, Failure> {
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
        greeting
    }

    /// EHLO, or HELO where EHLO is not known (RFC 5321 §3.2).
    pub(super) async fn ehlo(
        &self,
        dialogue: &mut Dialogue,
        name: &str,
    ) -> Result<Capabilities, Failure> {
        let within = self.settings.timeouts.ehlo;
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
    pub(super) async fn seal(
        &self,
        mut greeted: Greeted,
        requirement: &Requirement,
        starttls: Starttls,
        name: &str,
    ) -> Result<Box<Settled>, Failure> {
        if starttls == Starttls::NotAfterFailure {
            return Ok(greeted.in_the_clear(WhyPlaintext::HandshakeFailed));
        }
        // STARTTLS is never sent where it is not offered: a 502 must not become the fate of a message.
        if requirement.demand == Demand::Plaintext || !greeted.offers.has(Extension::StartTls) {
            return Ok(greeted.in_the_clear(WhyPlaintext::NotOffered));
        }
        let within = self.settings.timeouts.ehlo;
        let reply = greeted
            .dialogue
            .command(b"STARTTLS\r\n", Phase::Starttls, within)
            .await?;
        if reply.code() != 220 {
            return Ok(greeted.in_the_clear(WhyPlaintext::Refused(reply.code())));
        }
        let start = if starttls == Starttls::Afresh {
            Start::Full
        } else {
            Start::Earlier
        };
        let shaken = self.shake_hands(greeted.dialogue, requirement, start);
        let (mut dialogue, handshake) = shaken.await?;
        let offers = self.ehlo(&mut dialogue, name).await?;
        Ok(Box::new(Settled {
            dialogue,
            offers,
            handshake: Ok(Arc::new(handshake)),
            server_name: requirement.server_name.clone(),
            remembers: Remembers::Nothing,
            since: Instant::now(),
            messages: 0,
            link: None,
        }))
    }

    async fn shake_hands(
        &self,
        dialogue: Dialogue,
        requirement: &Requirement,
        start: Start,
    ) -> Result<(Dialogue, Handshake), Failure> {
        let server = dialogue.server(requirement.server_name.as_ref());
        let Dialogue {
            mut wire,
            peer,
            port,
            place,
            ..
        } = dialogue;
        let Some(stream) = wire.take_plain() else {
            return Err(peer.failure(Fault::StarttlsInjection));
        };
        let started = Instant::now();
        let within = self.settings.timeouts.tls_handshake;
        let (stream, handshake) = self
            .tls
            .handshake(stream, &server, start, within)
            .await
            .map_err(|fault| peer.failure(fault))?;
        self.observer
            .record(Event::Handshake(&handshake, started.elapsed()));
        let wire = Wire::new(Socket::Tls(Box::new(stream)));
        Ok((Dialogue::new(wire, peer, port).at(place), handshake))
    }
}
