//! The last deliveries, in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Entry;
use crate::name::Destination;
use crate::policy::delivery_id::DeliveryId;
use crate::record::Record;

/// The last deliveries; the oldest makes room for the next one.
#[derive(Debug)]
pub struct Ring {
    keep: usize,
    entries: Mutex<VecDeque<Arc<Entry>>>,
}

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// To this domain.
    pub domain: Option<Destination>,
    /// With this result, one of `End::WORDS`.
    pub result: Option<String>,
    /// Those before this one.
    pub after: Option<DeliveryId>,
}

/// Some deliveries, the latest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The deliveries.
    pub records: Vec<Record>,
    /// What to ask for as `after` to get the next ones; none where there are no more.
    pub next: Option<DeliveryId>,
}

impl Ring {
    /// One for `keep` deliveries.
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            entries: Mutex::default(),
        }
    }

    /// Keeps one more.
    pub(super) fn push(&self, entry: Arc<Entry>) {
        if self.keep == 0 {
            return;
        }
        let mut entries = self.lock();
        let oldest = if entries.len() == self.keep {
            entries.pop_front()
        } else {
            None
        };
        entries.push_back(entry);
        // What it holds is given back after the lock.
        drop(entries);
        drop(oldest);
    }

    /// The delivery of this id, if it is among the last ones.
    pub fn find(&self, id: DeliveryId) -> Option<Record> {
        let entries = self.latest_first();
        let found = entries.iter().find(|entry| is_of(entry, id))?;
        record(found)
    }

    /// At most `limit` deliveries, the latest first.
    pub fn page(&self, filter: &Filter, limit: usize) -> Page {
        let entries = self.latest_first();
        let start = match filter.after {
            None => 0,
            // What was before one that is forgotten is forgotten, too.
            Some(id) => entries
                .iter()
                .position(|entry| is_of(entry, id))
                .map_or(entries.len(), |at| at + 1),
        };
        let mut wanted = entries[start..].iter().filter(|entry| filter.lets(entry));
        let shown: Vec<_> = wanted.by_ref().take(limit).collect();
        let last = shown.last().and_then(|entry| entry.outcome());
        Page {
            next: wanted.next().and(last).map(|outcome| outcome.id),
            records: shown
                .into_iter()
                .filter_map(|entry| record(entry))
                .collect(),
        }
    }

    /// All of them, so that nobody has to read while mail waits for the lock.
    fn latest_first(&self) -> Vec<Arc<Entry>> {
        self.lock().iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of(entry: &Entry, id: DeliveryId) -> bool {
    entry.outcome().is_some_and(|outcome| outcome.id == id)
}

fn record(entry: &Entry) -> Option<Record> {
    let outcome = entry.outcome()?;
    Some(Record::of(outcome, entry.at))
}

impl Filter {
    fn lets(&self, entry: &Entry) -> bool {
        let Some(outcome) = entry.outcome() else {
            return false;
        };
        let domain = self.domain.as_ref();
        let result = self.result.as_deref();
        domain.is_none_or(|domain| outcome.destination == *domain)
            && result.is_none_or(|result| outcome.end.word() == result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::What;
    use crate::policy::outcome::{End, Outcome};
    use crate::record::tests::delivered;
    use crate::time::UnixTime;

    /// A ring for four, after five deliveries, to two domains in turn.
    fn ring() -> Ring {
        let ring = Ring::new(4);
        for n in 1..=5 {
            ring.push(entry(n));
        }
        ring
    }

    fn entry(n: u64) -> Arc<Entry> {
        Arc::new(Entry {
            at: UnixTime(n),
            what: What::Delivery(Arc::new(outcome(n))),
        })
    }

    fn outcome(n: u64) -> Outcome {
        let domain = ["even.example", "odd.example"][usize::from(n % 2 == 1)];
        Outcome {
            id: id(n),
            destination: domain.parse().unwrap(),
            end: if n == 3 {
                End::Abandoned
            } else {
                delivered().end
            },
            ..delivered()
        }
    }

    fn id(n: u64) -> DeliveryId {
        DeliveryId::new(UnixTime(n), 0)
    }

    /// The seconds of the deliveries on a page, and of the next page's `after`.
    fn page(filter: &Filter, limit: usize) -> (String, Option<DeliveryId>) {
        let page = ring().page(filter, limit);
        let times = page.records.iter().map(|record| &record.time[17..19]);
        (times.collect::<Vec<_>>().join(" "), page.next)
    }

    #[test]
    fn the_oldest_makes_room_for_the_latest() {
        let ring = ring();
        assert!(ring.find(id(1)).is_none());
        assert_eq!(ring.find(id(2)).unwrap().time, "1970-01-01T00:00:02Z");
        assert_eq!(
            page(&Filter::default(), 9),
            ("05 04 03 02".to_owned(), None)
        );
    }

    #[test]
    fn one_page_leads_to_the_next() {
        let mut filter = Filter::default();
        let (first, next) = page(&filter, 3);
        assert_eq!((first.as_str(), next), ("05 04 03", Some(id(3))));
        filter.after = next;
        assert_eq!(page(&filter, 3), ("02".to_owned(), None));
        filter.after = Some(id(1));
        assert_eq!(page(&filter, 3), (String::new(), None));
    }

    #[test]
    fn deliveries_are_found_by_domain_and_result() {
        let domain = Filter {
            domain: Some("odd.example".parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(page(&domain, 9).0, "05 03");
        assert_eq!(page(&domain, 1), ("05".to_owned(), Some(id(5))));
        let result = Filter {
            result: Some("abandoned".to_owned()),
            ..Filter::default()
        };
        assert_eq!(page(&result, 1), ("03".to_owned(), None));
    }

    #[test]
    fn a_ring_for_none_keeps_none() {
        let ring = Ring::new(0);
        ring.push(entry(1));
        assert!(ring.find(id(1)).is_none());
    }
}
