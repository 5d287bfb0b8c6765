//! What can befall a file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Once;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::{NamedTempFile, TempDir};

use super::aside::beside;
use super::*;
use crate::store::tests::{NOW, TestClock, domain, kept, kept_in, names};

mod damage;
mod full;
mod memory;
mod shared;

/// A folder of its own with the file of a store, which is there or not.
struct Lab {
    folder: TempDir,
    path: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("waxseal.db");
        Self { folder, path }
    }

    /// With a file that knows `policies` domains.
    async fn with(policies: usize) -> Self {
        let lab = Self::new();
        let store = lab.file().await;
        for n in 0..policies {
            let domain = domain(&format!("d{n:03}.example"));
            store.keep(&domain, &kept()).await.unwrap();
        }
        store.close().await;
        lab
    }

    /// Opens the store, wherever it ends up.
    async fn open(&self) -> SqliteStore {
        let place = Place::File(self.path.clone());
        SqliteStore::open(place, TestClock::at(NOW)).await.unwrap()
    }

    /// Opens the store, which is in its file.
    async fn file(&self) -> SqliteStore {
        let store = self.open().await;
        self.is_well(&store);
        store
    }

    fn is_well(&self, store: &SqliteStore) {
        let well = StoreHealth {
            place: Place::File(self.path.clone()),
            degraded: None,
        };
        assert_eq!(store.health(), well);
    }

    /// A connection past the store.
    async fn sql(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.path);
        options.create_if_missing(true).connect().await.unwrap()
    }

    /// Executes statements past the store.
    async fn execute(&self, sql: &'static str) {
        let mut connection = self.sql().await;
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Files that were set aside, without those that belong to them.
    fn aside(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.folder.path()).unwrap();
        let paths = all.map(|entry| entry.unwrap().path());
        let is_one = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
        };
        paths.filter(is_one).collect()
    }
}

/// Memory stands in for the file, and the reason tells of `why`.
fn is_memory(store: &SqliteStore, why: &str) {
    let health = store.health();
    assert_eq!(health.place, Place::Memory);
    let reason = health.degraded.unwrap();
    assert!(reason.contains(why), "{reason}");
    assert!(reason.contains("memory only"), "{reason}");
}

/// It can be written and read.
async fn works(store: &SqliteStore) {
    let works = domain("works.example");
    store.keep(&works, &kept()).await.unwrap();
    assert_eq!(store.policy(&works).await.unwrap(), Some(kept()));
}

/// The lines that are logged by this thread for as long as it lives.
struct Lines {
    file: NamedTempFile,
    _default: tracing::subscriber::DefaultGuard,
}

impl Lines {
    fn new() -> Self {
        // tracing may take a line for one that nobody wants, if another thread comes upon it first just
        // when this subscriber appears. So there is always somebody who wants all of them.
        static SOMEBODY: Once = Once::new();
        SOMEBODY.call_once(|| {
            let sink = tracing_subscriber::fmt().with_writer(std::io::sink);
            let _ = tracing::subscriber::set_global_default(sink.finish());
        });
        let file = NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(Arc::new(file.reopen().unwrap()))
            .with_ansi(false)
            .finish();
        Self {
            file,
            _default: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Lines of a level with something in them.
    fn count(&self, level: &str, part: &str) -> usize {
        let text = fs::read_to_string(self.file.path()).unwrap();
        let lines = text.lines();
        lines
            .filter(|line| line.contains(level) && line.contains(part))
            .count()
    }
}

#[tokio::test]
async fn files_and_folders_are_for_their_owner_alone() {
    let lab = Lab::new();
    let store = SqliteStore::open(
        Place::File(lab.folder.path().join("a/b/waxseal.db")),
        TestClock::at(NOW),
    );
    let store = store.await.unwrap();
    works(&store).await;
    let mode = |path: &str| {
        let found = fs::metadata(lab.folder.path().join(path)).unwrap();
        found.permissions().mode() & 0o777
    };
    for folder in ["a", "a/b"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = format!("a/b/waxseal.db{suffix}");
        assert_eq!(mode(&file), 0o600, "{file}");
    }
}

#[tokio::test]
async fn what_root_makes_belongs_to_whom_the_folder_belongs_to() {
    let lab = Lab::new();
    if chown(lab.folder.path(), Some(4321), Some(4322)).is_err() {
        return; // Only root can tell.
    }
    let store = lab.file().await;
    works(&store).await;
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let found = fs::metadata(beside(&lab.path, suffix)).unwrap();
        assert_eq!((found.uid(), found.gid()), (4321, 4322), "{suffix}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_says_so_once() {
    let lab = Lab::with(1).await;
    let store = lab.file().await;
    lab.execute("ALTER TABLE sts_policies RENAME TO lost").await;
    let lines = Lines::new();
    for _ in 0..3 {
        let found = store.policy(&domain("d000.example")).await;
        let error = found.unwrap_err();
        assert!(matches!(error, StoreError::Internal(_)), "{error:?}");
    }
    assert_eq!(lines.count("ERROR", "the store cannot be read"), 1);
    let reason = store.health().degraded.unwrap();
    assert!(reason.contains("no such table: sts_policies"), "{reason}");
    lab.execute("ALTER TABLE lost RENAME TO sts_policies").await;
    assert_eq!(names(&store).await, ["d000.example"]);
    lab.is_well(&store);
}

#[tokio::test]
async fn the_file_is_left_whole_and_without_a_log_by_closing() {
    let lab = Lab::with(3).await;
    assert!(!beside(&lab.path, "-wal").exists());
    assert!(!beside(&lab.path, "-shm").exists());
    assert!(lab.path.exists());
}

#[tokio::test]
async fn an_empty_file_is_a_new_store() {
    let lab = Lab::new();
    fs::write(&lab.path, "").unwrap();
    works(&lab.file().await).await;
    assert_eq!(lab.aside(), [""; 0].map(PathBuf::from));
}

#[tokio::test]
async fn the_settings_of_the_file_are_those_that_are_meant() {
    let lab = Lab::new();
    let store = lab.file().await;
    let open = store.0.open().await.unwrap();
    let mut writer = open.connections.writer().await;
    let mut pragma = async |sql: &'static str| -> String {
        let value: Option<String> = sqlx::query_scalar(sql)
            .fetch_optional(&mut *writer)
            .await
            .unwrap();
        value.unwrap()
    };
    let mode = pragma("SELECT journal_mode FROM pragma_journal_mode").await;
    assert_eq!(mode, "wal");
    let keys = pragma("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await;
    assert_eq!(keys, "1");
    let synchronous = pragma("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await;
    assert_eq!(synchronous, "1", "NORMAL");
    let busy = pragma("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout").await;
    assert_eq!(busy, "2000");
}

#[test]
fn every_migration_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/sqlite/migrations");
    let files = fs::read_dir(folder).unwrap().count();
    assert_eq!(connections::MIGRATIONS.iter().count(), files);
}

#[tokio::test]
async fn a_schema_that_is_up_to_date_is_left_alone() {
    let lab = Lab::with(1).await;
    let before = fs::read(&lab.path).unwrap();
    let store = lab.file().await;
    assert_eq!(names(&store).await, ["d000.example"]);
    store.close().await;
    assert!(before == fs::read(&lab.path).unwrap(), "it was written to");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_dropped_and_count_as_absent() {
    for (what, sql) in [
        ("text", "UPDATE sts_policies SET policy = 'version: STSv2'"),
        ("id", "UPDATE sts_policies SET id = '?'"),
        (
            "octets",
            "UPDATE sts_policies SET policy = CAST(x'ff' AS TEXT)",
        ),
        ("type", "UPDATE sts_policies SET refresh = 'soon'"),
    ] {
        let lab = Lab::with(1).await;
        lab.execute(sql).await;
        let store = lab.file().await;
        let lines = Lines::new();
        let gone = store.policy(&domain("d000.example")).await;
        assert_eq!(gone.unwrap(), None, "{what}");
        assert_eq!(lines.count("ERROR", "cannot be read and is dropped"), 1);
        assert_eq!(store.policy(&domain("d000.example")).await.unwrap(), None);
        assert_eq!(lines.count("ERROR", ""), 1, "{what}");
        assert!(!store.forget(&domain("d000.example")).await.unwrap());
        lab.is_well(&store);
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_make_no_page_shorter() {
    let lab = Lab::with(10).await;
    lab.execute("UPDATE sts_policies SET id = '?' WHERE domain < 'd004.example'")
        .await;
    lab.execute("UPDATE sts_policies SET domain = 'a b' WHERE domain = 'd005.example'")
        .await;
    lab.execute("UPDATE sts_policies SET domain = x'ff00' WHERE domain = 'd006.example'")
        .await;
    let store = lab.file().await;
    let page = store.page(None, 2).await.unwrap();
    let first: Vec<String> = page.iter().map(|(domain, _)| domain.to_string()).collect();
    assert_eq!(first, ["d004.example", "d007.example"]);
    let rest = store.page(Some(&page[1].0), 3).await.unwrap();
    assert_eq!(rest.len(), 2);
    assert_eq!(
        store.due(UnixTime(NOW.0 + 86_400), 99).await.unwrap().len(),
        4
    );
}
