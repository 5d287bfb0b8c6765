//! A clock that a test sets by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use waxseal::time::{Clock, UnixTime};

/// Stands still until it is moved. Certificates of the test CA are valid at any time it shows.
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    /// 2027-01-01T00:00:00Z
    pub(crate) const START: u64 = 1_798_761_600;

    /// Moves on.
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Default for HandClock {
    fn default() -> Self {
        Self(AtomicU64::new(Self::START))
    }
}

impl Clock for HandClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }
}
