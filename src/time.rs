//! The one place that reads a wall clock.
//!
//! Policies and certificates expire by the calendar, so whoever judges them is handed `now`.
//! Time-outs are another matter: they run on tokio's clock, which a test can pause.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The duration since the epoch, as certificate verifiers want it.
    pub fn since_epoch(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl fmt::Display for UnixTime {
    /// RFC 3339 in UTC, such as `2026-11-23T14:43:42Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        match time {
            Some(time) => time.fmt(f),
            None => write!(f, "@{}", self.0),
        }
    }
}

/// Whoever knows what time it is.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> UnixTime;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one now()")]
    fn now(&self) -> UnixTime {
        // A clock set before 1970 reads as 1970: certificates are then not yet valid, which blocks.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        UnixTime(since.unwrap_or_default().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_as_rfc_3339() {
        assert_eq!(UnixTime(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(UnixTime(1_795_444_422).to_string(), "2026-11-23T14:33:42Z");
    }
}
