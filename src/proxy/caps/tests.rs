use std::cell::Cell;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::yield_now;

use super::*;
use crate::name::MailHost;
use crate::policy::cap::{Names, Rate};
use crate::policy::rules::MxPattern;

const SECOND: Duration = Duration::from_secs(1);

fn peer(host: &str) -> Peer {
    Peer {
        host: MailHost::Named(host.parse().unwrap()),
        address: "192.0.2.1".parse().unwrap(),
    }
}

fn cap(host: &str, connections: Option<usize>, messages: Option<(usize, u64)>) -> Cap {
    let rate = |(count, seconds)| Rate {
        count,
        per: Duration::from_secs(seconds),
    };
    Cap {
        names: Names {
            hosts: vec![MxPattern::Exact(host.parse().unwrap())],
            networks: Vec::new(),
        },
        limits: Limits {
            connections,
            messages: messages.map(rate),
        },
    }
}

fn caps(connections: Option<usize>, messages: Option<(usize, u64)>) -> Caps {
    Caps::new(&[cap("mx.test", connections, messages)])
}

fn door(caps: &Caps) -> Guarded {
    caps.to(&peer("mx.test")).unwrap().clone()
}

fn soon() -> Instant {
    Instant::now() + 60 * SECOND
}

/// A place for a fresh connection, or the word that there is none in a minute.
async fn place(door: &Guarded) -> Result<Place, Capped> {
    let admitted = door.admit(soon(), || None::<Place>, || ()).await?;
    match admitted {
        Admitted::Afresh(place) => Ok(place.unwrap()),
        Admitted::Again(_) => panic!("there is nothing to be used again"),
    }
}

/// Whether there is a place without waiting.
fn at_once(door: &Guarded) -> Option<Place> {
    place(door).now_or_never().map(Result::unwrap)
}

#[test]
fn the_first_destination_that_names_an_mx_counts() {
    let mut all = cap("mx.test", Some(7), None);
    all.names.networks = vec!["0.0.0.0/0".parse().unwrap()];
    let caps = Caps::new(&[cap("other.test", Some(1), None), all]);
    let limit = |host: &str| caps.to(&peer(host)).unwrap().cap.limits.connections;
    assert_eq!(limit("other.test"), Some(1));
    assert_eq!(limit("mx.test"), Some(7));
    assert_eq!(limit("by-its-address.test"), Some(7));
    assert!(Caps::default().to(&peer("mx.test")).is_none());
}

#[tokio::test(start_paused = true)]
async fn first_come_is_first_served() {
    let caps = caps(Some(1), None);
    let held = place(&door(&caps)).await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    for number in 0..3 {
        let (door, served) = (door(&caps), Arc::clone(&served));
        tokio::spawn(async move {
            let place = place(&door).await.unwrap();
            served.lock().unwrap().push(number);
            tokio::time::sleep(SECOND).await;
            drop(place);
        });
        yield_now().await;
    }
    assert!(at_once(&door(&caps)).is_none());
    drop(held);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(*served.lock().unwrap(), [0, 1, 2]);
    assert!(at_once(&door(&caps)).is_some());
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_the_line_as_it_was() {
    let caps = caps(Some(1), None);
    let held = place(&door(&caps)).await.unwrap();
    let started = Instant::now();
    let (first, second) = (door(&caps), door(&caps));
    let first = tokio::spawn(async move { place(&first).await });
    yield_now().await;
    tokio::time::sleep(SECOND).await;
    let second = tokio::spawn(async move { place(&second).await });
    let told = first.await.unwrap().unwrap_err();
    assert_eq!(told, Capped::Connections(1, "mx.test".to_owned()));
    assert_eq!(started.elapsed(), 60 * SECOND);
    drop(held);
    assert!(second.await.unwrap().is_ok());
    assert_eq!(started.elapsed(), 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_becomes_idle_is_for_the_first_in_line() {
    let caps = caps(Some(1), None);
    let door = door(&caps);
    let held = place(&door).await.unwrap();
    let (idle, asked) = (Cell::new(false), Cell::new(0));
    let again = || idle.get().then_some("again");
    let waiting = door.admit(soon(), again, || asked.set(asked.get() + 1));
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(asked.get(), 1);
    idle.set(true);
    held.idles();
    let admitted = waiting.await.unwrap();
    assert!(matches!(admitted, Admitted::Again("again")));
    assert!(at_once(&door).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_shared_is_free_when_nobody_has_it() {
    let caps = caps(Some(1), None);
    let first = at_once(&door(&caps)).unwrap();
    let second = first.clone();
    drop(first);
    assert!(at_once(&door(&caps)).is_none());
    drop(second);
    assert!(at_once(&door(&caps)).is_some());
}

#[tokio::test(start_paused = true)]
async fn in_no_window_begin_more_messages_than_allowed() {
    let caps = caps(None, Some((2, 10)));
    let door = door(&caps);
    let started = Instant::now();
    let mut begun = Vec::new();
    for pause in [0, 4, 0, 0, 0, 30, 0, 0] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        door.turn(soon()).await.unwrap().take();
        begun.push(started.elapsed().as_secs());
    }
    assert_eq!(begun, [0, 4, 10, 14, 20, 50, 50, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_takes_is_no_message() {
    let caps = caps(None, Some((1, 3600)));
    let door = door(&caps);
    for _ in 0..3 {
        drop(door.turn(soon()).await.unwrap());
    }
    door.turn(soon()).await.unwrap().take();
    let told = door.turn(soon()).await.unwrap_err();
    assert!(matches!(told, Capped::Messages(..)), "{told}");
}

#[tokio::test(start_paused = true)]
async fn whoever_stands_behind_one_that_needs_a_connection_hears_of_connections() {
    let caps = caps(Some(1), Some((100, 60)));
    let door = door(&caps);
    let _held = place(&door).await.unwrap();
    let _first = door.turn(soon()).await.unwrap();
    let told = door.turn(soon()).await.unwrap_err();
    assert!(matches!(told, Capped::Connections(1, _)), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_counted_and_changes_the_limits_at_once() {
    let before = caps(Some(2), Some((1, 60)));
    door(&before).turn(soon()).await.unwrap().take();
    let (first, second) = (at_once(&door(&before)), at_once(&door(&before)));
    assert!(first.is_some() && second.is_some());

    let fewer = caps(Some(1), Some((1, 60))).after(&before);
    drop(first);
    assert!(at_once(&door(&fewer)).is_none());
    assert!(door(&fewer).turn(soon()).now_or_never().is_none());

    let old = door(&before);
    let waiting = tokio::spawn(async move { place(&old).await });
    yield_now().await;
    let more = caps(Some(3), Some((2, 60))).after(&fewer);
    let third = waiting.await.unwrap().unwrap();
    door(&more).turn(soon()).await.unwrap().take();
    let fourth = at_once(&door(&more)).unwrap();
    assert!(at_once(&door(&more)).is_none());

    let old = door(&more);
    let waiting = tokio::spawn(async move { old.turn(soon()).await.map(Turn::take) });
    yield_now().await;
    let more = caps(Some(3), Some((3, 60))).after(&more);
    let started = Instant::now();
    waiting.await.unwrap().unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);

    let others = Caps::new(&[cap("mx.test", Some(1), None), cap("b.test", Some(1), None)]);
    assert!(at_once(&door(&others.after(&more))).is_none());
    drop((second, third, fourth));
    assert!(at_once(&door(&others)).is_some());
}
