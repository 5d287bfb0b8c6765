//! A full disk while waxseal runs. `max_page_count` makes SQLite find the disk full when it is not.

use super::*;

/// Changes a setting of the connection that writes.
async fn set(store: &SqliteStore, sql: &'static str) {
    let open = store.0.open().await.unwrap();
    let mut writer = open.connections.writer().await;
    writer.execute(sql).await.unwrap();
}

/// Keeps new policies until one fails; a second time the first one does.
async fn fill(store: &SqliteStore) -> StoreError {
    let mut known = names(store).await.len();
    loop {
        let domain = domain(&format!("fill{known:05}.example"));
        if let Err(error) = store.keep(&domain, &kept()).await {
            return error;
        }
        known += 1;
    }
}

#[tokio::test]
async fn a_full_disk_fails_writes_and_nothing_else() {
    let lab = Lab::new();
    fails_writes_alone(lab.file().await).await;
    let memory = SqliteStore::open(Place::Memory, TestClock::at(NOW)).await;
    fails_writes_alone(memory.unwrap()).await;
}

async fn fails_writes_alone(store: SqliteStore) {
    works(&store).await;
    let lines = Lines::new();
    // A limit below what there is already means just that.
    set(&store, "PRAGMA max_page_count = 1").await;
    let full = StoreError::Disk("database or disk is full".into());
    for _ in 0..10 {
        assert_eq!(fill(&store).await, full);
    }
    assert_eq!(lines.count("ERROR", "the store cannot be written"), 1);
    assert_eq!(lines.count("", ""), 1);
    let reason = store.health().degraded.unwrap();
    assert!(reason.contains("database or disk is full"), "{reason}");
    let known = store.policy(&domain("works.example")).await.unwrap();
    assert_eq!(known, Some(kept()));
    assert!(store.health().degraded.is_some(), "a read mends nothing");

    set(&store, "PRAGMA max_page_count = 1000000").await;
    store.keep(&domain("more.example"), &kept()).await.unwrap();
    assert_eq!(store.health().degraded, None);
    assert_eq!(lines.count("INFO", "can be written again"), 1);
    assert_eq!(lines.count("", ""), 2);
}

#[tokio::test]
async fn a_full_disk_is_no_reason_to_forget() {
    let lab = Lab::with(3).await;
    let store = lab.file().await;
    set(&store, "PRAGMA max_page_count = 1").await;
    fill(&store).await;
    // What makes room works on.
    assert!(store.forget(&domain("d000.example")).await.unwrap());
    store.close().await;
    let store = lab.file().await;
    assert_eq!(names(&store).await[..2], ["d001.example", "d002.example"]);
}
