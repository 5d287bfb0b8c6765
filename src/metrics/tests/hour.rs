use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::metrics::hour::{Counts, LastHour};
use crate::time::Clock;

struct HandClock(AtomicU64);

impl HandClock {
    fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }
}

/// The minutes in which something happened.
fn busy(hour: &LastHour) -> Vec<(u64, [u64; 3])> {
    let minutes = hour.minutes();
    assert_eq!(minutes.len(), 60);
    let busy = minutes
        .into_iter()
        .filter(|(_, counts)| *counts != Counts::default());
    busy.map(|(at, counts)| (at.0, [counts.sealed, counts.open, counts.blocked]))
        .collect()
}

#[test]
fn what_is_older_than_an_hour_is_forgotten() {
    let clock = Arc::new(HandClock(AtomicU64::new(7200)));
    let hour = LastHour::new(Arc::clone(&clock) as Arc<dyn Clock>);
    assert_eq!(busy(&hour), []);
    let mut open = outcome();
    Arc::make_mut(open.link.as_mut().unwrap()).seal = Seal::Open(WhyPlaintext::NotOffered);
    let blocked = Outcome {
        end: End::Failed(peer().failure(Fault::StarttlsNotSupported)),
        ..outcome()
    };
    hour.record(Event::Outcome(&outcome().into()));
    hour.record(Event::Outcome(&outcome().into()));
    clock.set(7259);
    hour.record(Event::Outcome(&open.clone().into()));
    assert_eq!(busy(&hour), [(7200, [2, 1, 0])]);
    clock.set(7260 + 58 * 60);
    hour.record(Event::Outcome(&blocked.clone().into()));
    assert_eq!(busy(&hour), [(7200, [2, 1, 0]), (10_740, [0, 0, 1])]);
    clock.set(7200 + 60 * 60);
    assert_eq!(busy(&hour), [(10_740, [0, 0, 1])]);
    hour.record(Event::Outcome(&outcome().into()));
    assert_eq!(busy(&hour), [(10_740, [0, 0, 1]), (10_800, [1, 0, 0])]);
    clock.set(1_000_000);
    assert_eq!(busy(&hour), []);
}

#[test]
fn totals_are_the_sums_of_the_metrics() {
    let metrics = Metrics::new().unwrap();
    let blocked = Outcome {
        end: End::Failed(peer().failure(Fault::StarttlsNotSupported)),
        ..outcome()
    };
    let rejected = Outcome {
        end: End::Rejected(Reply::new(550, "5.1.1", "no")),
        ..outcome()
    };
    for outcome in [outcome(), outcome(), blocked, rejected] {
        metrics.record(Event::Outcome(&outcome.into()));
    }
    let totals = metrics.totals();
    assert_eq!(
        (totals.now.sealed, totals.now.open, totals.now.blocked),
        (2, 0, 1)
    );
    assert_eq!(
        (totals.would_block, totals.failed, totals.rejected),
        (0, 0, 1)
    );
}
