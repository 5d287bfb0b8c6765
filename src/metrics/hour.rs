//! The last hour, minute by minute: what left sealed or open, and what was blocked. For a look at a machine that no
//! Prometheus watches.

use std::sync::{Arc, Mutex, PoisonError};

use crate::policy::outcome::{End, Event, Link, Observer, Outcome, Seal};
use crate::time::{Clock, UnixTime};

/// Minutes that are remembered.
const MINUTES: usize = 60;

/// What became of legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages that left under TLS.
    pub sealed: u64,
    /// Messages that left in plaintext.
    pub open: u64,
    /// Legs that were kept back because no MX proved what the policy asks for.
    pub blocked: u64,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match (&outcome.end, outcome.link.as_deref()) {
            (End::Delivered(_), Some(Link { seal, .. })) => match seal {
                Seal::Tls { .. } => self.sealed += 1,
                Seal::Open(_) => self.open += 1,
            },
            (End::Failed(failure), _) if failure.is_about_policy() => self.blocked += 1,
            _ => {}
        }
    }
}

/// Counts by minute, and forgets what is older than an hour.
pub struct LastHour {
    clock: Arc<dyn Clock>,
    /// The minute since 1970 that each place is for, and its counts. A minute has its place for ever.
    minutes: Mutex<[(u64, Counts); MINUTES]>,
}

impl LastHour {
    /// Nothing has happened yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            minutes: Mutex::new([(0, Counts::default()); MINUTES]),
        }
    }

    /// The last sixty minutes, the oldest first; the last one is not over.
    pub fn minutes(&self) -> Vec<(UnixTime, Counts)> {
        let now = self.clock.now().0 / 60;
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = (now + 1).saturating_sub(MINUTES as u64);
        let counts = |minute| match minutes[place(minute)] {
            (remembered, counts) if remembered == minute => counts,
            _ => Counts::default(),
        };
        (oldest..=now)
            .map(|minute| (UnixTime(minute * 60), counts(minute)))
            .collect()
    }
}

fn place(minute: u64) -> usize {
    usize::try_from(minute).unwrap_or_default() % MINUTES
}

impl Observer for LastHour {
    fn record(&self, event: Event<'_>) {
        let Event::Outcome(outcome) = event else {
            return;
        };
        let minute = self.clock.now().0 / 60;
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let (remembered, counts) = &mut minutes[place(minute)];
        if *remembered != minute {
            (*remembered, *counts) = (minute, Counts::default());
        }
        counts.add(outcome);
    }
}
