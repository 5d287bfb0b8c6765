//! [`Store`] in SQLite.
//!
//! One set of [`Connections`] is in force at a time: those of the file, or of memory in its place. Where a
//! statement finds the file damaged, memory takes its place at once, the file is set aside, and a new one
//! takes over what memory got meanwhile (`heal`). [`Store::recover`] is the second half of that. Whatever
//! changes what is in force runs as a task of its own to its end, one at a time: a caller that goes away
//! leaves nothing half done.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, RwLock, RwLockReadGuard};

use super::{Kept, Place, Stats, Store, StoreError, StoreHealth};
use crate::name::Domain;
use crate::time::{Clock, UnixTime};

mod aside;
mod connections;
mod fault;
mod hosts;
mod rows;
mod trouble;

use connections::{Connections, Damage};
use fault::Cannot;
use rows::Found;
use trouble::Trouble;

#[cfg(test)]
mod tests;

/// A store in a file of SQLite, or in memory.
pub(super) struct SqliteStore(Arc<Inner>);

struct Inner {
    /// The file that is configured; none where that is memory.
    path: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    /// What is in force; none once the store is closed.
    open: RwLock<Option<Open>>,
    /// Held by whoever changes what is in force.
    changing: Mutex<()>,
    /// Why memory stands in for the file.
    fallback: ArcSwapOption<String>,
    reads: Trouble,
    writes: Trouble,
}

struct Open {
    connections: Connections,
    /// Which of those that were in force, one after the other.
    generation: u64,
}

impl SqliteStore {
    pub(super) async fn open(place: Place, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = match place {
            Place::File(path) => Some(std::path::absolute(&path).unwrap_or(path)),
            Place::Memory => None,
        };
        let inner = Inner {
            path,
            clock,
            open: RwLock::new(None),
            changing: Mutex::new(()),
            fallback: ArcSwapOption::empty(),
            reads: Trouble::of("read"),
            writes: Trouble::of("written"),
        };
        let connections = inner.first().await?;
        *inner.open.write().await = Some(Open {
            connections,
            generation: 0,
        });
        Ok(Self(Arc::new(inner)))
    }
}

impl Inner {
    /// The connections to begin with.
    async fn first(&self) -> Result<Connections, Cannot> {
        let Some(path) = &self.path else {
            return Connections::memory().await;
        };
        let cannot = match Connections::file(path, self.clock.now(), None).await {
            Ok(connections) => return Ok(connections),
            Err(cannot) => cannot,
        };
        let mut memory = Connections::memory().await?;
        let policies = if cannot.leaves_it_readable() {
            memory.take_over_file(path).await
        } else {
            0
        };
        self.falls_back(&cannot, policies);
        Ok(memory)
    }

    /// Memory stands in for the file from now on, or still does: said where it is news.
    fn falls_back(&self, cannot: &Cannot, policies: u64) {
        let reason = format!(
            "policies are kept in memory only: {}: {cannot}",
            self.place()
        );
        let last = self.fallback.swap(Some(Arc::new(reason.clone())));
        if last.is_none_or(|last| *last != reason) {
            tracing::error!(
                %reason,
                policies,
                "the store is MEMORY ONLY: MTA-STS policies that are fetched from now on are forgotten at the next restart; mend the cause, then reload"
            );
        }
    }

    /// Where the store is to be.
    fn place(&self) -> Place {
        self.path.clone().map_or(Place::Memory, Place::File)
    }

    /// What is in force.
    async fn open(&self) -> Result<RwLockReadGuard<'_, Open>, StoreError> {
        let open = self.open.read().await;
        RwLockReadGuard::try_map(open, Option::as_ref).map_err(|_| StoreError::Closed)
    }

    /// What follows from what a statement came to, which is told by `trouble` as well.
    async fn done<T>(
        self: &Arc<Self>,
        trouble: &Trouble,
        open: RwLockReadGuard<'_, Open>,
        result: sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        let generation = open.generation;
        drop(open);
        let lost = matches!(result, Err(sqlx::Error::WorkerCrashed));
        let result = result.map_err(StoreError::from);
        match &result {
            Err(StoreError::Damaged(why)) => self.mend(generation, Some(why.clone())).await,
            Err(_) if lost => self.mend(generation, None).await,
            Err(error) => trouble.note(&self.place(), error),
            Ok(_) => trouble.over(&self.place()),
        }
        result
    }

    async fn mend(self: &Arc<Self>, generation: u64, damage: Option<String>) {
        let own = Arc::clone(self);
        let task = tokio::spawn(async move { own.heal(generation, damage).await });
        let _ = task.await;
    }

    /// Puts memory in the place of the connections of `generation`, if they are still in force, and the file
    /// in the place of memory: the same file, or a new one where it is damaged.
    async fn heal(&self, generation: u64, damage: Option<String>) {
        let _turn = self.changing.lock().await;
        let memory = match Connections::memory().await {
            Ok(memory) => memory,
            Err(cannot) => return self.writes.note(&self.place(), &cannot.into()),
        };
        let old = {
            let mut open = self.open.write().await;
            match open.as_mut() {
                Some(open) if open.generation == generation => open.replace(memory),
                _ => return,
            }
        };
        let file = old.identity();
        old.close().await;
        let damage = file.zip(damage).map(|(file, why)| Damage { file, why });
        self.renew(damage).await;
    }

    /// Puts the file in the place of memory. The caller holds `changing`.
    async fn renew(&self, damage: Option<Damage>) {
        let Some(path) = &self.path else { return };
        let renewed = match Connections::file(path, self.clock.now(), damage).await {
            Ok(connections) => self.put(connections).await,
            Err(cannot) => Err(cannot),
        };
        match renewed {
            Err(cannot) => self.falls_back(&cannot, 0),
            Ok(policies) => {
                self.fallback.store(None);
                tracing::info!(store = %self.place(), policies, "the store is in its file again");
            }
        }
    }

    /// Puts connections in force that take over what those before hold; tells how many policies.
    async fn put(&self, mut next: Connections) -> Result<u64, Cannot> {
        let mut open = self.open.write().await;
        let (taken, old) = match open.as_mut() {
            None => (Ok(0), next),
            Some(open) => match next.take_over(&mut open.connections).await {
                Ok(policies) => (Ok(policies), open.replace(next)),
                Err(error) => (Err(error.into()), next),
            },
        };
        drop(open);
        old.close().await;
        taken
    }

    async fn recover(&self) {
        let _turn = self.changing.lock().await;
        let is_open = self.open.read().await.is_some();
        if is_open && self.fallback.load().is_some() {
            self.renew(None).await;
        }
    }

    async fn close(&self) {
        let _turn = self.changing.lock().await;
        let open = self.open.write().await.take();
        if let Some(open) = open {
            open.connections.close().await;
        }
    }

    /// A row that cannot be read counts as absent. It is dropped, and where that fails it still does.
    async fn discard(self: &Arc<Self>, domain: Option<String>, why: &str) {
        let name = domain.as_deref().unwrap_or("?");
        tracing::error!(
            domain = name,
            why,
            "a stored MTA-STS policy cannot be read and is dropped"
        );
        if let Some(domain) = domain
            && let Ok(open) = self.open().await
        {
            let done = rows::discard(&mut *open.connections.writer().await, &domain).await;
            let _ = self.done(&self.writes, open, done).await;
        }
    }

    async fn page(
        self: &Arc<Self>,
        after: Option<&Domain>,
        limit: usize,
    ) -> Result<Vec<(Domain, Kept)>, StoreError> {
        let now = self.clock.now();
        let mut after = after.map(Domain::to_string).unwrap_or_default();
        let mut page = Vec::new();
        // A row that cannot be read makes no page shorter: that would look like the last one.
        while page.len() < limit {
            let wanted = limit - page.len();
            let open = self.open().await?;
            let found =
                rows::page(&mut *open.connections.reader().await, &after, wanted, now).await;
            let found = self.done(&self.reads, open, found).await?;
            let is_last = found.len() < wanted;
            let before = after.clone();
            for row in found {
                match row {
                    Found::Policy(domain, kept) => {
                        after = domain.to_string();
                        page.push((domain, kept));
                    }
                    Found::Unreadable(name, why) => {
                        after = name.clone().unwrap_or(after);
                        self.discard(name, &why).await;
                    }
                }
            }
            if is_last || after == before {
                break;
            }
        }
        Ok(page)
    }
}

impl Open {
    /// Puts other connections in force.
    fn replace(&mut self, connections: Connections) -> Connections {
        self.generation += 1;
        mem::replace(&mut self.connections, connections)
    }
}

impl Store for SqliteStore {
    fn policy<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Option<Kept>, StoreError>> {
        Box::pin(async move {
            let now = self.0.clock.now();
            let open = self.0.open().await?;
            let found =
                rows::find(&mut *open.connections.reader().await, domain.as_str(), now).await;
            match self.0.done(&self.0.reads, open, found).await? {
                None => Ok(None),
                Some(Found::Policy(_, kept)) => Ok(Some(kept)),
                Some(Found::Unreadable(name, why)) => {
                    self.0.discard(name, &why).await;
                    Ok(None)
                }
            }
        })
    }

    fn keep<'a>(
        &'a self,
        domain: &'a Domain,
        kept: &'a Kept,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let done = rows::keep(&mut *open.connections.writer().await, domain, kept).await;
            self.0.done(&self.0.writes, open, done).await.map(drop)
        })
    }

    fn used<'a>(
        &'a self,
        domain: &'a Domain,
        at: UnixTime,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let done = rows::used(&mut *open.connections.writer().await, domain, at).await;
            self.0.done(&self.0.writes, open, done).await.map(drop)
        })
    }

    fn refresh_failed<'a>(
        &'a self,
        domain: &'a Domain,
        at: UnixTime,
        again: UnixTime,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let mut writer = open.connections.writer().await;
            let done = rows::refresh_failed(&mut writer, domain, (at, again), why).await;
            drop(writer);
            self.0.done(&self.0.writes, open, done).await.map(drop)
        })
    }

    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let done = rows::forget(&mut *open.connections.writer().await, domain.as_str()).await;
            let gone = self.0.done(&self.0.writes, open, done).await?;
            Ok(gone > 0)
        })
    }

    fn due(&self, now: UnixTime, limit: usize) -> BoxFuture<'_, Result<Vec<Domain>, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let due = rows::due(&mut *open.connections.reader().await, now, limit).await;
            self.0.done(&self.0.reads, open, due).await
        })
    }

    fn tidy(
        &self,
        now: UnixTime,
        unused_since: UnixTime,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let done = rows::tidy(&mut *open.connections.writer().await, now, unused_since).await;
            self.0.done(&self.0.writes, open, done).await
        })
    }

    fn page<'a>(
        &'a self,
        after: Option<&'a Domain>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Domain, Kept)>, StoreError>> {
        Box::pin(self.0.page(after, limit))
    }

    fn stats(&self, now: UnixTime) -> BoxFuture<'_, Result<Stats, StoreError>> {
        Box::pin(async move {
            let open = self.0.open().await?;
            let stats = rows::stats(&mut *open.connections.reader().await, now).await;
            self.0.done(&self.0.reads, open, stats).await
        })
    }

    fn health(&self) -> StoreHealth {
        let fallback = self.0.fallback.load().as_deref().cloned();
        StoreHealth {
            place: match fallback {
                Some(_) => Place::Memory,
                None => self.0.place(),
            },
            degraded: fallback
                .or_else(|| self.0.writes.reason())
                .or_else(|| self.0.reads.reason()),
        }
    }

    fn recover(&self) -> BoxFuture<'_, StoreHealth> {
        Box::pin(async move {
            let own = Arc::clone(&self.0);
            let _ = tokio::spawn(async move { own.recover().await }).await;
            self.health()
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let own = Arc::clone(&self.0);
            let _ = tokio::spawn(async move { own.close().await }).await;
        })
    }
}
