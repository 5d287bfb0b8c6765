//! The memory of addresses that did not connect.
//!
//! A dead MX costs a full connect time-out. Paid once per session that is a queue that stands still, so
//! an address that did not connect is not dialled again for a while: other addresses take its place,
//! and where there are none the MTA hears 4xx at once, as Postfix's queue manager does for a dead
//! destination.

use std::net::SocketAddr;
use std::time::Duration;

use moka::sync::Cache;

use crate::usage::{CacheUse, Cached, Usage};

/// Addresses that did not connect a short while ago. Clones share the memory.
#[derive(Debug, Clone)]
pub struct DeadAddresses {
    cache: Option<Cache<SocketAddr, ()>>,
    usage: Usage,
}

impl DeadAddresses {
    /// Remembers at most `entries` addresses for `how_long`; zero remembers nothing.
    pub fn new(how_long: Duration, entries: u64) -> Self {
        let cache = || {
            Cache::builder()
                .time_to_live(how_long)
                .max_capacity(entries)
                .build()
        };
        Self {
            cache: (!how_long.is_zero()).then(cache),
            usage: Usage::default(),
        }
    }

    /// Notes that `address` did not connect.
    pub fn note(&self, address: SocketAddr) {
        if let Some(cache) = &self.cache {
            cache.insert(address, ());
        }
    }

    /// True when `address` did not connect a short while ago.
    pub fn knows(&self, address: SocketAddr) -> bool {
        let Some(cache) = &self.cache else {
            return false;
        };
        let knows = cache.contains_key(&address);
        if knows {
            self.usage.hit();
        } else {
            self.usage.miss();
        }
        knows
    }

    /// How it was used since somebody asked last.
    pub fn cache_use(&self) -> CacheUse {
        let entries = self.cache.as_ref().map_or(0, |cache| {
            cache.run_pending_tasks();
            cache.entry_count()
        });
        self.usage.taken(Cached::DeadAddresses, entries)
    }
}
