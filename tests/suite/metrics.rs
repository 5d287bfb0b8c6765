//! The metrics of a waxseal at work; `src/metrics/tests.rs` has each of them.

use std::sync::Arc;

use crate::support::clock::HandClock;
use crate::support::house::{House, Setup};
use crate::support::mx::{Mx, Script};
use crate::support::net::loopback;
use crate::support::within;
use crate::support::world::{World, is};
use crate::support::zone::Dns;

#[tokio::test]
async fn what_the_first_message_learnt_answers_the_others() {
    let mx = Mx::start(&loopback(), 0, Script::default()).await;
    let zone = format!("a.test MX 10 mx.a.test\nmx.a.test A {}\n", mx.ip());
    let dns = Dns::start(&zone).await;
    let clock = Arc::new(HandClock::default());
    let setup = Setup {
        clock: Some(Arc::clone(&clock)),
        ..Setup::default()
    };
    let house = House::start(&dns, mx.port(), setup).await;
    let of = async |what: &str, cache: &str| {
        let series = format!("waxseal_cache_{what}{{cache=\"{cache}\"}}");
        house.metric(&series).await
    };
    let send = async || {
        let mut mta = house.smtp_client().await;
        mta.deliver("s@b.test", &["r@a.test"], b"x\r\n").await;
        mta.quit().await;
    };
    send().await;
    assert!(of("entries", "dns").await > 0.0);
    assert!(is(of("entries", "decisions").await, 1));
    assert!(is(of("hits_total", "hosts").await, 0));
    let misses = of("misses_total", "dns").await;
    assert!(misses > 0.0);
    // In the same second the decision itself is there.
    send().await;
    assert!(is(of("hits_total", "decisions").await, 1));
    assert!(is(of("hits_total", "dns").await, 0));
    // Later it is made again, of answers that are still there.
    clock.advance(1);
    send().await;
    assert!(is(of("hits_total", "decisions").await, 1));
    assert!(is(of("misses_total", "decisions").await, 2));
    assert!(of("hits_total", "dns").await > 0.0);
    assert!(is(of("hits_total", "hosts").await, 1));
    assert!(is(of("misses_total", "hosts").await, 1));
    let again = of("misses_total", "dns").await;
    assert!((again - misses).abs() < f64::EPSILON, "{again} {misses}");
}

#[tokio::test]
async fn a_listed_domain_has_series_of_its_own_until_a_reload_drops_it() {
    let config = "metrics = { domains = ['a.test'] }";
    let world = World::with(Script::default(), config).await;
    world.send("r@a.test").await;
    let series = "waxseal_domain_deliveries_total{authentication=\"none\",domain=\"a.test\",encryption=\"plaintext\"}";
    assert!(is(world.house.metric(series).await, 1));
    world.house.reload().await.unwrap();
    assert!(is(world.house.metric(series).await, 1), "the same list");
    let file = world.house.folder().join("waxseal.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("a.test", "b.test")).unwrap();
    world.house.reload().await.unwrap();
    let metrics = world.house.metrics().await;
    assert!(!metrics.contains("domain=\"a.test\""), "{metrics}");
    assert!(metrics.contains("domain=\"b.test\""), "{metrics}");
}

#[tokio::test]
async fn a_reload_that_fails_is_seen_until_one_works() {
    let world = World::one(Script::default()).await;
    let series = "waxseal_config_last_reload_successful";
    assert!(is(world.house.metric(series).await, 1));
    world.house.write_rules("nonsense");
    world.house.reload().await.unwrap_err();
    assert!(is(world.house.metric(series).await, 0));
    world.house.write_rules("");
    world.house.reload().await.unwrap();
    assert!(is(world.house.metric(series).await, 1));
}

#[tokio::test]
async fn the_store_is_looked_after_without_mta_sts_too() {
    let world = World::with(Script::default(), "mta_sts = { enabled = false }").await;
    let looked_after = async {
        while !is(world.house.metric("waxseal_store_ok").await, 1) {
            tokio::task::yield_now().await;
        }
    };
    within("the store to be looked after", looked_after).await;
}
