//! The MTA-STS policy of a domain: remembered, or fetched (RFC 8461 §3, §5.1).
//!
//! A policy that was fetched once counts until it expires, whatever DNS and the web server say in the meantime:
//! whoever can forge an answer of DNS, or keep waxseal from the web server, must not be able to make it forget.
//! So the record is looked at for one thing only, whether it has an `id` that is not yet known, and a policy
//! that cannot be fetched changes nothing. Where no policy is remembered, a domain without a valid record has
//! none, one whose policy cannot be fetched is treated as if it had none (§3.3), and where even the record
//! cannot be looked up nobody knows.
//!
//! Policies are remembered in memory and in the store. Where the store fails, memory goes on alone. All who ask
//! for the same policy at the same time wait for one fetch, and a domain whose policy could not be fetched is
//! left alone for five minutes (§3.3), whatever `id` it shows. `refresh` fetches policies again before they expire.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::{Changes, grumble};
use crate::dns::{Found, Freshness, LookupError, Resolver};
use crate::mtasts::record::{self, NoRecord};
use crate::mtasts::{FetchError, Fetched, Mode, PolicyId, record_name};
use crate::name::Domain;
use crate::net::https::Fetch;
use crate::policy::facts::{MtaSts, NoMtaSts, Unknown};
use crate::policy::outcome::{Event, Observer};
use crate::store::{Kept, Store, StoreError};
use crate::time::{Clock, UnixTime};
use crate::usage::{self, CacheUse, Cached, Usage};

mod refresh;

pub use refresh::NotRefreshed;

/// Policies, and domains without one, that are remembered in memory, at most.
const MAX_KNOWN: u64 = 100_000;
/// Domains that the store knows nothing of are asked for again after this time: another process may have learnt.
const ABSENT_FOR: Duration = Duration::from_mins(1);
/// RFC 8461 §3.3: at least five minutes between attempts to fetch a policy that could not be had.
const BACK_OFF: u64 = 5 * 60;
/// A policy whose `max_age` is next to nothing is not fetched for each message.
const LEAST_LIFE: u64 = 60;
/// Fetches whose outcome is remembered, at most.
const MAX_ATTEMPTS: u64 = 10_000;
/// How long the store may take; the disk under it may hang.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// How often a policy in use is marked as such.
const MARK_USED: u64 = 24 * 60 * 60;

/// Knows the policies of domains.
#[derive(Clone)]
pub struct MtaStsPolicies {
    /// Answers for the records.
    pub resolver: Arc<dyn Resolver>,
    /// Asks the web servers.
    pub fetch: Arc<dyn Fetch>,
    /// What is remembered.
    pub memory: Memory,
    /// Knows the time.
    pub clock: Arc<dyn Clock>,
    /// Counts and logs.
    pub observer: Arc<dyn Observer>,
}

/// What is remembered of policies. It outlives a reload.
#[derive(Clone)]
pub struct Memory {
    store: Arc<dyn Store>,
    known: Cache<Domain, Option<Arc<Kept>>>,
    usage: Usage,
    attempts: Cache<Domain, Attempt>,
    pub(super) changes: Changes,
}

/// One fetch, and when it ended.
#[derive(Clone)]
struct Attempt {
    at: UnixTime,
    result: Result<Arc<Kept>, FetchError>,
}

impl Attempt {
    /// Whether the policy of this `id` is to be fetched now, after this attempt.
    fn is_over(&self, id: &PolicyId, now: UnixTime) -> bool {
        let age = now.0.saturating_sub(self.at.0);
        match &self.result {
            Ok(kept) if kept.fetched.id != *id => true,
            Ok(kept) if kept.fetched.has_expired(now) => age >= LEAST_LIFE,
            Ok(_) | Err(_) => age >= BACK_OFF,
        }
    }
}

impl Memory {
    /// Remembers in `store`, with memory in front.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            known: Cache::builder()
                .max_capacity(MAX_KNOWN)
                .expire_after(Lifetime)
                .build(),
            usage: Usage::default(),
            attempts: Cache::builder().max_capacity(MAX_ATTEMPTS).build(),
            changes: Changes::default(),
        }
    }

    /// What is remembered of `domain` and has not expired. An error says nothing about that, and is not
    /// remembered itself.
    async fn kept(
        &self,
        domain: &Domain,
        now: UnixTime,
    ) -> Result<Option<Arc<Kept>>, Arc<StoreError>> {
        let entry = self.known.entry_by_ref(domain);
        let entry = entry.or_try_insert_with(self.stored(domain)).await;
        match &entry {
            Ok(entry) => self.usage.answered(entry),
            Err(_) => self.usage.miss(),
        }
        let kept = entry?.into_value();
        Ok(kept.filter(|kept| !kept.fetched.has_expired(now)))
    }

    pub(super) fn cache_use(&self) -> CacheUse {
        let entries = usage::entries(&self.known);
        self.usage.taken(Cached::MtaSts, entries)
    }

    async fn stored(&self, domain: &Domain) -> Result<Option<Arc<Kept>>, StoreError> {
        let kept = in_time(self.store.policy(domain)).await?;
        Ok(kept.map(Arc::new))
    }

    async fn keep(&self, domain: &Domain, kept: &Arc<Kept>) {
        // The store first: who finds nothing in memory reads it from there.
        grumble(in_time(self.store.keep(domain, kept)).await);
        self.known
            .insert(domain.clone(), Some(Arc::clone(kept)))
            .await;
        self.changes.note();
    }

    async fn forget(&self, domain: &Domain) -> bool {
        self.attempts.invalidate(domain).await;
        let known = self.known.remove(domain).await.flatten().is_some();
        self.changes.note();
        grumble(in_time(self.store.forget(domain)).await).unwrap_or(false) || known
    }

    /// Takes note that mail asked for the policy, once a day: one that nobody needs is forgotten some day.
    async fn used(&self, domain: &Domain, kept: &Arc<Kept>, now: UnixTime) {
        if now.0.saturating_sub(kept.used.0) < MARK_USED {
            return;
        }
        let marked = Kept {
            used: now,
            ..Kept::clone(kept)
        };
        self.known
            .insert(domain.clone(), Some(Arc::new(marked)))
            .await;
        grumble(in_time(self.store.used(domain, now)).await);
    }
}

/// Mail waits for a disk no longer than this.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    super::in_time(STORE_PATIENCE, asked).await
}

/// Absence is remembered for a short time; policies stay, because [`Memory::kept`] asks the clock whether they count.
struct Lifetime;

impl moka::Expiry<Domain, Option<Arc<Kept>>> for Lifetime {
    fn expire_after_create(
        &self,
        _: &Domain,
        kept: &Option<Arc<Kept>>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        kept.is_none().then_some(ABSENT_FOR)
    }
}

/// What the record tells.
type Record = Result<Result<PolicyId, NoRecord>, LookupError>;

impl MtaStsPolicies {
    /// The policy that counts for mail to `domain` now.
    pub async fn of(&self, domain: &Domain) -> MtaSts {
        let now = self.clock.now();
        let kept = self.memory.kept(domain, now).await;
        if let Ok(Some(kept)) = &kept {
            self.memory.used(domain, kept, now).await;
        }
        let record = self.record(domain, Freshness::Cached).await;
        let (kept, unread) = match kept {
            Ok(kept) => (kept, None),
            Err(error) => (None, Some(error)),
        };
        match (self.decided(domain, kept, record).await, unread) {
            // What cannot be read might have said otherwise.
            (MtaSts::Absent(NoMtaSts::NoRecord(_) | NoMtaSts::FetchFailed(_)), Some(error)) => {
                MtaSts::Unknown(Unknown::Store(error.to_string()))
            }
            (decided, _) => decided,
        }
    }

    /// Looks past all caches for a policy with another `id` before mail is kept back by the one in force
    /// (RFC 8461 §5.1); true where there is one and it says something else.
    pub async fn has_changed(&self, domain: &Domain) -> bool {
        let Ok(Some(kept)) = self.memory.kept(domain, self.clock.now()).await else {
            return false;
        };
        match self.record(domain, Freshness::Fresh).await {
            Ok(Ok(id)) if id != kept.fetched.id => {
                let now = self.fetched(domain, &id).await;
                now.is_ok_and(|now| now.fetched.policy != kept.fetched.policy)
            }
            _ => false,
        }
    }

    async fn decided(&self, domain: &Domain, kept: Option<Arc<Kept>>, record: Record) -> MtaSts {
        let id = match (&kept, record) {
            (Some(kept), Ok(Ok(id))) if id != kept.fetched.id => id,
            // RFC 8461 §3.3: a remembered policy counts, whatever became of the record.
            (Some(kept), _) => return in_force(&kept.fetched),
            (None, Ok(Ok(id))) => id,
            (None, Ok(Err(why))) => return MtaSts::Absent(NoMtaSts::NoRecord(why)),
            (None, Err(error)) => return MtaSts::Unknown(Unknown::Record(error)),
        };
        match (self.fetched(domain, &id).await, kept) {
            (Ok(kept), _) | (Err(_), Some(kept)) => in_force(&kept.fetched),
            (Err(error), None) => MtaSts::Absent(NoMtaSts::FetchFailed(error)),
        }
    }

    /// The TXT records at the name of the record, ours or not, for people.
    pub async fn texts(&self, domain: &Domain) -> Result<Vec<String>, LookupError> {
        let name = record_name(domain);
        let answer = self.resolver.txt(&name, Freshness::Cached).await?;
        Ok(match answer.found {
            Found::Records(records) => records
                .iter()
                .map(|record| String::from_utf8_lossy(record).into_owned())
                .collect(),
            Found::NoData | Found::NxDomain => Vec::new(),
        })
    }

    /// The `id` in the TXT record.
    async fn record(&self, domain: &Domain, freshness: Freshness) -> Record {
        let answer = self.resolver.txt(&record_name(domain), freshness).await?;
        Ok(match answer.found {
            Found::Records(records) => record::parse(&records),
            Found::NoData | Found::NxDomain => Err(NoRecord::None),
        })
    }

    /// The policy of this `id`: one fetch for all who want it at the same time.
    async fn fetched(&self, domain: &Domain, id: &PolicyId) -> Result<Arc<Kept>, FetchError> {
        let now = self.clock.now();
        let attempt = async {
            Attempt {
                result: self.fetch_now(domain, id).await,
                at: self.clock.now(),
            }
        };
        let entry = self.memory.attempts.entry_by_ref(domain);
        entry
            .or_insert_with_if(attempt, |last| last.is_over(id, now))
            .await
            .into_value()
            .result
    }

    /// Asks the web server, and remembers the policy.
    async fn fetch_now(&self, domain: &Domain, id: &PolicyId) -> Result<Arc<Kept>, FetchError> {
        let fetched = self.fetch.policy(domain).await;
        let now = self.clock.now();
        let before = grumble(self.memory.kept(domain, now).await).flatten();
        self.observer.record(Event::MtaStsFetch {
            domain,
            result: fetched.as_ref().map(|_| ()),
            remembered: before.as_ref().map(|before| before.fetched.expires()),
        });
        let (policy, text) = fetched?;
        let kept = Arc::new(Kept {
            refresh: refresh::next(now, policy.max_age),
            fetched: Arc::new(Fetched {
                id: id.clone(),
                policy,
                text,
                at: now,
            }),
            used: before.map_or(now, |before| before.used),
            failing: None,
        });
        self.memory.keep(domain, &kept).await;
        Ok(kept)
    }
}

/// RFC 8461 §5: mode `none` is as if there were no policy.
fn in_force(fetched: &Arc<Fetched>) -> MtaSts {
    match fetched.policy.mode {
        Mode::None => MtaSts::Absent(NoMtaSts::ModeNone),
        Mode::Enforce | Mode::Testing => MtaSts::Policy(Arc::clone(fetched)),
    }
}
