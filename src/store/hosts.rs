//! What the store remembers of MX hosts: the best that each has shown, and since when it shows less.
//!
//! Names of hosts come from strangers, who may have as many as they like. So a host is remembered only once mail
//! went there under TLS, the least recently seen ones are dropped beyond a number ([`HostStore::tidy_hosts`]),
//! and so is whoever has not been seen for long.

use futures_util::future::BoxFuture;

use super::StoreError;
use crate::name::Host;
use crate::policy::downgrade::Known;
use crate::time::UnixTime;

/// A host that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptHost {
    /// What it has shown.
    pub known: Known,
    /// When it was seen first.
    pub first: UnixTime,
    /// When it was seen last; up to a day earlier than it really was.
    pub seen: UnixTime,
}

/// Which hosts are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those that show less than before.
    Lost,
}

/// Whoever remembers hosts. Part of [`Store`](super::Store), whose promises hold here.
pub trait HostStore: Send + Sync {
    /// What is remembered of a host.
    fn host<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Option<KeptHost>, StoreError>>;

    /// Remembers a host, in place of what was remembered of it before.
    fn keep_host<'a>(
        &'a self,
        host: &'a Host,
        kept: KeptHost,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Forgets a host; tells whether there was one.
    fn forget_host<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Drops hosts that were last seen before `unseen_since`, and of the others those beyond `most` that were
    /// seen least recently; tells how many.
    fn tidy_hosts(
        &self,
        unseen_since: UnixTime,
        most: usize,
    ) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// These hosts in the order of their names (octet by octet), from the first one behind `after`; at most `limit` of
    /// them. Fewer than `limit` means that there are no more.
    fn hosts<'a>(
        &'a self,
        which: Which,
        after: Option<&'a Host>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Host, KeptHost)>, StoreError>>;
}
