//! What is remembered of hosts: at once in memory, later in the store, and not at all where the store is mute.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use waxseal::discover::HostMemory;
use waxseal::name::Host;
use waxseal::policy::downgrade::{Guard, Kind, Known, Response, Shown, Sight, Turn};
use waxseal::store::{HostStore, KeptHost, Place, Store, StoreError, Which, open};
use waxseal::time::UnixTime;

use crate::support::clock::HandClock;

const GUARD: Guard = Guard {
    response: Response::Warn,
    hold: Duration::from_hours(72),
};
const DAY: u64 = 24 * 60 * 60;
const TLS: (Shown, Sight) = (Shown::Tls, Sight::Kept);
const STRIPPED: (Shown, Sight) = (Shown::Plaintext, Sight::Lost(Kind::Starttls));

fn mx() -> Host {
    "mx.a.test".parse().unwrap()
}

async fn store(clock: &Arc<HandClock>) -> Arc<dyn Store> {
    open(Place::Memory, Arc::clone(clock) as _).await.unwrap()
}

fn memory(store: &Arc<dyn Store>, clock: &Arc<HandClock>) -> HostMemory {
    HostMemory::new(Arc::clone(store) as _, Arc::clone(clock) as _)
}

#[tokio::test]
async fn what_is_noted_counts_at_once_and_is_written_down() {
    let clock = Arc::new(HandClock::default());
    let store = store(&clock).await;
    let hosts = memory(&store, &clock);
    assert_eq!(hosts.known(&mx()).await, None);
    assert_eq!(hosts.note(&mx(), TLS, GUARD).await, None);
    let known = hosts.known(&mx()).await.unwrap();
    assert_eq!(known.best, Shown::Tls);
    let turned = hosts.note(&mx(), STRIPPED, GUARD).await;
    assert_eq!(
        turned.map(|(turn, _)| turn),
        Some(Turn::Lost(Kind::Starttls))
    );
    assert_eq!(
        hosts.note(&mx(), STRIPPED, GUARD).await,
        None,
        "it is no news"
    );
    hosts.written().await;
    let after = memory(&store, &clock).known(&mx()).await.unwrap();
    assert_eq!(after, hosts.known(&mx()).await.unwrap());
    assert!(after.lost.is_some());
}

#[tokio::test]
async fn a_host_in_the_clear_is_not_remembered() {
    let clock = Arc::new(HandClock::default());
    let store = store(&clock).await;
    let hosts = memory(&store, &clock);
    hosts.known(&mx()).await;
    hosts
        .note(&mx(), (Shown::Plaintext, Sight::Kept), GUARD)
        .await;
    assert_eq!(hosts.page(Which::All, None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn that_a_host_is_seen_is_written_down_once_a_day() {
    let clock = Arc::new(HandClock::default());
    let store = store(&clock).await;
    let hosts = memory(&store, &clock);
    hosts.known(&mx()).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        hosts.note(&mx(), TLS, GUARD).await;
        let kept = hosts.kept(&mx()).await.unwrap().unwrap();
        seen.push(kept.seen.0 - HandClock::START);
        clock.advance(DAY / 2);
    }
    assert_eq!(seen, [0, 0, DAY]);
    clock.advance(91 * DAY);
    hosts.tidy().await;
    assert_eq!(hosts.page(Which::All, None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_forgotten_is_learnt_anew() {
    let clock = Arc::new(HandClock::default());
    let store = store(&clock).await;
    let hosts = memory(&store, &clock);
    hosts.known(&mx()).await;
    hosts.note(&mx(), TLS, GUARD).await;
    assert!(hosts.forget(&mx()).await.unwrap());
    assert!(!hosts.forget(&mx()).await.unwrap());
    assert_eq!(hosts.known(&mx()).await, None);
    assert_eq!(hosts.note(&mx(), STRIPPED, GUARD).await, None);
}

/// A store that knows the host, or does not answer at all.
struct Disk {
    hangs: bool,
}

fn kept() -> KeptHost {
    KeptHost {
        known: Known {
            best: Shown::Dane,
            lost: None,
        },
        first: UnixTime(0),
        seen: UnixTime(HandClock::START),
    }
}

impl HostStore for Disk {
    fn host<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<Option<KeptHost>, StoreError>> {
        Box::pin(async {
            if self.hangs {
                pending::<()>().await;
            }
            Ok(Some(kept()))
        })
    }

    fn keep_host<'a>(&'a self, _: &'a Host, _: KeptHost) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(pending())
    }

    fn forget_host<'a>(&'a self, _: &'a Host) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(pending())
    }

    fn tidy_hosts(&self, _: UnixTime, _: usize) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(pending())
    }

    fn hosts<'a>(
        &'a self,
        _: Which,
        _: Option<&'a Host>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<(Host, KeptHost)>, StoreError>> {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn mail_waits_two_seconds_for_a_disk_that_hangs_and_nothing_is_noted() {
    let hosts = HostMemory::new(
        Arc::new(Disk { hangs: true }),
        Arc::new(HandClock::default()),
    );
    let began = tokio::time::Instant::now();
    assert_eq!(hosts.known(&mx()).await, None);
    assert_eq!(hosts.known(&mx()).await, None);
    assert_eq!(began.elapsed(), Duration::from_secs(2), "once");
    assert_eq!(hosts.note(&mx(), TLS, GUARD).await, None);
    assert_eq!(hosts.known(&mx()).await, None, "the store may know better");
}

#[tokio::test(start_paused = true)]
async fn mail_does_not_wait_for_what_is_written_down() {
    let hosts = HostMemory::new(
        Arc::new(Disk { hangs: false }),
        Arc::new(HandClock::default()),
    );
    assert_eq!(hosts.known(&mx()).await, Some(kept().known));
    let began = tokio::time::Instant::now();
    for _ in 0..20_000 {
        hosts.note(&mx(), STRIPPED, GUARD).await;
        hosts.note(&mx(), (Shown::Dane, Sight::Kept), GUARD).await;
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}
