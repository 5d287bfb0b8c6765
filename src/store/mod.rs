//! What waxseal remembers across restarts: the MTA-STS policies of the domains that mail goes to, and what their
//! MX hosts have shown ([`HostStore`]).
//!
//! RFC 8461 §3.3: a policy counts until its `max_age` is over, whatever DNS or the web server fail to say
//! meanwhile. Whoever can block both could otherwise wait for a restart. So a policy is kept with the text
//! that it was read from, and is read again from that text whenever it is loaded: what this waxseal cannot
//! read is dropped and counts as absent.
//!
//! [`Store`] is the port. [`open`] gives a file of this machine, which several processes may have open at
//! once; a fleet that shares a database can stand behind the same port.
//!
//! The store never stands in the way of mail. A file that cannot be used is replaced by memory, a damaged one
//! is set aside and begun anew, and a full disk makes writes fail while reads go on. Each of these is said in
//! the log once and in [`Store::health`] for as long as it lasts. Nothing here waits for the network.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::mtasts::{Fetched, Mode};
use crate::name::Domain;
use crate::time::{Clock, UnixTime};

mod hosts;
mod place;
mod sqlite;
#[cfg(test)]
mod tests;

pub use hosts::{HostStore, KeptHost, Which};
pub use place::{Place, default_place};

/// A policy that is remembered, and what is known of its refreshing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The policy, its text, its id and when it was fetched.
    pub fetched: Arc<Fetched>,
    /// When mail last asked for it; up to a day earlier than it really was, see [`Store::used`].
    pub used: UnixTime,
    /// From when on it is to be fetched again.
    pub refresh: UnixTime,
    /// Since when fetching it again fails; none where the last attempt worked.
    pub failing: Option<Failing>,
}

/// Attempts to fetch a policy again that came to nothing, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// The first of them.
    pub since: UnixTime,
    /// The last of them.
    pub last: UnixTime,
    /// Why the last one failed, in words for people.
    pub why: String,
}

/// How many policies are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Policies that have not expired, for each of [`Mode::ALL`] in its order.
    pub by_mode: [(Mode, u64); 3],
    /// Since when the one fails that has failed for longest.
    pub oldest_failure: Option<UnixTime>,
}

/// How the store is, for `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// Where policies are kept at present.
    pub place: Place,
    /// What is wrong, and what to do about it; none where all is well.
    pub degraded: Option<String>,
}

/// Why the store did not do what it was asked. None of this is an absence: it tells nothing about whether a
/// policy is remembered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, read-only or broken. The operator has to see to it; nothing was changed, and a later
    /// call may work again.
    #[error("{0}")]
    Disk(String),
    /// Another process held the store for too long. The caller may try again.
    #[error("another process keeps it busy")]
    Busy,
    /// The store was damaged. Nobody has to act: it is set aside, and what follows goes to a new one.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The store has been closed; the caller should not have asked.
    #[error("it is closed")]
    Closed,
    /// A mistake of waxseal's: please report it.
    #[error("a mistake of waxseal's: {0}")]
    Internal(String),
}

/// Whoever remembers policies and hosts. A port: built once when waxseal starts, another one in tests.
///
/// Domains are A-labels, times are whole Unix seconds. What has expired is never returned.
/// An answer takes as long as the disk takes, which is short of any promise: who must not wait sets a limit.
pub trait Store: HostStore {
    /// The policy of a domain, if one is remembered that has not expired.
    fn policy<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Option<Kept>, StoreError>>;

    /// Remembers a policy, in place of what was remembered of the domain before. Without `failing`, as after a
    /// fetch that worked, former failures are forgotten.
    fn keep<'a>(
        &'a self,
        domain: &'a Domain,
        kept: &'a Kept,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Takes note that mail asked for the policy at `at`. It is written down only where what is known is more
    /// than a day older, so it may be called for each message.
    fn used<'a>(
        &'a self,
        domain: &'a Domain,
        at: UnixTime,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Takes note that fetching the policy again failed at `at`, and is to be tried again at `again`. A failure
    /// that lasts keeps its [`since`](Failing::since). Nothing happens where no policy is remembered.
    fn refresh_failed<'a>(
        &'a self,
        domain: &'a Domain,
        at: UnixTime,
        again: UnixTime,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Forgets the policy of a domain; tells whether there was one, expired or not.
    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Domains whose policy is to be fetched again by now, those first that have waited longest; at most
    /// `limit` of them.
    fn due(&self, now: UnixTime, limit: usize) -> BoxFuture<'_, Result<Vec<Domain>, StoreError>>;

    /// Drops policies that have expired, and those that mail has not asked for since `unused_since`; tells how
    /// many.
    fn tidy(&self, now: UnixTime, unused_since: UnixTime)
    -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Policies in the order of their domains' names (octet by octet), from the first one behind `after`; at
    /// most `limit` of them. Fewer than `limit` means that there are no more.
    fn page<'a>(
        &'a self,
        after: Option<&'a Domain>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Domain, Kept)>, StoreError>>;

    /// Counts the policies that have not expired at `now`.
    fn stats(&self, now: UnixTime) -> BoxFuture<'_, Result<Stats, StoreError>>;

    /// How the store is. Asks nobody, and does not wait.
    fn health(&self) -> StoreHealth;

    /// Where memory stands in for the configured place: tries that again, and takes along what memory holds.
    /// To be called now and then, and when the configuration is read again. Elsewhere it does nothing.
    fn recover(&self) -> BoxFuture<'_, StoreHealth>;

    /// Ends in good order: every later call is [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Opens the store at `place`, or else in memory: [`Store::health`] then tells why, and so does the log.
///
/// An error means that there is not even memory or a thread to be had.
pub async fn open(place: Place, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(sqlite::SqliteStore::open(place, clock).await?))
}

impl Stats {
    /// The policies of one mode.
    pub fn of(&self, mode: Mode) -> u64 {
        let of_mode = self.by_mode.iter().filter(|(other, _)| *other == mode);
        of_mode.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str("memory"),
        }
    }
}
