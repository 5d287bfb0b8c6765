//! The memory of addresses that did not connect.
//!
//! A dead MX costs a full connect time-out. Paid once per session that is a queue that stands still, so
//! an address that did not connect is not dialled again for a while: other addresses take its place,
//! and where there are none the MTA hears 4xx at once, as Postfix's queue manager does for a dead
//! destination.

use std::net::SocketAddr;
use std::time::Duration;

use moka::sync::Cache;

/// Addresses that did not connect a short while ago. Clones share the memory.
#[derive(Debug, Clone)]
pub struct DeadAddresses(Option<Cache<SocketAddr, ()>>);

impl DeadAddresses {
    /// Remembers at most `entries` addresses for `how_long`; zero remembers nothing.
    pub fn new(how_long: Duration, entries: u64) -> Self {
        if how_long.is_zero() {
            return Self(None);
        }
        let cache = Cache::builder()
            .time_to_live(how_long)
            .max_capacity(entries)
            .build();
        Self(Some(cache))
    }

    /// Notes that `address` did not connect.
    pub fn note(&self, address: SocketAddr) {
        if let Some(cache) = &self.0 {
            cache.insert(address, ());
        }
    }

    /// True when `address` did not connect a short while ago.
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.0
            .as_ref()
            .is_some_and(|cache| cache.contains_key(&address))
    }
}
