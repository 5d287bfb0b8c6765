//! The address that an MTA has chosen itself, and waxseal's connection to it.
//!
//! It is dialled before anything is known of the mail, because the MTA is to see the greeting and the
//! extensions of that very MX. TLS waits for the first recipient: only with its domain is it known what is
//! owed, and which name goes into SNI. One message after the other goes over the same connection, each
//! authorized anew against the same handshake; where that does not do for a domain, a fresh connection to
//! the same address takes its place, and never another MX: which one is next is the MTA's to decide.

use tokio::time::Instant;

use crate::net::stream::{Socket, Wire};
use crate::policy::authorize::Authorized;
use crate::policy::facts::Facts;
use crate::policy::failure::{Failure, Fault, Phase, Unreached};
use crate::policy::identify::{Claim, Claims, identify};
use crate::policy::verdict::Plan;
use crate::proxy::admission::Room;
use crate::proxy::caps::Place;
use crate::proxy::dialogue::Dialogue;
use crate::proxy::gate::Gate;
use crate::proxy::opener::Stop;
use crate::proxy::trail::Trail;
use crate::proxy::transaction::{Begun, Envelope, NotBegun};
use crate::proxy::upstream::{Greeted, Ready, Settled, Starttls};
use crate::smtp::capabilities::Capabilities;
use crate::smtp::reply::Reply;
use crate::smtp::session::Hello;

mod line;

pub(super) use line::Chosen;
use line::Line;

impl Gate {
    /// Connects to the address, for which it waits no longer than `room` where the operator has set limits.
    pub(super) async fn dial(&self, chosen: &Chosen, room: Instant) -> Result<(), Failure> {
        let check = self.dialer.check(chosen.0.target);
        let peer = chosen.stranger();
        check.map_err(|fault| peer.failure(fault))?;
        let room = Room {
            deadline: room,
            company: None,
        };
        let place = self.place(&peer, chosen.0.target.port(), room).await?;
        self.connect(chosen, place).await
    }

    /// Connects to the address, which the operator has listed.
    pub(super) async fn dial_listed(&self, chosen: &Chosen) -> Result<(), Failure> {
        self.connect(chosen, None).await
    }

    /// Until when a session that has chosen its MX waits for room there: as long as for a connection.
    pub(super) fn patience(&self) -> Instant {
        Instant::now() + self.settings.timeouts.connect
    }

    async fn connect(&self, chosen: &Chosen, place: Option<Place>) -> Result<(), Failure> {
        let (target, source) = (chosen.0.target, chosen.0.source);
        let peer = chosen.stranger();
        let fail = |fault| Err(peer.failure(fault));
        if self.dialer.is_own_listener(target) {
            return fail(Fault::OwnListener);
        }
        if self.dead.knows(target) {
            return fail(Fault::Unreachable(Unreached::Lately));
        }
        let within = self.settings.timeouts.connect;
        let connecting = self.dialer.connect_from(source, target, within);
        let (stream, under_way) = self.connected(&peer, target, connecting).await?;
        let wire = Wire::new(Socket::Plain(stream));
        chosen.put(Line::Dialled(
            Dialogue::new(wire, peer, target.port()).at(place),
            under_way,
        ));
        Ok(())
    }

    /// The greeting of an MX that has been dialled, whatever it is.
    pub(super) async fn hail(&self, chosen: &Chosen) -> Result<Reply, Failure> {
        let Some(Line::Dialled(mut dialogue, under_way)) = chosen.take() else {
            return Err(chosen.lost(Phase::Greeting));
        };
        let greeting = self.greeting(&mut dialogue, chosen.0.target).await?;
        drop(under_way);
        if greeting.code() == 220 {
            chosen.put(Line::Hailed(dialogue));
        } else {
            dialogue.quit();
        }
        Ok(greeting)
    }

    /// A fresh connection up to its 220.
    async fn afresh(&self, chosen: &Chosen) -> Result<Line, Failure> {
        self.dial(chosen, self.patience()).await?;
        let greeting = self.hail(chosen).await?;
        let turned_away = || Fault::TurnedAway(Phase::Greeting, greeting.code());
        let line = chosen.take();
        line.ok_or_else(|| chosen.stranger().failure(turned_away()))
    }

    /// Says EHLO or HELO in the MTA's name; the reply is the MX's.
    pub(super) async fn hello(&self, chosen: &Chosen, hello: &Hello) -> Result<Reply, Failure> {
        let mut line = match chosen.take_quiet() {
            Some(line) => line,
            None => self.afresh(chosen).await?,
        };
        let (reply, offers) = self.say_hello(line.dialogue(), hello).await?;
        chosen.state().name = Some(hello.name().to_owned());
        chosen.put(match offers {
            Some(offers) => line.offering(offers),
            None => line,
        });
        Ok(reply)
    }

    /// An MTA that says HELO gets what it asked for, but the MX hears EHLO first: without it there is no TLS.
    async fn say_hello(
        &self,
        dialogue: &mut Dialogue,
        hello: &Hello,
    ) -> Result<(Reply, Option<Capabilities>), Failure> {
        let within = self.settings.timeouts.ehlo;
        let ehlo = format!("EHLO {}\r\n", hello.name());
        dialogue.send(ehlo.as_bytes(), Phase::Ehlo, within).await?;
        let reply = dialogue.verdict(Phase::Ehlo, within).await?;
        if reply.is_positive() {
            let offers = Capabilities::parse(&reply);
            return Ok((reply, Some(offers)));
        }
        let Hello::Helo(name) = hello else {
            return Ok((reply.relayed(), None));
        };
        let older = format!("HELO {name}\r\n");
        dialogue.send(older.as_bytes(), Phase::Ehlo, within).await?;
        let reply = dialogue.verdict(Phase::Ehlo, within).await?;
        let offers = reply.is_positive().then(Capabilities::none);
        Ok((reply.relayed(), offers))
    }

    /// Makes the server prove to be one of the hosts of the plan, and introduces the message to it.
    pub(super) async fn present(
        &self,
        chosen: &Chosen,
        plan: &Plan,
        facts: &Facts,
        envelope: &Envelope<'_>,
        trail: &mut Trail,
    ) -> Result<Begun, Stop> {
        let address = chosen.0.target.ip();
        let claims = identify(plan, facts, address, chosen.0.named.as_ref())
            .map_err(|(policy, failure)| Stop::Host(policy, failure))?;
        let turn = self.turn(&chosen.stranger(), self.patience()).await;
        turn.map_err(host(&claims))?;
        if let Some(ready) = self.again(chosen, &claims).await {
            trail.ready(&ready);
            match self.introduced(ready, &claims, envelope, trail).await {
                // It has gone stale meanwhile.
                Err(Stop::Host(..)) => {}
                introduced => return introduced,
            }
        }
        let ready = self.prove(chosen, &claims, trail).await;
        let ready = ready.map_err(host(&claims))?;
        self.introduced(ready, &claims, envelope, trail).await
    }

    async fn introduced(
        &self,
        ready: Ready,
        claims: &Claims,
        envelope: &Envelope<'_>,
        trail: &mut Trail,
    ) -> Result<Begun, Stop> {
        let begun = ready.begin(&self.settings.timeouts, envelope).await;
        begun.map_err(|(link, why)| match trail.stopped(&link, why) {
            NotBegun::Failed(failure) => host(claims)(failure),
            NotBegun::Refused(reply) | NotBegun::Unbridgeable(reply) => Stop::Replied(link, reply),
        })
    }

    /// The connection of an earlier message, if it does for this one.
    async fn again(&self, chosen: &Chosen, claims: &Claims) -> Option<Ready> {
        match chosen.take_quiet()? {
            Line::Settled(line) => self.fitting(chosen, claims, line).await,
            other => {
                chosen.put(other);
                None
            }
        }
    }

    /// The connection, if it has TLS where there could be TLS, and proves all that is asked for; else it is ended.
    async fn fitting(&self, chosen: &Chosen, claims: &Claims, line: Box<Settled>) -> Option<Ready> {
        if !line.is_sealed_as(&claims.expected().requirement.demand) {
            line.dialogue.quit();
            return None;
        }
        let judged = claims.authorize(line.channel(), chosen.0.target.ip(), self.clock.now());
        self.forget_in_doubt(&line, judged.as_ref().ok().map(|(_, word)| word));
        let ready = self.noted(chosen, claims, line, judged).await.ok()?;
        if ready.would_block() {
            ready.quit();
            return None;
        }
        Some(ready)
    }

    /// Takes the judge's word on a connection; one that is not authorized is ended.
    async fn noted(
        &self,
        chosen: &Chosen,
        claims: &Claims,
        line: Box<Settled>,
        judged: Result<(&Claim, Authorized), Failure>,
    ) -> Result<Ready, Failure> {
        let (claim, proof) = match &judged {
            Ok((claim, authorized)) => (*claim, Ok(authorized)),
            Err(failure) => (claims.expected(), Err(failure)),
        };
        self.note(&claim.host, &claim.requirement, proof).await;
        match judged {
            Ok((claim, authorized)) => {
                let peer = chosen.peer(claim.host.clone());
                Ok(line.ready(&peer, authorized, &claim.requirement))
            }
            Err(failure) => {
                line.dialogue.quit();
                Err(failure)
            }
        }
    }

    /// The proof. Where the certificate that the server shows for the name of the expected host proves none of
    /// them, it may have others for the others.
    async fn prove(
        &self,
        chosen: &Chosen,
        claims: &Claims,
        trail: &mut Trail,
    ) -> Result<Ready, Failure> {
        let expected = self
            .prove_by(chosen, claims, claims.expected(), trail)
            .await;
        let Err(failure) = expected else {
            return expected;
        };
        let shown = |fault: &Fault| matches!(fault, Fault::Certificate(_) | Fault::Tlsa(_));
        if matches!(&failure, Failure::Attempt { fault, .. } if shown(fault)) {
            let limit = self.settings.mx.max_hosts.saturating_sub(1);
            for claim in claims.other_names().into_iter().take(limit) {
                if let Ok(ready) = self.prove_by(chosen, claims, claim, trail).await {
                    return Ok(ready);
                }
            }
        }
        Err(failure)
    }

    /// TLS with the name of one host, and the proof, on a connection that has not yet served; and in plaintext on
    /// a fresh one where the handshake fails and the requirement allows it.
    async fn prove_by(
        &self,
        chosen: &Chosen,
        claims: &Claims,
        claim: &Claim,
        trail: &mut Trail,
    ) -> Result<Ready, Failure> {
        let peer = chosen.peer(claim.host.clone());
        let first = self
            .settle(chosen, claims, claim, Starttls::IfOffered)
            .await;
        match self.tried(&peer, first, trail) {
            Err(Failure::Attempt {
                fault: Fault::Handshake(_),
                ..
            }) if self.falls_back(&claim.requirement) => {
                let second = self
                    .settle(chosen, claims, claim, Starttls::NotAfterFailure)
                    .await;
                self.tried(&peer, second, trail)
            }
            other => other,
        }
    }

    async fn settle(
        &self,
        chosen: &Chosen,
        claims: &Claims,
        claim: &Claim,
        mut starttls: Starttls,
    ) -> Result<Ready, Failure> {
        let name = chosen.state().name.clone();
        let name = name.unwrap_or_else(|| self.settings.hostname.to_string());
        let (line, judged) = loop {
            let greeted = self.greeted(chosen, claim, &name).await?;
            let sealed = self.try_to_seal(greeted, &claim.requirement, starttls, &name);
            if let Some(line) = sealed.await? {
                let now = self.clock.now();
                let judged = claims.authorize(line.channel(), chosen.0.target.ip(), now);
                if !self.forget_in_doubt(&line, judged.as_ref().ok().map(|(_, word)| word)) {
                    break (line, judged);
                }
                line.dialogue.quit();
            }
            starttls = Starttls::Afresh;
        };
        self.noted(chosen, claims, line, judged).await
    }

    /// A connection on which TLS is not yet settled, for one host.
    async fn greeted(
        &self,
        chosen: &Chosen,
        claim: &Claim,
        name: &str,
    ) -> Result<Greeted, Failure> {
        let mut line = chosen.take_quiet();
        if !matches!(line, Some(Line::Greeted(_))) {
            let mut fresh = self.afresh(chosen).await?;
            let offers = self.ehlo(fresh.dialogue(), name).await?;
            line = Some(fresh.offering(offers));
        }
        let Some(Line::Greeted(mut greeted)) = line else {
            return Err(chosen.lost(Phase::Ehlo));
        };
        greeted.dialogue.peer = chosen.peer(claim.host.clone());
        Ok(greeted)
    }
}

/// A failure at the expected host, and whose word it breaks.
fn host(claims: &Claims) -> impl Fn(Failure) -> Stop {
    let policy = claims.expected().requirement.policy;
    move |failure| Stop::Host(policy, failure)
}
