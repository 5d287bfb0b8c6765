//! Before a connection is dialled, and before a message begins: is there room where a `[[destination]]` has limits?
//!
//! Nothing is wrong with an MX for which there is no room: it is not remembered as dead, and the mail waits for it for
//! a while before the next one is tried.

use tokio::time::Instant;

use crate::policy::authorize::Peer;
use crate::policy::cap::Capped;
use crate::policy::failure::{Failure, Fault};
use crate::policy::outcome::Event;
use crate::proxy::caps::{Admitted, Guarded, Place};
use crate::proxy::gate::Gate;
use crate::proxy::opener::Attempt;
use crate::proxy::upstream::{Ready, Settled};

impl Gate {
    /// Lets a message go to the first of `attempts`, over a connection that has carried one before or over a fresh
    /// one; or says at `deadline` that there was no room. Whoever has to wait also takes a connection to one of
    /// equal preference behind the same door. The number tells to which.
    pub(super) async fn admit(
        &self,
        attempts: &[Attempt<'_>],
        deadline: Instant,
    ) -> Result<(usize, Admitted<Ready>), Failure> {
        let again = |at: usize| Some((at, self.rested(attempts.get(at)?)?));
        let first = attempts.first();
        let guarded = first.and_then(|first| self.guarded(&first.peer, first.port));
        let (Some(first), Some(guarded)) = (first, guarded) else {
            return Ok(numbered(
                again(0).map_or(Admitted::Afresh(None), Admitted::Again),
            ));
        };
        let does_as_well = |other: &Attempt<'_>| {
            let door = self.caps.to(&other.peer);
            other.preference == first.preference && door.is_some_and(|door| door.is(guarded))
        };
        let waiting = async {
            let turn = guarded.turn(deadline).await?;
            let again = || {
                let mut equals = (0..).zip(attempts).filter(|(_, other)| does_as_well(other));
                equals.find_map(|(at, _)| again(at))
            };
            let make_room = || self.make_room(guarded);
            let admitted = guarded.admit(deadline, again, make_room).await?;
            turn.take();
            Ok(admitted)
        };
        self.waited(&first.peer, waiting).await.map(numbered)
    }

    /// A place for a fresh connection, where it needs one.
    pub(super) async fn place(
        &self,
        peer: &Peer,
        port: u16,
        deadline: Instant,
    ) -> Result<Option<Place>, Failure> {
        let Some(guarded) = self.guarded(peer, port) else {
            return Ok(None);
        };
        let waiting = guarded.admit(deadline, || None, || self.make_room(guarded));
        let (Admitted::Again(place) | Admitted::Afresh(place)) = self.waited(peer, waiting).await?;
        Ok(place)
    }

    /// Waits until a message may begin.
    pub(super) async fn turn(&self, peer: &Peer, deadline: Instant) -> Result<(), Failure> {
        if let Some(guarded) = self.caps.to(peer) {
            let turn = self.waited(peer, guarded.turn(deadline)).await?;
            turn.take();
        }
        Ok(())
    }

    /// The door to an MX, if there is one. Where nothing listens, and nothing rests, there is nothing to wait for.
    fn guarded(&self, peer: &Peer, port: u16) -> Option<&Guarded> {
        let guarded = self.caps.to(peer)?;
        let target = (peer.address, port).into();
        let in_vain = self.dead.knows(target) && !self.pool.knows(target);
        (!in_vain).then_some(guarded)
    }

    /// Counts how long somebody waits.
    async fn waited<T>(
        &self,
        peer: &Peer,
        waiting: impl Future<Output = Result<T, Capped>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let waited = waiting.await;
        self.observer.record(Event::Waited(started.elapsed()));
        waited.map_err(|capped| peer.failure(Fault::Capped(capped)))
    }

    /// Ends the connection behind the door that has been idle for the longest.
    fn make_room(&self, guarded: &Guarded) {
        let is_behind = |line: &Settled| {
            let place = line.dialogue.place.as_ref();
            place.is_some_and(|place| guarded.leads_to(place))
        };
        self.pool.end_oldest(is_behind);
    }
}

/// The number first; it is that of the first attempt where a fresh connection is to be made.
fn numbered(admitted: Admitted<(usize, Ready)>) -> (usize, Admitted<Ready>) {
    match admitted {
        Admitted::Again((at, ready)) => (at, Admitted::Again(ready)),
        Admitted::Afresh(place) => (0, Admitted::Afresh(place)),
    }
}
