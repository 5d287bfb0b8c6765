//! Connections to one database, a file or memory: one that writes and a few that read.
//!
//! SQLite knows one writer at a time, so writers queue up here, where it costs nothing, and not at the file.
//! With a write-ahead log readers wait for nobody. Each connection runs on a thread of its own. They are
//! opened together and closed together, so nothing is opened later behind a file's back, and no time-out
//! is involved but the one with which SQLite waits for other processes.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;

use super::aside::{Aside, Identity, Lock, set_aside};
use super::fault::Cannot;
use super::{hosts, rows};
use crate::store::place;
use crate::time::UnixTime;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/sqlite/migrations");

/// Connections that read a file, beside the one that writes.
const READERS: usize = 2;
/// How long SQLite waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(2);
/// How often opening a file is tried that others are about to open, convert or set aside, and the pause between.
const ROUNDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// What memory may hold, in pages of 4 KiB: 256 MiB.
const MEMORY_PAGES: &str = "65536";

/// Connections to one database.
pub(super) struct Connections {
    writer: Mutex<SqliteConnection>,
    readers: Vec<Mutex<SqliteConnection>>,
    next: AtomicUsize,
    file: Option<OpenFile>,
}

/// A file that may be open, and which one it is.
struct OpenFile {
    identity: Identity,
    _lock: Lock,
}

/// A file that was found damaged, and how.
pub(super) struct Damage {
    pub(super) file: Identity,
    pub(super) why: String,
}

impl Connections {
    /// An empty database in memory, which has one connection only.
    pub(super) async fn memory() -> Result<Self, Cannot> {
        let options = options().pragma("max_page_count", MEMORY_PAGES);
        let mut writer = options.connect().await?;
        migrate(&mut writer).await?;
        Ok(Self::new(writer, Vec::new(), None))
    }

    /// The database in the file at `path`, made or brought up to date where need be.
    ///
    /// A file that turns out to be damaged is set aside, once, and so is the one of `damage`, which is not
    /// looked at again.
    pub(super) async fn file(
        path: &Path,
        now: UnixTime,
        mut damage: Option<Damage>,
    ) -> Result<Self, Cannot> {
        let mut moved = false;
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            if let Some(found) = &damage {
                match move_away(path, found, now).await? {
                    Aside::InUse => continue,
                    Aside::Gone => {}
                    Aside::Moved(_) => moved = true,
                }
                damage = None;
            }
            match Self::attempt(path).await {
                Err(Failed::Damaged(found)) if moved => return Err(Cannot::Damaged(found.why)),
                Err(Failed::Damaged(found)) => damage = Some(found),
                Err(Failed::Cannot(Cannot::Busy)) => {}
                Err(Failed::Cannot(cannot)) => return Err(cannot),
                Ok(connections) => return Ok(connections),
            }
        }
        Err(damage.map_or(Cannot::Busy, |found| Cannot::InUse(found.why)))
    }

    async fn attempt(path: &Path) -> Result<Self, Failed> {
        let own = path.to_owned();
        let file = blocking(move || OpenFile::at(&own)).await?;
        let found = file.identity;
        // Connecting reads nothing: whatever is wrong with the file shows in `prepare`.
        let options = options().filename(path).busy_timeout(BUSY);
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(options.connect().await?);
        }
        let writer = options.connect().await?;
        let mut connections = Self::new(writer, readers, Some(file));
        match prepare(connections.writer.get_mut()).await {
            Ok(()) => Ok(connections),
            Err(cannot) => {
                connections.close().await;
                Err(Failed::of(cannot, found))
            }
        }
    }

    fn new(
        writer: SqliteConnection,
        readers: Vec<SqliteConnection>,
        file: Option<OpenFile>,
    ) -> Self {
        Self {
            writer: Mutex::new(writer),
            readers: readers.into_iter().map(Mutex::new).collect(),
            next: AtomicUsize::new(0),
            file,
        }
    }

    /// The connection that writes, once it is free.
    pub(super) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.writer.lock().await
    }

    /// A connection that reads, once one is free.
    pub(super) async fn reader(&self) -> MutexGuard<'_, SqliteConnection> {
        let free = self
            .readers
            .iter()
            .find_map(|reader| reader.try_lock().ok());
        if let Some(free) = free {
            return free;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match self.readers.get(turn % READERS) {
            Some(reader) => reader.lock().await,
            None => self.writer().await,
        }
    }

    /// Which file is open; none for memory.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.file.as_ref().map(|file| file.identity)
    }

    /// Takes over what `from` holds; tells how many policies.
    pub(super) async fn take_over(&mut self, from: &mut Self) -> sqlx::Result<u64> {
        let (from, to) = (from.writer.get_mut(), self.writer.get_mut());
        hosts::carry(from, to).await?;
        rows::carry(from, to).await
    }

    /// Takes over what can be read from a file that cannot be written; tells how many policies.
    pub(super) async fn take_over_file(&mut self, path: &Path) -> u64 {
        let options = options().filename(path).read_only(true);
        // Where the folder takes no files, the log beside the file cannot be read, only the file itself.
        for options in [options.clone(), options.immutable(true)] {
            let Ok(mut from) = options.connect().await else {
                continue;
            };
            let to = self.writer.get_mut();
            // The file of an older waxseal has no hosts.
            let _ = hosts::carry(&mut from, to).await;
            let carried = rows::carry(&mut from, to).await;
            let _ = from.close().await;
            if let Ok(policies) = carried {
                return policies;
            }
        }
        0
    }

    /// Ends every connection, and then only gives the file free.
    pub(super) async fn close(self) {
        let runtime = Handle::current();
        // The last connection to a file tidies up its log. And nobody who stops waiting ends this half-way.
        let closing = spawn_blocking(move || {
            let connections = self.readers.into_iter().chain([self.writer]);
            for connection in connections {
                // It is gone either way, and what was committed is safe.
                let _ = runtime.block_on(connection.into_inner().close());
            }
            drop(self.file);
        });
        let _ = closing.await;
    }
}

impl OpenFile {
    /// The file at `path`, made where there is none.
    fn at(path: &Path) -> Result<Self, Cannot> {
        place::make_folder(path)?;
        let lock = Lock::shared(path)?.ok_or(Cannot::Busy)?;
        place::make_file(path)?;
        let identity = Identity::of(path)?.ok_or(Cannot::Busy)?;
        Ok(Self {
            identity,
            _lock: lock,
        })
    }
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .thread_name(|id| format!("store-{id}"))
        // Statements would name domains, and slow ones are no news to a postmaster.
        .disable_statement_logging()
}

/// Looks for damage, and brings the file up to date.
async fn prepare(writer: &mut SqliteConnection) -> Result<(), Cannot> {
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *writer)
        .await?;
    if found != "ok" {
        return Err(Cannot::Damaged(found));
    }
    let sql = "SELECT COUNT(*), COALESCE(SUM(name = '_sqlx_migrations'), 0) FROM sqlite_master";
    let (things, known): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut *writer).await?;
    if things > 0 && known == 0 {
        return Err(Cannot::Foreign("it has other tables".into()));
    }
    // One process at a time: the others wait here, and then find that there is nothing to do.
    let mut change = writer.begin_with("BEGIN IMMEDIATE").await?;
    migrate(&mut change).await?;
    change.commit().await?;
    let set = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL";
    writer.execute(set).await?;
    Ok(())
}

/// Brings the schema up to date.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    // Not `run`: its future cannot change threads, as the compiler sees it.
    MIGRATIONS.run_direct(None, connection, false).await
}

/// Sets a file aside, and says so.
async fn move_away(path: &Path, damage: &Damage, now: UnixTime) -> Result<Aside, Cannot> {
    let (own, file) = (path.to_owned(), damage.file);
    let done = blocking(move || Ok(set_aside(&own, file, now)?)).await?;
    if let Aside::Moved(to) = &done {
        tracing::error!(
            store = %path.display(),
            reason = damage.why,
            aside = %to.display(),
            "the store was DAMAGED and has been set aside: the MTA-STS policies in it are forgotten and will be fetched again; look after the disk, and delete the file that was set aside when nobody needs it"
        );
    }
    Ok(done)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Cannot> + Send + 'static,
) -> Result<T, Cannot> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Cannot::Disk(error.to_string())))
}

/// Why an attempt to open a file failed.
enum Failed {
    Damaged(Damage),
    Cannot(Cannot),
}

impl Failed {
    fn of(cannot: Cannot, file: Identity) -> Self {
        match cannot {
            Cannot::Damaged(why) => Self::Damaged(Damage { file, why }),
            other => Self::Cannot(other),
        }
    }
}

impl<E: Into<Cannot>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Cannot(error.into())
    }
}
