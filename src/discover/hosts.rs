//! What MX hosts have shown, and what that makes of a connection (`policy::downgrade`).
//!
//! Mail never waits for the disk here, but for the first question about a host, and then not for long. What a
//! connection shows is noted in memory at once and written down behind it, by one writer, and only where it
//! changes something. A store that does not answer is no absence: of such a host nothing is noted either, for
//! what is in the store may be better than what it shows now.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::future::Cache;
use moka::ops::compute::{CompResult, Op};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Changes, grumble, in_time};
use crate::name::Host;
use crate::policy::downgrade::{Guard, Known, Shown, Sight, Turn};
use crate::store::{HostStore, KeptHost, StoreError, Which};
use crate::time::{Clock, UnixTime};
use crate::usage::{self, CacheUse, Cached, Usage};

/// Hosts that are known in memory, at most.
const MAX_CACHED: u64 = 100_000;
/// Hosts that are remembered, at most.
const MAX_KEPT: usize = 100_000;
/// A host that was not seen for so long is forgotten.
const UNSEEN_FOR: u64 = 90 * 24 * 60 * 60;
/// How often a host in use is marked as such.
const MARK_SEEN: u64 = 24 * 60 * 60;
/// How long mail waits for the store; the disk under it may hang.
const PATIENCE: Duration = Duration::from_secs(2);
/// And how long the writer does.
const WRITER_PATIENCE: Duration = Duration::from_secs(10);
/// A host that cannot be read is asked for again after this time.
const UNREAD_FOR: Duration = Duration::from_mins(1);
/// Changes that wait to be written down, at most.
const MAX_WAITING: usize = 10_000;

/// Knows what hosts have shown. It outlives a reload; clones share all.
#[derive(Clone)]
pub struct HostMemory {
    store: Arc<dyn HostStore>,
    cache: Cache<Host, Entry>,
    usage: Usage,
    clock: Arc<dyn Clock>,
    writer: mpsc::Sender<Job>,
    is_unread: Arc<AtomicBool>,
    pub(super) changes: Changes,
}

/// What memory knows of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// This.
    Kept(KeptHost),
    /// That it has never had TLS.
    New,
    /// Not even that: the store did not answer.
    Unread,
}

/// What the writer is to do.
enum Job {
    Keep(Host, KeptHost),
    /// To tell that all before is done.
    Tell(oneshot::Sender<()>),
}

impl HostMemory {
    /// Remembers in `store`. There must be a runtime: the writer is one of its tasks.
    pub fn new(store: Arc<dyn HostStore>, clock: Arc<dyn Clock>) -> Self {
        let (writer, jobs) = mpsc::channel(MAX_WAITING);
        tokio::spawn(write(Arc::clone(&store), jobs));
        Self {
            store,
            cache: Cache::builder()
                .max_capacity(MAX_CACHED)
                .expire_after(Lifetime)
                .build(),
            usage: Usage::default(),
            clock,
            writer,
            is_unread: Arc::default(),
            changes: Changes::default(),
        }
    }

    /// What `host` has shown; none where it never had TLS, or where nobody can tell.
    pub async fn known(&self, host: &Host) -> Option<Known> {
        let entry = self.cache.entry_by_ref(host);
        let entry = entry.or_insert_with(self.stored(host)).await;
        self.usage.answered(&entry);
        match entry.into_value() {
            Entry::Kept(kept) => Some(kept.known),
            Entry::New | Entry::Unread => None,
        }
    }

    pub(super) fn cache_use(&self) -> CacheUse {
        let entries = usage::entries(&self.cache);
        self.usage.taken(Cached::Hosts, entries)
    }

    async fn stored(&self, host: &Host) -> Entry {
        let answer = in_time(PATIENCE, self.store.host(host)).await;
        self.tell(answer.as_ref().err());
        match answer {
            Ok(Some(kept)) => Entry::Kept(kept),
            Ok(None) => Entry::New,
            Err(_) => Entry::Unread,
        }
    }

    /// Told once when it begins and once when it is over.
    fn tell(&self, error: Option<&StoreError>) {
        let was_unread = self.is_unread.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_unread => tracing::error!(
                %error,
                "nobody can tell what MX hosts have shown before: a downgrade is not noticed"
            ),
            None if was_unread => {
                tracing::info!("what MX hosts have shown before can be read again");
            }
            _ => {}
        }
    }

    /// Takes note of what a connection to `host` showed, and tells what that changed and what is known now.
    pub async fn note(
        &self,
        host: &Host,
        (shown, sight): (Shown, Sight),
        guard: Guard,
    ) -> Option<(Turn, Known)> {
        let now = self.clock.now();
        let mut turned = None;
        let entry = self.cache.entry_by_ref(host);
        let done = entry
            .and_compute_with(|entry| {
                let before = entry.map(moka::Entry::into_value);
                let (after, turn) = match before {
                    Some(Entry::Kept(kept)) => {
                        let (known, turn) = kept.known.after(shown, sight, now, guard);
                        (Some(marked(kept, known, now)), turn)
                    }
                    Some(Entry::New) => (new(shown, now), None),
                    // Nobody knows what the store has to say of it.
                    Some(Entry::Unread) | None => (None, None),
                };
                turned = turn.zip(after.map(|kept| kept.known));
                let changed = after.filter(|kept| before != Some(Entry::Kept(*kept)));
                ready(changed.map_or(Op::Nop, |kept| {
                    self.write_down(host, kept);
                    Op::Put(Entry::Kept(kept))
                }))
            })
            .await;
        if !matches!(done, CompResult::Unchanged(_) | CompResult::StillNone(_)) {
            self.changes.note();
        }
        turned
    }

    fn write_down(&self, host: &Host, kept: KeptHost) {
        if self.writer.try_send(Job::Keep(host.clone(), kept)).is_err() {
            tracing::debug!(%host, "the store is too slow: what the host has shown is not written down");
        }
    }

    /// Forgets a host; tells whether there was one.
    pub async fn forget(&self, host: &Host) -> Result<bool, StoreError> {
        self.written().await;
        let was_there = self.store.forget_host(host).await?;
        self.cache.invalidate(host).await;
        self.changes.note();
        Ok(was_there)
    }

    /// What is remembered of `host`.
    pub async fn kept(&self, host: &Host) -> Result<Option<KeptHost>, StoreError> {
        self.written().await;
        self.store.host(host).await
    }

    /// At most `limit` of these hosts in the order of their names, those behind `after`.
    pub async fn page(
        &self,
        which: Which,
        after: Option<&Host>,
        limit: usize,
    ) -> Result<Vec<(Host, KeptHost)>, StoreError> {
        self.written().await;
        self.store.hosts(which, after, limit).await
    }

    /// Forgets the hosts that no mail needs.
    pub async fn tidy(&self) {
        let unseen_since = UnixTime(self.clock.now().0.saturating_sub(UNSEEN_FOR));
        grumble(self.store.tidy_hosts(unseen_since, MAX_KEPT).await);
    }

    /// Waits until what was noted before is written down, but not for ever.
    pub async fn written(&self) {
        let (tell, told) = oneshot::channel();
        let done = async {
            self.writer.send(Job::Tell(tell)).await.ok()?;
            told.await.ok()
        };
        let _ = timeout(WRITER_PATIENCE, done).await;
    }
}

/// Writes down, one after the other, for as long as anybody remembers.
async fn write(store: Arc<dyn HostStore>, mut jobs: mpsc::Receiver<Job>) {
    let mut is_late = false;
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Keep(host, kept) => {
                let kept = timeout(WRITER_PATIENCE, store.keep_host(&host, kept)).await;
                // Other troubles the store tells itself.
                if kept.is_err() && !is_late {
                    tracing::error!(
                        "the store does not answer: what MX hosts show is not written down"
                    );
                }
                is_late = kept.is_err();
            }
            // Who asked may have gone away.
            Job::Tell(tell) => drop(tell.send(())),
        }
    }
}

fn new(shown: Shown, now: UnixTime) -> Option<KeptHost> {
    let known = Known::first(shown)?;
    Some(KeptHost {
        known,
        first: now,
        seen: now,
    })
}

/// The host as it is known now. That it was seen is worth writing down once a day.
fn marked(kept: KeptHost, known: Known, now: UnixTime) -> KeptHost {
    let is_old = now.0.saturating_sub(kept.seen.0) >= MARK_SEEN;
    let seen = if is_old || known != kept.known {
        now
    } else {
        kept.seen
    };
    KeptHost {
        known,
        seen,
        ..kept
    }
}

/// What cannot be read is asked for again; all else stays.
struct Lifetime;

impl Lifetime {
    fn of(entry: &Entry) -> Option<Duration> {
        (*entry == Entry::Unread).then_some(UNREAD_FOR)
    }
}

impl moka::Expiry<Host, Entry> for Lifetime {
    fn expire_after_create(
        &self,
        _: &Host,
        entry: &Entry,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Self::of(entry)
    }

    fn expire_after_update(
        &self,
        _: &Host,
        entry: &Entry,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Self::of(entry)
    }
}
