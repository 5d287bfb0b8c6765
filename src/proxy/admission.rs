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
    /// Lets a message go to an MX, over a connection that has carried one before or over a fresh one; or says at
    /// `deadline` that there was no room.
    pub(super) async fn admit(
        &self,
        attempt: &Attempt<'_>,
        deadline: Instant,
    ) -> Result<Admitted<Ready>, Failure> {
        let again = || self.rested(attempt);
        let Some(guarded) = self.guarded(&attempt.peer, attempt.port) else {
            return Ok(again().map_or(Admitted::Afresh(None), Admitted::Again));
        };
        let waiting = async {
            let turn = guarded.turn(deadline).await?;
            let make_room = || self.make_room(guarded);
            let admitted = guarded.admit(deadline, again, make_room).await?;
            turn.take();
            Ok(admitted)
        };
        self.waited(&attempt.peer, waiting).await
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

    /// The door to an MX, if there is one. Where nothing listens there is nothing to wait for.
    fn guarded(&self, peer: &Peer, port: u16) -> Option<&Guarded> {
        let guarded = self.caps.to(peer)?;
        let dead = self.dead.knows((peer.address, port).into());
        (!dead).then_some(guarded)
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
