//! Damaged files.

use super::*;

type Break = fn(&mut Vec<u8>);

const KINDS: [(&str, Break); 7] = [
    ("not a database", |file| *file = b"mail ".repeat(2000)),
    ("a few octets", |file| *file = b"xyz".to_vec()),
    ("no header", |file| file[..100].fill(0)),
    ("no schema", |file| file[100..4096].fill(0xff)),
    ("pages of rubbish", |file| file[4096..].fill(0xa5)),
    ("cut in the middle", |file| file.truncate(file.len() / 2)),
    ("cut within a page", |file| file.truncate(5000)),
];

fn spoil(path: &Path, kind: Break) -> Vec<u8> {
    let mut file = fs::read(path).unwrap();
    assert!(file.len() > 8 * 4096, "{}", file.len());
    kind(&mut file);
    fs::write(path, &file).unwrap();
    file
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_set_aside_and_begun_anew() {
    for (what, kind) in KINDS {
        let lab = Lab::with(100).await;
        let damaged = spoil(&lab.path, kind);
        let lines = Lines::new();
        let store = lab.open().await;
        assert_eq!(store.health().degraded, None, "{what}");
        assert_eq!(
            lines.count("ERROR", "DAMAGED and has been set aside"),
            1,
            "{what}"
        );
        let aside = lab.aside();
        assert_eq!(aside, [beside(&lab.path, ".damaged-2026-11-23T14-33-42Z")]);
        assert!(fs::read(&aside[0]).unwrap() == damaged, "{what}");
        assert_eq!(names(&store).await, [""; 0], "{what}");
        works(&store).await;
        store.close().await;
        assert_eq!(names(&lab.file().await).await, ["works.example"]);
        assert_eq!(lab.aside().len(), 1, "{what}");
    }
}

/// Spoils the file under an open store, so that its next statement finds out.
async fn spoil_under(store: &SqliteStore, lab: &Lab) {
    let open = store.0.open().await.unwrap();
    let sql = "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory";
    open.connections.writer().await.execute(sql).await.unwrap();
    spoil(&lab.path, |file| file[4096..].fill(0xa5));
}

#[tokio::test]
async fn damage_that_is_found_later_is_mended_too() {
    let lab = Lab::with(100).await;
    let store = lab.file().await;
    spoil_under(&store, &lab).await;
    let lines = Lines::new();
    let found = store.policy(&domain("d050.example")).await;
    assert!(matches!(found, Err(StoreError::Damaged(_))), "{found:?}");
    lab.is_well(&store);
    assert_eq!(lab.aside().len(), 1);
    // The task that mends logs in this thread too.
    assert_eq!(lines.count("ERROR", "DAMAGED and has been set aside"), 1);
    assert_eq!(store.policy(&domain("d050.example")).await.unwrap(), None);
    works(&store).await;
    store.close().await;
    assert_eq!(names(&lab.file().await).await, ["works.example"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_find_the_same_damage_mend_it_once() {
    let lab = Lab::with(100).await;
    let store = Arc::new(lab.file().await);
    spoil_under(&store, &lab).await;
    let all = (0..50).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let _ = store.policy(&domain(&format!("d{n:03}.example"))).await;
            store
                .keep(&domain(&format!("n{n:03}.example")), &kept())
                .await
        })
    });
    let done = futures_util::future::join_all(all).await;
    let well = done
        .iter()
        .filter(|done| matches!(done, Ok(Ok(()))))
        .count();
    lab.is_well(&store);
    assert_eq!(lab.aside().len(), 1);
    assert_eq!(
        names(&*store).await.len(),
        well,
        "none that was kept is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_stays_while_another_has_it_open() {
    let lab = Lab::with(100).await;
    let unaware = lab.file().await;
    let store = lab.file().await;
    spoil_under(&store, &lab).await;
    store.policy(&domain("d050.example")).await.unwrap_err();
    is_memory(&store, "another process has it open");
    assert!(lab.aside().is_empty());
    works(&store).await;
    // One that starts now does no better.
    is_memory(&lab.open().await, "another process has it open");

    unaware.close().await;
    store.recover().await;
    lab.is_well(&store);
    assert_eq!(lab.aside().len(), 1);
    assert_eq!(names(&store).await, ["works.example"]);
}

#[tokio::test]
async fn two_that_have_it_open_both_go_on_with_the_new_one() {
    let lab = Lab::with(100).await;
    let (one, two) = (lab.file().await, lab.file().await);
    spoil_under(&one, &lab).await;
    let name = domain("d050.example");
    let (first, second) = tokio::join!(one.policy(&name), two.policy(&name));
    assert!(first.is_err() && second.is_err());
    lab.is_well(&one);
    lab.is_well(&two);
    assert_eq!(lab.aside().len(), 1);
    works(&one).await;
    assert_eq!(names(&two).await, ["works.example"]);
}

#[tokio::test]
async fn connections_that_are_lost_are_opened_again() {
    let lab = Lab::with(3).await;
    let store = lab.file().await;
    store.0.mend(0, None).await;
    lab.is_well(&store);
    assert!(lab.aside().is_empty());
    assert_eq!(names(&store).await.len(), 3);
    store.0.mend(0, None).await;
    assert_eq!(store.0.open().await.unwrap().generation, 2, "once only");
}

#[tokio::test]
async fn memory_that_is_lost_is_begun_anew() {
    let store = SqliteStore::open(Place::Memory, TestClock::at(NOW));
    let store = store.await.unwrap();
    works(&store).await;
    store.0.mend(0, None).await;
    works(&store).await;
    assert_eq!(store.health().degraded, None);
}
