//! Policies are fetched again before they expire (RFC 8461 §3.3, §10.2).
//!
//! Once a day each, whether the record has a new `id` or not: owners and their content networks change
//! policy and record in any order. A refresh that fails leaves the policy as it is, is tried again within
//! the hour, and is remembered and shown for as long as it fails. A policy that no mail asked for in 90 days is
//! forgotten.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rand::RngExt;

use super::{Memory, MtaStsPolicies};
use crate::discover::grumble;
use crate::dns::{Freshness, LookupError};
use crate::mtasts::FetchError;
use crate::mtasts::record::NoRecord;
use crate::name::Domain;
use crate::store::{Failing, Kept, Stats, StoreError, StoreHealth};
use crate::time::UnixTime;

/// Policies are refreshed once in this time, at least.
const DAILY: Duration = Duration::from_hours(24);
/// And not more often than this, however short they live.
const LEAST: Duration = Duration::from_mins(10);
/// After a refresh that failed.
const RETRY: Duration = Duration::from_hours(1);
/// A policy that nobody asked for is kept so long.
const UNUSED_FOR: u64 = 90 * 24 * 60 * 60;
/// Policies refreshed in one round, and at the same time.
const ROUND: usize = 500;
const AT_ONCE: usize = 8;

/// When a policy that was fetched `now` is fetched again: some time within the last quarter of its turn, so that
/// policies that were learnt together spread over the day.
pub(super) fn next(now: UnixTime, max_age: Duration) -> UnixTime {
    let turn = (max_age / 2).clamp(LEAST, DAILY);
    spread(now, turn)
}

fn spread(now: UnixTime, turn: Duration) -> UnixTime {
    let share = rand::rng().random_range(0.75..=1.0);
    UnixTime(now.0.saturating_add(turn.mul_f64(share).as_secs()))
}

/// Why a policy was not fetched again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRefreshed {
    /// The domain has no valid record, and no policy is remembered.
    #[error(transparent)]
    NoRecord(#[from] NoRecord),
    /// Its record cannot be looked up, and no policy is remembered.
    #[error("DNS look-up of the record failed: {0}")]
    Dns(#[from] LookupError),
    /// The web server does not give a policy.
    #[error("the policy cannot be fetched: {0}")]
    Fetch(#[from] FetchError),
}

impl MtaStsPolicies {
    /// Fetches the policies whose turn has come, and forgets those that nobody needs.
    pub async fn refresh_due(&self) {
        let now = self.clock.now();
        let store = &self.memory.store;
        let unused_since = UnixTime(now.0.saturating_sub(UNUSED_FOR));
        grumble(store.tidy(now, unused_since).await);
        let due = grumble(store.due(now, ROUND).await).unwrap_or_default();
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, |domain| async move {
                // What went wrong is counted, logged and remembered where it happened.
                let _ = self.refresh(&domain).await;
            })
            .await;
    }

    /// Fetches the policy of `domain` now, whatever its record says of it.
    pub async fn refresh(&self, domain: &Domain) -> Result<Arc<Kept>, NotRefreshed> {
        let kept = grumble(self.memory.kept(domain, self.clock.now()).await).flatten();
        let record = self.record(domain, Freshness::Fresh).await;
        let id = match (record, &kept) {
            (Ok(Ok(id)), _) => id,
            (_, Some(kept)) => kept.fetched.id.clone(),
            (Ok(Err(why)), None) => return Err(why.into()),
            (Err(error), None) => return Err(error.into()),
        };
        match (self.fetch_now(domain, &id).await, kept) {
            (Ok(kept), _) => Ok(kept),
            (Err(error), Some(kept)) => {
                let at = self.clock.now();
                self.memory.failed(domain, &kept, at, &error).await;
                Err(error.into())
            }
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Forgets the policy of `domain`; tells whether there was one.
    pub async fn forget(&self, domain: &Domain) -> bool {
        self.memory.forget(domain).await
    }

    /// The policy that is remembered of `domain` and has not expired.
    pub async fn kept(&self, domain: &Domain) -> Result<Option<Arc<Kept>>, Arc<StoreError>> {
        self.memory.kept(domain, self.clock.now()).await
    }

    /// At most `limit` policies in the order of their domains, those behind `after`.
    pub async fn page(
        &self,
        after: Option<&Domain>,
        limit: usize,
    ) -> Result<Vec<(Domain, Kept)>, StoreError> {
        self.memory.store.page(after, limit).await
    }

    /// How many policies there are, and how they stand.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.memory.store.stats(self.clock.now()).await
    }
}

impl Memory {
    /// Where memory stands in for the place of the store, tries that again.
    pub async fn recover(&self) {
        self.store.recover().await;
    }

    /// Where policies are kept, and what is wrong with that place.
    pub fn health(&self) -> StoreHealth {
        self.store.health()
    }

    /// Ends in good order; nothing is written down any more.
    pub async fn close(&self) {
        self.store.close().await;
    }

    async fn failed(&self, domain: &Domain, kept: &Kept, at: UnixTime, error: &FetchError) {
        let why = error.to_string();
        let again = spread(at, RETRY);
        let since = kept.failing.as_ref().map_or(at, |failing| failing.since);
        let failing = Kept {
            refresh: again,
            failing: Some(Failing {
                since,
                last: at,
                why: why.clone(),
            }),
            ..kept.clone()
        };
        self.known
            .insert(domain.clone(), Some(Arc::new(failing)))
            .await;
        grumble(self.store.refresh_failed(domain, at, again, &why).await);
    }
}
