//! Memory in the place of a file that cannot be used.

use super::*;
use crate::name::Host;
use crate::policy::downgrade::{Known, Shown};
use crate::store::{HostStore, KeptHost};
use std::sync::Arc;

#[tokio::test]
async fn a_folder_that_cannot_be_made_leaves_memory() {
    let lab = Lab::new();
    fs::write(&lab.path, "a file").unwrap();
    let below = Place::File(lab.path.join("sub/waxseal.db"));
    let lines = Lines::new();
    let store = SqliteStore::open(below, TestClock::at(NOW)).await.unwrap();
    is_memory(&store, "Not a directory");
    assert_eq!(lines.count("ERROR", "MEMORY ONLY"), 1);
    works(&store).await;
    assert_eq!(fs::read(&lab.path).unwrap(), b"a file");
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_leaves_memory() {
    let lab = Lab::new();
    fs::create_dir(&lab.path).unwrap();
    let store = lab.open().await;
    is_memory(&store, "unable to open database file");
    works(&store).await;
}

#[tokio::test]
async fn the_file_is_tried_again_and_takes_over_what_memory_holds() {
    let lab = Lab::new();
    fs::create_dir(&lab.path).unwrap();
    let store = lab.open().await;
    works(&store).await;
    let lines = Lines::new();
    is_memory(&store, "");
    assert_eq!(store.recover().await, store.health());
    is_memory(&store, "");
    assert_eq!(lines.count("ERROR", ""), 0, "it is no news");
    fs::remove_dir(&lab.path).unwrap();
    store.recover().await;
    lab.is_well(&store);
    assert_eq!(lines.count("INFO", "in its file again"), 1);
    store.recover().await;
    assert_eq!(names(&store).await, ["works.example"]);
    store.close().await;
    assert_eq!(names(&lab.file().await).await, ["works.example"]);
}

#[tokio::test]
async fn what_the_file_learnt_meanwhile_is_not_undone() {
    let lab = Lab::with(1).await;
    let lock = beside(&lab.path, ".lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let store = lab.open().await;
    fs::remove_dir(&lock).unwrap();
    let other = lab.file().await;
    let mut newer = kept_in("testing", 3600);
    Arc::make_mut(&mut newer.fetched).at = UnixTime(NOW.0 + 1);
    other.keep(&domain("d000.example"), &newer).await.unwrap();
    works(&store).await;
    store.recover().await;
    lab.is_well(&store);
    let found = store.policy(&domain("d000.example")).await.unwrap();
    assert_eq!(found, Some(newer));
    assert_eq!(names(&other).await, ["d000.example", "works.example"]);
}

#[tokio::test]
async fn what_can_be_read_of_a_file_that_cannot_be_written_is_remembered() {
    let lab = Lab::with(700).await;
    let lock = beside(&lab.path, ".lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let before = fs::read(&lab.path).unwrap();
    let store = lab.open().await;
    is_memory(&store, "Is a directory");
    assert_eq!(names(&store).await.len(), 700);
    works(&store).await;
    assert!(before == fs::read(&lab.path).unwrap());
    // And where the log cannot be had either.
    let shared = beside(&lab.path, "-shm");
    let _ = fs::remove_file(&shared);
    fs::create_dir(&shared).unwrap();
    let store = lab.open().await;
    is_memory(&store, "Is a directory");
    assert_eq!(names(&store).await.len(), 700);
}

#[tokio::test]
async fn a_file_that_a_newer_waxseal_wrote_is_left_as_it_is() {
    let lab = Lab::with(1).await;
    lab.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', TRUE, x'00', 1)",
    )
    .await;
    let before = fs::read(&lab.path).unwrap();
    let store = lab.open().await;
    is_memory(
        &store,
        "a newer waxseal wrote the file (its schema has version 9999)",
    );
    works(&store).await;
    assert_eq!(names(&store).await, ["works.example"]);
    store.close().await;
    assert!(before == fs::read(&lab.path).unwrap());
    assert!(lab.aside().is_empty());
}

#[tokio::test]
async fn a_database_of_something_else_is_left_as_it_is() {
    let lab = Lab::new();
    lab.execute("CREATE TABLE mail (body TEXT)").await;
    let before = fs::read(&lab.path).unwrap();
    let store = lab.open().await;
    is_memory(&store, "not a store of waxseal's");
    works(&store).await;
    store.close().await;
    assert!(before == fs::read(&lab.path).unwrap());
    assert!(lab.aside().is_empty());
}

#[tokio::test]
async fn a_migration_that_is_not_as_it_was_leaves_the_file_alone() {
    let lab = Lab::with(1).await;
    lab.execute("UPDATE _sqlx_migrations SET checksum = x'00'")
        .await;
    let store = lab.open().await;
    is_memory(&store, "has been modified");
    assert!(lab.aside().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_another_process_keeps_for_itself_leaves_memory() {
    let lab = Lab::with(3).await;
    let other = fs::File::open(beside(&lab.path, ".lock")).unwrap();
    other.lock().unwrap();
    let store = lab.open().await;
    is_memory(&store, "another process keeps the file busy");
    assert_eq!(names(&store).await.len(), 3);
    other.unlock().unwrap();
    store.recover().await;
    lab.is_well(&store);
}

#[tokio::test]
async fn hosts_are_taken_along_and_the_file_knows_best() {
    let kept = |best| KeptHost {
        known: Known { best, lost: None },
        first: NOW,
        seen: NOW,
    };
    let (old, new): (Host, Host) = (
        "old.example".parse().unwrap(),
        "new.example".parse().unwrap(),
    );
    let lab = Lab::with(0).await;
    let file = lab.file().await;
    file.keep_host(&old, kept(Shown::Dane)).await.unwrap();
    file.close().await;
    let lock = beside(&lab.path, ".lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let store = lab.open().await;
    is_memory(&store, "Is a directory");
    assert_eq!(store.host(&old).await.unwrap(), Some(kept(Shown::Dane)));
    store.keep_host(&old, kept(Shown::Tls)).await.unwrap();
    store.keep_host(&new, kept(Shown::Tls)).await.unwrap();
    fs::remove_dir(&lock).unwrap();
    store.recover().await;
    lab.is_well(&store);
    assert_eq!(store.host(&old).await.unwrap(), Some(kept(Shown::Dane)));
    assert_eq!(store.host(&new).await.unwrap(), Some(kept(Shown::Tls)));
}
