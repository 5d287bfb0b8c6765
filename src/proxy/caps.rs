//! Who may go to an MX for which a `[[destination]]` has limits, and who waits.
//!
//! All that one `[[destination]]` names is behind one door. A connection has its place there from before it is dialled
//! until it is closed, so also while it waits in the pool; an idle one gives way when somebody needs its place. Who
//! finds no room waits in line, first come, first served, for a place or for a connection that others have done with;
//! and not for ever: whoever gives up leaves the line as it was.
//!
//! Messages are counted over a sliding window, so that with `"100/1m"` no minute at all has more than 100.
//!
//! What is counted outlives a reload: a `[[destination]]` that names the same as before has the same door, and new
//! limits are for whoever comes next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::sync::{self, Notify};
use tokio::time::{Instant, timeout_at};

use crate::policy::authorize::Peer;
use crate::policy::cap::{Cap, Capped, Limits};

/// The doors, in the order of the configuration. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Caps(Arc<[Guarded]>);

/// A door and its limits, as the gate at hand has them.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    cap: Cap,
    door: Arc<Door>,
}

#[derive(Debug, Default)]
struct Door {
    inside: Mutex<Inside>,
    /// The line of those who need a connection. Only its first one looks for room.
    line: sync::Mutex<()>,
    /// The line of those who begin a message.
    messages: sync::Mutex<()>,
    /// Wakes the first one of `line`: there may be room.
    stirred: Notify,
    /// Wakes the first one of `messages`: there are other limits.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    limits: Limits,
    connections: usize,
    /// When the messages began that still count, the oldest first.
    begun: VecDeque<Instant>,
}

/// A connection's place. Clones share it; it is free when the last one is dropped.
#[derive(Debug, Clone)]
pub(super) struct Place(Arc<Held>);

#[derive(Debug)]
struct Held(Arc<Door>);

/// The turn of a message that may begin. Whoever does not take it has not begun.
#[derive(Debug)]
pub(super) struct Turn<'a>(Option<(&'a Door, sync::MutexGuard<'a, ()>)>);

/// How a message goes to an MX.
#[derive(Debug)]
pub(super) enum Admitted<T> {
    /// Over what was found to be used again.
    Again(T),
    /// Over a fresh connection, with this place where it needs one.
    Afresh(Option<Place>),
}

impl Caps {
    /// Doors that nobody has gone through yet.
    pub fn new(caps: &[Cap]) -> Self {
        let guarded = |cap: &Cap| Guarded {
            cap: cap.clone(),
            door: Arc::new(Door::with(cap.limits)),
        };
        Self(caps.iter().map(guarded).collect())
    }

    /// These, with all that is counted behind the doors of `before` that are for the same. From now on the limits
    /// of these count.
    #[must_use]
    pub fn after(&self, before: &Self) -> Self {
        let guarded = |new: &Guarded| {
            let mut before = before.0.iter();
            match before.find(|old| old.cap.names == new.cap.names) {
                Some(old) => {
                    old.door.limit(new.cap.limits);
                    Guarded {
                        cap: new.cap.clone(),
                        door: Arc::clone(&old.door),
                    }
                }
                None => new.clone(),
            }
        };
        Self(self.0.iter().map(guarded).collect())
    }

    /// True where nothing is limited.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The door to an MX, if there is one: that of the first `[[destination]]` that names it.
    pub(super) fn to(&self, peer: &Peer) -> Option<&Guarded> {
        self.0.iter().find(|one| one.cap.names.cover(peer))
    }

    /// True where both are behind the same door.
    pub(super) fn are_together(&self, one: &Peer, other: &Peer) -> bool {
        match (self.to(one), self.to(other)) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.door, &other.door),
            _ => false,
        }
    }
}

impl Guarded {
    /// Waits until `deadline` for the turn of a message.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<Turn<'_>, Capped> {
        let turn = timeout_at(deadline, self.door.turn()).await;
        turn.map_err(|_| self.no_room())
    }

    /// Waits until `deadline` for something that `again` finds, or for a place; `make_room` is asked to end an idle
    /// connection that has one.
    pub(super) async fn admit<T>(
        &self,
        deadline: Instant,
        again: impl Fn() -> Option<T>,
        make_room: impl Fn(),
    ) -> Result<Admitted<T>, Capped> {
        let admitted = timeout_at(deadline, self.door.admit(again, make_room)).await;
        admitted.map_err(|_| self.no_room())
    }

    /// True where somebody may have to wait for a place that others have.
    pub(super) fn limits_connections(&self) -> bool {
        self.cap.limits.connections.is_some()
    }

    /// What whoever gave up has waited for. One that stood behind somebody who waits for a connection waited for one,
    /// too.
    pub(super) fn no_room(&self) -> Capped {
        let full = self.door.lock().full_until(Instant::now()).is_some();
        match self.cap.limits.messages {
            Some(rate) if full => self.cap.has_no_message(rate),
            _ => self.cap.has_no_connection(),
        }
    }

    /// True for a place behind this door.
    pub(super) fn leads_to(&self, place: &Place) -> bool {
        Arc::ptr_eq(&self.door, &place.0.0)
    }
}

impl Door {
    fn with(limits: Limits) -> Self {
        let door = Self::default();
        door.limit(limits);
        door
    }

    fn limit(&self, limits: Limits) {
        self.lock().limits = limits;
        self.stirred.notify_one();
        self.changed.notify_one();
    }

    async fn turn(&self) -> Turn<'_> {
        if self.lock().limits.messages.is_none() {
            return Turn(None);
        }
        let line = self.messages.lock().await;
        loop {
            let full_until = self.lock().full_until(Instant::now());
            let Some(instant) = full_until else {
                return Turn(Some((self, line)));
            };
            // Either way it looks again.
            let _ = timeout_at(instant, self.changed.notified()).await;
        }
    }

    async fn admit<T>(
        self: &Arc<Self>,
        again: impl Fn() -> Option<T>,
        make_room: impl Fn(),
    ) -> Admitted<T> {
        let _line = self.line.lock().await;
        loop {
            // What has happened so far is seen at once.
            let _ = self.stirred.notified().now_or_never();
            if let Some(found) = again() {
                return Admitted::Again(found);
            }
            if self.lock().enter() {
                let held = Held(Arc::clone(self));
                return Admitted::Afresh(Some(Place(Arc::new(held))));
            }
            make_room();
            self.stirred.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn enter(&mut self) -> bool {
        let limit = self.limits.connections;
        let enters = limit.is_none_or(|limit| self.connections < limit);
        self.connections += usize::from(enters);
        enters
    }

    /// When the next message may begin; `None` = now.
    fn full_until(&mut self, now: Instant) -> Option<Instant> {
        let rate = self.limits.messages?;
        while self
            .begun
            .front()
            .is_some_and(|began| *began + rate.per <= now)
        {
            self.begun.pop_front();
        }
        let first = self.begun.len().checked_sub(rate.count)?;
        Some(*self.begun.get(first)? + rate.per)
    }
}

impl Turn<'_> {
    /// The message begins.
    pub(super) fn take(self) {
        if let Some((door, _line)) = self.0 {
            door.lock().begun.push_back(Instant::now());
        }
    }
}

impl Place {
    /// True where somebody may have to wait for it.
    pub(super) fn is_scarce(&self) -> bool {
        self.0.0.lock().limits.connections.is_some()
    }

    /// Tells the first one in line that the connection with this place is idle by now.
    pub(super) fn idles(&self) {
        self.0.0.stirred.notify_one();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().connections -= 1;
        self.0.stirred.notify_one();
    }
}

#[cfg(test)]
mod tests;
