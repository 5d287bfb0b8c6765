//! Connections to MX hosts that have carried a message and wait for the next one.
//!
//! Connect, greeting, EHLO, STARTTLS and handshake cost an MTA more than the message. Here they are paid once
//! for as long as mail to the same address comes quickly enough.
//!
//! A connection is what it was when it was made, and no more: it is known by the address and port that were
//! dialled, by the name that waxseal gave itself, and by the name that went into SNI, because a server may show
//! another certificate for each. What it has to prove is asked again for each message, of the chain that the
//! handshake showed: one domain's policy never stands for another's. A connection in the clear is of use only
//! where TLS would not be tried either.
//!
//! The MX may close at any time what is idle. So a connection that fails before the content is replaced by a
//! fresh one, and the MTA hears nothing of it. After a 421 all connections to that address are ended
//! (RFC 5321 §3.8). Where there is no room the oldest connection of the address that has most of them goes; and the
//! oldest of all to an MX with limits (`caps`), when mail waits there.
//!
//! Connections that leave from an address of the MTA's own are not here: they belong to its session.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use crate::policy::failure::Phase;
use crate::policy::outcome::{Event, Observer, PoolEvent};
use crate::policy::requirement::Requirement;
use crate::proxy::settings::{PoolSettings, Settings};
use crate::proxy::upstream::Settled;

/// All of them together may take so long to part when waxseal stops.
const PARTING: Duration = Duration::from_secs(1);

/// The connections. Clones share them.
#[derive(Clone)]
pub struct Pool {
    idle: Arc<Mutex<Idle>>,
    observer: Arc<dyn Observer>,
}

#[derive(Debug, Default)]
struct Idle {
    /// In the order in which they came, the oldest first.
    by_target: HashMap<SocketAddr, VecDeque<Resting>>,
    count: usize,
    closed: bool,
}

/// A connection, the name that waxseal gave itself on it, and since when it waits.
#[derive(Debug)]
struct Resting {
    line: Box<Settled>,
    name: Arc<str>,
    since: Instant,
}

impl Resting {
    fn suits(&self, requirement: &Requirement, name: &str) -> bool {
        *self.name == *name
            && self.line.is_sealed_as(&requirement.demand)
            && (self.line.handshake.is_err() || self.line.server_name == requirement.server_name)
    }

    /// Whether the MX has closed it, or said something that nobody asked for.
    fn has_spoken(&mut self) -> bool {
        self.line.dialogue.interruption(Phase::Mail).is_some()
    }

    fn is_stale(&self, settings: &PoolSettings, now: Instant) -> bool {
        now.duration_since(self.since) >= settings.idle
            || now.duration_since(self.line.since) >= settings.max_age
    }
}

impl Idle {
    /// Takes the newest connection to `target` that `wanted` agrees to.
    fn take(&mut self, target: SocketAddr, wanted: impl Fn(&Resting) -> bool) -> Option<Resting> {
        let resting = self.by_target.get_mut(&target)?;
        let at = resting.iter().rposition(wanted)?;
        self.take_at(target, at)
    }

    fn take_at(&mut self, target: SocketAddr, at: usize) -> Option<Resting> {
        let resting = self.by_target.get_mut(&target)?;
        let taken = resting.remove(at)?;
        if resting.is_empty() {
            self.by_target.remove(&target);
        }
        self.count -= 1;
        Some(taken)
    }

    fn put(&mut self, resting: Resting) {
        let target = resting.line.dialogue.target();
        self.by_target.entry(target).or_default().push_back(resting);
        self.count += 1;
    }

    /// What has to go before one more connection to `target` may stay.
    fn in_the_way(&mut self, target: SocketAddr, settings: &PoolSettings) -> Option<Resting> {
        let crowded = self.by_target.get(&target).map_or(0, VecDeque::len);
        let from = if crowded >= settings.per_address {
            target
        } else if self.count >= settings.connections {
            let most = self.by_target.iter().max_by_key(|(_, lines)| lines.len());
            *most?.0
        } else {
            return None;
        };
        self.take_at(from, 0)
    }

    fn take_oldest(&mut self, wanted: impl Fn(&Settled) -> bool) -> Option<Resting> {
        let all = self.by_target.iter();
        let all =
            all.flat_map(|(target, lines)| lines.iter().enumerate().map(move |at| (target, at)));
        let wanted = all.filter(|(_, (_, resting))| wanted(&resting.line));
        let (target, (at, _)) = wanted.min_by_key(|(_, (_, resting))| resting.since)?;
        self.take_at(*target, at)
    }

    /// Removes every connection that `unwanted` names.
    fn remove(&mut self, mut unwanted: impl FnMut(&mut Resting) -> bool) -> Vec<Resting> {
        let mut removed = Vec::new();
        self.by_target.retain(|_, resting| {
            for mut one in std::mem::take(resting) {
                if unwanted(&mut one) {
                    removed.push(one);
                } else {
                    resting.push_back(one);
                }
            }
            !resting.is_empty()
        });
        self.count -= removed.len();
        removed
    }
}

impl Pool {
    /// An empty one; `observer` counts what comes and goes.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            idle: Arc::default(),
            observer,
        }
    }

    /// True when a connection to `target` waits.
    pub(super) fn knows(&self, target: SocketAddr) -> bool {
        self.lock().by_target.contains_key(&target)
    }

    /// Takes connections to `target` that were made as `requirement` would have them made now, the newest first,
    /// until `judge` takes one. The others go on waiting.
    pub(super) fn take<T>(
        &self,
        target: SocketAddr,
        requirement: &Requirement,
        settings: &Settings,
        judge: impl Fn(&Settled) -> Option<T>,
    ) -> Option<(Box<Settled>, T)> {
        let now = Instant::now();
        let suits = |resting: &Resting| {
            resting.suits(requirement, &settings.hostname) && !resting.is_stale(&settings.pool, now)
        };
        let mut passed_over = Vec::new();
        let found = loop {
            let Some(mut resting) = self.lock().take(target, suits) else {
                break None;
            };
            self.count(PoolEvent::Left);
            if resting.has_spoken() {
                continue;
            }
            match judge(&resting.line) {
                Some(word) => break Some((resting.line, word)),
                None => passed_over.push(resting),
            }
        };
        for resting in passed_over.into_iter().rev() {
            self.put(resting, |_| ());
        }
        if found.is_some() {
            self.count(PoolEvent::Reused);
        }
        found
    }

    /// Takes a connection whose transaction is over; ends it where it must not stay.
    pub(super) fn rest(&self, mut line: Box<Settled>, settings: &Settings) {
        let (name, settings) = (&settings.hostname, &settings.pool);
        line.messages += 1;
        if line.dialogue.is_closing() {
            self.forget(line.dialogue.target());
        }
        let used_up =
            line.messages >= settings.max_messages || line.since.elapsed() >= settings.max_age;
        if line.dialogue.is_closing() || used_up || settings.idle.is_zero() {
            return line.dialogue.quit();
        }
        let (target, place) = (line.dialogue.target(), line.dialogue.place.clone());
        let resting = Resting {
            line,
            name: Arc::clone(name),
            since: Instant::now(),
        };
        let in_the_way = self.put(resting, |idle| idle.in_the_way(target, settings));
        self.end(in_the_way);
        if let Some(place) = place {
            place.idles();
        }
    }

    /// Puts a connection to the others, once there is room for it, and tells what had to go.
    fn put<T>(&self, resting: Resting, make_room: impl FnOnce(&mut Idle) -> T) -> T {
        let mut idle = self.lock();
        let gone = make_room(&mut idle);
        if idle.closed {
            drop(idle);
            resting.line.dialogue.quit();
            return gone;
        }
        idle.put(resting);
        drop(idle);
        self.count(PoolEvent::Came);
        gone
    }

    /// Ends all connections to an MX that has said 421.
    pub(super) fn forget(&self, target: SocketAddr) {
        let mut idle = self.lock();
        let forgotten = idle.by_target.remove(&target).unwrap_or_default();
        idle.count -= forgotten.len();
        drop(idle);
        self.end(forgotten);
    }

    /// Ends the one that has waited the longest of those that `wanted` names.
    pub(super) fn end_oldest(&self, wanted: impl Fn(&Settled) -> bool) {
        let oldest = self.lock().take_oldest(wanted);
        self.end(oldest);
    }

    /// Ends connections that have waited too long or are too old, and those that the MX has closed. To be called
    /// every second or so.
    pub fn sweep(&self, settings: &PoolSettings) {
        let now = Instant::now();
        let stale = self
            .lock()
            .remove(|resting| resting.is_stale(settings, now) || resting.has_spoken());
        self.end(stale);
    }

    /// Ends all connections, and every one that comes from now on.
    pub async fn close(&self) {
        let all = {
            let mut idle = self.lock();
            idle.closed = true;
            idle.remove(|_| true)
        };
        let farewells = all.into_iter().map(|resting| {
            self.count(PoolEvent::Left);
            resting.line.dialogue.farewell()
        });
        // An MX that is slow to part must not keep waxseal from stopping.
        let _ = timeout(PARTING, join_all(farewells)).await;
    }

    fn end(&self, unwanted: impl IntoIterator<Item = Resting>) {
        for resting in unwanted {
            self.count(PoolEvent::Left);
            resting.line.dialogue.quit();
        }
    }

    fn count(&self, event: PoolEvent) {
        self.observer.record(Event::Pool(event));
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} connections)", self.lock().count)
    }
}
