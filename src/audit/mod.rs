//! What is remembered of deliveries: the last ones, for whoever asks by id or wants to see the latest.
//!
//! It is an [`Observer`] like the log. While mail waits it only keeps what it is shown; the [`Record`] is
//! made when somebody reads.

use std::sync::Arc;

use crate::policy::outcome::{Event, Observer};
use crate::time::Clock;

mod ring;

pub use ring::{Filter, Page, Ring};

#[cfg(doc)]
use crate::record::Record;

/// Takes note of deliveries.
pub struct Audit {
    clock: Arc<dyn Clock>,
    ring: Ring,
}

impl Audit {
    /// One that keeps the last `keep` deliveries.
    pub fn new(keep: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            ring: Ring::new(keep),
        }
    }

    /// The last deliveries.
    pub fn latest(&self) -> &Ring {
        &self.ring
    }
}

impl Observer for Audit {
    fn record(&self, event: Event<'_>) {
        if let Event::Outcome(outcome) = event {
            self.ring.push(self.clock.now(), outcome);
        }
    }
}
