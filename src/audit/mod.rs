//! What is remembered and written of deliveries and administrative acts.
//!
//! The last deliveries stay in memory ([`Ring`]), for whoever asks by id or wants to see the latest. Where
//! `[audit] file` says so, each delivery decision and each administrative act is a line of the audit log
//! (`writer`).
//!
//! It is an [`Observer`] like the log. While mail waits it only keeps what it is shown: the
//! [`crate::record::Record`] is made by the thread that writes, or when somebody reads.

use std::sync::Arc;

use crate::policy::act::Act;
use crate::policy::outcome::{Event, Observer, Outcome};
use crate::record::{ActRecord, Line, Record};
use crate::time::{Clock, UnixTime};

mod ring;
mod writer;

pub use ring::{Filter, Page, Ring};
pub use writer::{Losses, Lost, OpenError, Place};

use writer::Writer;

/// What is remembered and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many deliveries are remembered in memory.
    pub keep: usize,
    /// Where the audit log goes; none where there is none.
    pub place: Option<Place>,
}

/// Takes note of deliveries and administrative acts.
pub struct Audit {
    clock: Arc<dyn Clock>,
    ring: Ring,
    writer: Option<Writer>,
}

/// Something that happened, and when.
#[derive(Debug)]
struct Entry {
    at: UnixTime,
    what: What,
}

#[derive(Debug)]
enum What {
    Delivery(Arc<Outcome>),
    Act(Act),
}

impl Audit {
    /// Opens the audit log, where there shall be one; blocks.
    pub fn open(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        losses: Losses,
    ) -> Result<Self, OpenError> {
        let writer = settings.place.clone();
        let writer = writer.map(|place| Writer::open(place, losses));
        Ok(Self {
            clock,
            ring: Ring::new(settings.keep),
            writer: writer.transpose()?,
        })
    }

    /// The last deliveries.
    pub fn latest(&self) -> &Ring {
        &self.ring
    }

    /// Opens the file of the audit log anew, after it was moved away.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Writes the last lines; blocks, but not for ever.
    pub fn end(&self) {
        if let Some(writer) = &self.writer {
            writer.end();
        }
    }

    fn write(&self, entry: Arc<Entry>) {
        if let Some(writer) = &self.writer {
            writer.put(entry);
        }
    }

    fn entry(&self, what: What) -> Arc<Entry> {
        let at = self.clock.now();
        Arc::new(Entry { at, what })
    }
}

impl Observer for Audit {
    fn record(&self, event: Event<'_>) {
        match event {
            Event::Outcome(outcome) => {
                let entry = self.entry(What::Delivery(Arc::clone(outcome)));
                self.ring.push(Arc::clone(&entry));
                self.write(entry);
            }
            Event::Act(act) if self.writer.is_some() => {
                self.write(self.entry(What::Act(act.clone())));
            }
            _ => {}
        }
    }
}

impl Entry {
    /// The delivery, if it is one.
    fn outcome(&self) -> Option<&Outcome> {
        match &self.what {
            What::Delivery(outcome) => Some(outcome),
            What::Act(_) => None,
        }
    }

    fn write_line(&self, out: &mut Vec<u8>) {
        let line = match &self.what {
            What::Delivery(outcome) => Line::Delivery(Box::new(Record::of(outcome, self.at))),
            What::Act(act) => Line::Act(Box::new(ActRecord::of(act, self.at))),
        };
        // Only a map whose keys are no texts cannot be written as JSON.
        if serde_json::to_writer(&mut *out, &line).is_ok() {
            out.push(b'\n');
        }
    }
}
