//! Decisions of a moment ago.
//!
//! A burst of mail to one domain would decide the same thing over and over. What a decision rests on is cached
//! below, answer by answer; here the decision itself is kept for the rest of the second in which it was made. It
//! counts only as long as what is remembered of policies and MX hosts has not changed, and nothing is kept that
//! rests on a look-up that failed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use moka::sync::Cache;

use crate::discover::Revision;
use crate::name::{Destination, Domain};
use crate::policy::decide::Decision;
use crate::time::UnixTime;
use crate::usage::{CacheUse, Cached, Usage};

/// What is older has no claim to memory.
const LIFE: Duration = Duration::from_secs(5);

/// Decisions of one gate. Clones share them.
#[derive(Clone)]
pub struct Recent {
    kept: Cache<Question, Kept>,
    usage: Usage,
}

/// A destination and a sender.
type Question = (Destination, Option<Domain>);

#[derive(Clone)]
struct Kept {
    at: Moment,
    decision: Arc<Decision>,
}

/// When a decision was made, and what was remembered then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) now: UnixTime,
    pub(super) revision: Revision,
}

impl Recent {
    /// Room for so many; with 0 none is kept.
    pub fn new(max_kept: u64) -> Self {
        Self {
            kept: Cache::builder()
                .max_capacity(max_kept)
                .time_to_live(LIFE)
                .build(),
            usage: Usage::default(),
        }
    }

    /// How it was used since somebody asked last.
    pub fn cache_use(&self) -> CacheUse {
        self.kept.run_pending_tasks();
        let entries = self.kept.entry_count();
        self.usage.taken(Cached::Decisions, entries)
    }

    /// The decision about mail from `sender` to `destination` that was made at this moment, or the one that
    /// `decide` makes now.
    pub(super) async fn or_else<'a>(
        &self,
        destination: &Destination,
        sender: Option<&Domain>,
        at: Moment,
        decide: impl FnOnce() -> BoxFuture<'a, Decision>,
    ) -> Arc<Decision> {
        let question = (destination.clone(), sender.cloned());
        let kept = self.kept.get(&question);
        if let Some(kept) = kept.filter(|kept| kept.at == at) {
            self.usage.hit();
            return kept.decision;
        }
        self.usage.miss();
        let decision = Arc::new(decide().await);
        if !decision.facts.have_failed() {
            let decision = Arc::clone(&decision);
            self.kept.insert(question, Kept { at, decision });
        }
        decision
    }
}
