//! What every store does, tried on a file and on memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::mtasts::policy;

mod hosts;

pub(super) const NOW: UnixTime = UnixTime(1_795_444_422);
const DAY: u64 = 86_400;

/// A clock that goes when it is told to.
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn at(time: UnixTime) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(time.0)))
    }

    fn set(&self, time: UnixTime) {
        self.0.store(time.0, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }
}

pub(super) fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

/// A policy that is fetched now, lasts for a week and is refreshed tomorrow.
pub(super) fn kept() -> Kept {
    kept_in("enforce", 7 * DAY)
}

pub(super) fn kept_in(mode: &str, max_age: u64) -> Kept {
    let text = format!(
        "version: STSv1\r\nmode: {mode}\r\nmx: *.mx.example\r\nx: 7\r\nmax_age: {max_age}\r\n"
    );
    Kept {
        fetched: Arc::new(Fetched {
            id: "20261123T".parse().unwrap(),
            policy: policy::parse(text.as_bytes()).unwrap(),
            text: text.into(),
            at: NOW,
        }),
        used: NOW,
        refresh: later(DAY),
        failing: None,
    }
}

pub(super) async fn open_file(folder: &Path) -> Arc<dyn Store> {
    open_at(folder, TestClock::at(NOW)).await
}

async fn open_at(folder: &Path, clock: Arc<TestClock>) -> Arc<dyn Store> {
    let place = Place::File(folder.join("waxseal.db"));
    let store = open(place.clone(), clock).await.unwrap();
    let health = store.health();
    assert_eq!(health.degraded, None);
    assert_eq!(health.place, place);
    store
}

/// Every kind of store, on a clock; the folder has to outlive them.
async fn stores() -> (tempfile::TempDir, Arc<TestClock>, [Arc<dyn Store>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(NOW);
    let file = open_at(folder.path(), Arc::clone(&clock)).await;
    let memory = open(Place::Memory, Arc::clone(&clock) as _).await.unwrap();
    assert_eq!(memory.health().degraded, None);
    assert_eq!(memory.health().place, Place::Memory);
    (folder, clock, [file, memory])
}

pub(super) async fn names(store: &dyn Store) -> Vec<String> {
    let page = store.page(None, 1000).await.unwrap();
    page.iter().map(|(domain, _)| domain.to_string()).collect()
}

#[tokio::test]
async fn what_is_kept_is_found_again_to_the_letter() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let (a, b) = (domain("a.example"), domain("bücher.example"));
        let mut failing = kept_in("testing", DAY);
        failing.failing = Some(Failing {
            since: later(1),
            last: later(2),
            why: "HTTP status 500 instead of 200".into(),
        });
        store.keep(&a, &kept()).await.unwrap();
        store.keep(&b, &failing).await.unwrap();
        assert_eq!(store.policy(&a).await.unwrap(), Some(kept()));
        assert_eq!(store.policy(&b).await.unwrap(), Some(failing));
        assert_eq!(store.policy(&domain("c.example")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn keeping_again_replaces_and_ends_a_failure() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let a = domain("a.example");
        store.keep(&a, &kept()).await.unwrap();
        store
            .refresh_failed(&a, NOW, later(300), "no answer in time")
            .await
            .unwrap();
        assert!(store.policy(&a).await.unwrap().unwrap().failing.is_some());
        let next = kept_in("none", DAY);
        store.keep(&a, &next).await.unwrap();
        assert_eq!(store.policy(&a).await.unwrap(), Some(next));
        assert_eq!(names(&*store).await, ["a.example"]);
    }
}

#[tokio::test]
async fn what_has_expired_is_not_returned() {
    let (_folder, clock, stores) = stores().await;
    for store in stores {
        let (short, long) = (domain("short.example"), domain("long.example"));
        store.keep(&short, &kept_in("enforce", 3600)).await.unwrap();
        store.keep(&long, &kept()).await.unwrap();
        clock.set(later(3599));
        assert!(store.policy(&short).await.unwrap().is_some());
        clock.set(later(3600));
        assert_eq!(store.policy(&short).await.unwrap(), None);
        assert_eq!(names(&*store).await, ["long.example"]);
        let due = store.due(later(2 * DAY), 10).await.unwrap();
        assert_eq!(due, [long]);
        let stats = store.stats(later(3600)).await.unwrap();
        assert_eq!(stats.of(Mode::Enforce), 1);
        clock.set(NOW);
    }
}

#[tokio::test]
async fn use_is_written_down_once_a_day() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let a = domain("a.example");
        store.keep(&a, &kept()).await.unwrap();
        let mut used = Vec::new();
        for at in [later(DAY), later(DAY + 1), later(DAY + 2), NOW] {
            store.used(&a, at).await.unwrap();
            used.push(store.policy(&a).await.unwrap().unwrap().used);
        }
        assert_eq!(used, [NOW, later(DAY + 1), later(DAY + 1), later(DAY + 1)]);
        store.used(&domain("b.example"), NOW).await.unwrap();
        assert_eq!(names(&*store).await, ["a.example"]);
    }
}

#[tokio::test]
async fn a_failure_that_lasts_keeps_its_beginning() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let a = domain("a.example");
        store.keep(&a, &kept()).await.unwrap();
        for (at, why) in [(1, "first"), (2, "second")] {
            store
                .refresh_failed(&a, later(at), later(at + 300), why)
                .await
                .unwrap();
        }
        let found = store.policy(&a).await.unwrap().unwrap();
        let failing = Failing {
            since: later(1),
            last: later(2),
            why: "second".into(),
        };
        assert_eq!(found.failing, Some(failing));
        assert_eq!(found.refresh, later(302));
        assert_eq!(found.fetched, kept().fetched);
        let b = domain("b.example");
        store.refresh_failed(&b, NOW, NOW, "x").await.unwrap();
        assert_eq!(store.policy(&b).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_long_reason_is_cut_between_characters() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let a = domain("a.example");
        store.keep(&a, &kept()).await.unwrap();
        let why = format!("x{}", "ä".repeat(10_000));
        store.refresh_failed(&a, NOW, NOW, &why).await.unwrap();
        let failing = store.policy(&a).await.unwrap().unwrap().failing.unwrap();
        assert_eq!(failing.why, format!("x{}", "ä".repeat(249)));
    }
}

#[tokio::test]
async fn forgetting_tells_whether_there_was_anything() {
    let (_folder, clock, stores) = stores().await;
    for store in stores {
        let a = domain("a.example");
        store.keep(&a, &kept()).await.unwrap();
        assert!(store.forget(&a).await.unwrap());
        assert!(!store.forget(&a).await.unwrap());
        assert_eq!(store.policy(&a).await.unwrap(), None);
        store.keep(&a, &kept_in("enforce", 60)).await.unwrap();
        clock.set(later(60));
        assert!(store.forget(&a).await.unwrap(), "expired, but there");
        clock.set(NOW);
    }
}

#[tokio::test]
async fn those_are_due_first_that_have_waited_longest() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        for (name, refresh) in [("c", 5), ("a", 7), ("b", 7), ("d", 8)] {
            let mut kept = kept();
            kept.refresh = later(refresh);
            let domain = domain(&format!("{name}.example"));
            store.keep(&domain, &kept).await.unwrap();
        }
        let due = |now, limit| store.due(later(now), limit);
        assert_eq!(due(4, 9).await.unwrap(), []);
        let names = ["c", "a", "b"].map(|name| domain(&format!("{name}.example")));
        assert_eq!(due(7, 9).await.unwrap(), names);
        assert_eq!(due(7, 2).await.unwrap(), names[..2]);
        assert_eq!(due(7, 0).await.unwrap(), []);
    }
}

#[tokio::test]
async fn tidying_drops_what_has_expired_and_what_nobody_uses() {
    let (_folder, clock, stores) = stores().await;
    for store in stores {
        let mut unused = kept();
        unused.used = UnixTime(NOW.0 - 90 * DAY - 1);
        let mut used = kept();
        used.used = UnixTime(NOW.0 - 90 * DAY);
        let expired = kept_in("enforce", 60);
        for (name, kept) in [
            ("unused.example", unused),
            ("used.example", used),
            ("expired.example", expired),
        ] {
            store.keep(&domain(name), &kept).await.unwrap();
        }
        let unused_since = UnixTime(NOW.0 - 90 * DAY);
        assert_eq!(store.tidy(later(60), unused_since).await.unwrap(), 2);
        assert_eq!(store.tidy(later(60), unused_since).await.unwrap(), 0);
        assert_eq!(names(&*store).await, ["used.example"]);
        clock.set(NOW);
    }
}

#[tokio::test]
async fn pages_follow_the_order_of_names_and_leave_nothing_out() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let mut all = ["b", "a", "a-b", "a_b", "xn--bcher-kva", "z", "0"]
            .map(|name| domain(&format!("{name}.example")));
        for domain in &all {
            store.keep(domain, &kept()).await.unwrap();
        }
        all.sort();
        let mut seen = Vec::new();
        loop {
            let page = store.page(seen.last(), 3).await.unwrap();
            assert!(page.iter().all(|(_, found)| *found == kept()));
            seen.extend(page.iter().map(|(domain, _)| domain.clone()));
            if page.len() < 3 {
                break;
            }
        }
        assert_eq!(seen, all);
        assert_eq!(store.page(all.last(), 3).await.unwrap(), []);
        assert_eq!(store.page(None, 0).await.unwrap(), []);
        assert_eq!(store.page(None, usize::MAX).await.unwrap().len(), 7);
    }
}

#[tokio::test]
async fn policies_are_counted_by_mode() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let none = store.stats(NOW).await.unwrap();
        assert_eq!(none.by_mode, Mode::ALL.map(|mode| (mode, 0)));
        assert_eq!(none.oldest_failure, None);
        for (name, mode) in [("a", "enforce"), ("b", "enforce"), ("c", "testing")] {
            let domain = domain(&format!("{name}.example"));
            store.keep(&domain, &kept_in(mode, DAY)).await.unwrap();
        }
        for (name, at) in [("c.example", 7), ("a.example", 5), ("c.example", 9)] {
            store
                .refresh_failed(&domain(name), later(at), later(DAY), "x")
                .await
                .unwrap();
        }
        let stats = store.stats(NOW).await.unwrap();
        let counts = [Mode::Enforce, Mode::Testing, Mode::None].map(|mode| stats.of(mode));
        assert_eq!(counts, [2, 1, 0]);
        assert_eq!(stats.oldest_failure, Some(later(5)));
    }
}

#[tokio::test]
async fn times_beyond_reason_are_kept_in_order() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let a = domain("a.example");
        let mut kept = kept();
        kept.refresh = UnixTime(u64::MAX);
        store.keep(&a, &kept).await.unwrap();
        let found = store.policy(&a).await.unwrap().unwrap();
        assert_eq!(found.refresh.0, u64::MAX / 2);
        assert_eq!(store.due(later(DAY), 9).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_file_remembers_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_file(folder.path()).await;
    store.keep(&domain("a.example"), &kept()).await.unwrap();
    store.close().await;
    for _ in 0..3 {
        let store = open_file(folder.path()).await;
        let found = store.policy(&domain("a.example")).await.unwrap();
        assert_eq!(found, Some(kept()));
        store.close().await;
    }
}

#[tokio::test]
async fn what_was_kept_survives_a_process_that_dies() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_file(folder.path()).await;
    store.keep(&domain("a.example"), &kept()).await.unwrap();
    // Not closed: the policy is in the log only.
    let copy = tempfile::tempdir().unwrap();
    for name in ["waxseal.db", "waxseal.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let after = open_file(copy.path()).await;
    assert_eq!(names(&*after).await, ["a.example"]);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let a = domain("a.example");
        store.close().await;
        store.close().await;
        assert_eq!(store.policy(&a).await, Err(StoreError::Closed));
        assert_eq!(store.keep(&a, &kept()).await, Err(StoreError::Closed));
        assert_eq!(store.page(None, 1).await, Err(StoreError::Closed));
        assert_eq!(store.recover().await.degraded, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_writers_at_once_all_succeed() {
    let (_folder, _, stores) = stores().await;
    for store in stores {
        let all = (0..100).map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let (own, shared) = (domain(&format!("d{n}.example")), domain("all.example"));
                store.keep(&own, &kept()).await?;
                store.keep(&shared, &kept()).await?;
                store.used(&shared, later(2 * DAY)).await?;
                store.refresh_failed(&own, NOW, NOW, "x").await?;
                assert!(store.policy(&own).await?.unwrap().failing.is_some());
                store.stats(NOW).await
            })
        });
        for done in futures_util::future::join_all(all).await {
            done.unwrap().unwrap();
        }
        assert_eq!(names(&*store).await.len(), 101);
        assert_eq!(store.health().degraded, None);
    }
}
