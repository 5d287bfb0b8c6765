//! Before a connection is dialled, and before a message begins: is there room where a `[[destination]]` has limits?
//!
//! Nothing is wrong with an MX for which there is no room: it is not remembered as dead, and the mail waits for it for
//! a while before the next one is tried.
//!
//! The legs of one message wait for each other before its content is sent. Meanwhile the places that they have lie
//! idle, and two such messages may wait for each other. So once one leg has a place, its fellows wait only a moment
//! longer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::select;
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep_until};

use crate::policy::authorize::Peer;
use crate::policy::cap::Capped;
use crate::policy::failure::{Failure, Fault};
use crate::policy::outcome::Event;
use crate::proxy::caps::{Admitted, Guarded, Place};
use crate::proxy::gate::Gate;
use crate::proxy::opener::Attempt;
use crate::proxy::upstream::{Ready, Settled};

/// How long a leg waits when a fellow has a place.
const MOMENT: Duration = Duration::from_secs(1);

/// How long room is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room<'a> {
    /// No longer than this.
    pub(super) deadline: Instant,
    /// The legs that wait with the one at hand.
    pub(super) company: Option<&'a Company>,
}

/// What the legs of one message know of each other: since when one of them has a place.
#[derive(Debug, Clone, Default)]
pub(super) struct Company(Arc<SetOnce<Instant>>);

impl Company {
    /// One of them has a place.
    pub(super) fn has_place(&self) {
        // That of the first counts.
        let _ = self.0.set(Instant::now());
    }

    /// Waits until nobody without a place waits any longer.
    async fn is_done_waiting(&self) {
        let since = *self.0.wait().await;
        sleep_until(since + MOMENT).await;
    }
}

impl Gate {
    /// Lets a message go to the first of `attempts`, over a connection that has carried one before or over a fresh
    /// one; or says in time that there is no room. Behind a door a connection to another one of the same preference
    /// does as well; the number tells to which.
    pub(super) async fn admit(
        &self,
        attempts: &[Attempt<'_>],
        until: Room<'_>,
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
            other.preference == first.preference && self.caps.are_together(&first.peer, &other.peer)
        };
        let waiting = async {
            let turn = guarded.turn(until.deadline).await?;
            let again = || {
                let mut equals = (0..).zip(attempts).filter(|(_, other)| does_as_well(other));
                equals.find_map(|(at, _)| again(at))
            };
            let make_room = || self.make_room(guarded);
            let admitted = guarded.admit(until.deadline, again, make_room).await?;
            turn.take();
            Ok(admitted)
        };
        let waiting = together(until.company, guarded, waiting);
        // In a box: few have limits, and all others pay nothing for the room that it takes.
        let waited = self.waited(&first.peer, waiting).boxed();
        waited.await.map(numbered)
    }

    /// A place for a fresh connection, where it needs one.
    pub(super) async fn place(
        &self,
        peer: &Peer,
        port: u16,
        until: Room<'_>,
    ) -> Result<Option<Place>, Failure> {
        let Some(guarded) = self.guarded(peer, port) else {
            return Ok(None);
        };
        let waiting = guarded.admit(until.deadline, || None, || self.make_room(guarded));
        let waiting = together(until.company, guarded, waiting);
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

/// Waits, but in company no longer than is good for all.
async fn together<T>(
    company: Option<&Company>,
    guarded: &Guarded,
    waiting: impl Future<Output = Result<T, Capped>>,
) -> Result<T, Capped> {
    let Some(company) = company else {
        return waiting.await;
    };
    let admitted = select! {
        biased;
        admitted = waiting => admitted?,
        () = company.is_done_waiting() => return Err(guarded.no_room()),
    };
    if guarded.limits_connections() {
        company.has_place();
    }
    Ok(admitted)
}

/// The number first; it is that of the first attempt where a fresh connection is to be made.
fn numbered(admitted: Admitted<(usize, Ready)>) -> (usize, Admitted<Ready>) {
    match admitted {
        Admitted::Again((at, ready)) => (at, Admitted::Again(ready)),
        Admitted::Afresh(place) => (0, Admitted::Afresh(place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fellows_of_a_leg_that_has_a_place_wait_a_moment_and_no_longer() {
        let company = Company::default();
        let (fellow, started) = (company.clone(), Instant::now());
        let fellow = tokio::spawn(async move { fellow.is_done_waiting().await });
        tokio::time::sleep(60 * MOMENT).await;
        assert!(!fellow.is_finished());
        company.has_place();
        tokio::time::sleep(MOMENT / 2).await;
        company.has_place();
        fellow.await.unwrap();
        assert_eq!(started.elapsed(), 61 * MOMENT);
        company.is_done_waiting().await;
        assert_eq!(started.elapsed(), 61 * MOMENT);
    }
}
