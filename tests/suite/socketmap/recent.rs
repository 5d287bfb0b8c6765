//! What was told a moment ago is told again, and for how long. The clock is moved by hand.

use std::sync::Arc;

use hickory_resolver::proto::rr::RecordType;
use serde_json::Value;

use super::client::Postfix;
use crate::support::ca::Ca;
use crate::support::clock::HandClock;
use crate::support::house::{House, Setup};
use crate::support::http;
use crate::support::net::loopback;
use crate::support::sts_host::{Response, Site, StsHost, policy};
use crate::support::world::is;
use crate::support::zone::{Dns, Fault};

const LISTENER: &str = "listener = [{ kind = 'socketmap', listen = '127.0.0.1:0' }]\n";
const ZONE: &str = "a.test MX 10 mx.a.test\nmx.a.test A 192.0.2.1\n\
                    open.test MX 10 mx.open.test\nmx.open.test A 192.0.2.2\n";
const RULES: &str = "[[rule]]\ndomains = ['a.test']\ntls = 'encrypt'";

struct World {
    dns: Dns,
    house: House,
    clock: Arc<HandClock>,
    postfix: Postfix,
}

impl World {
    async fn start(config: &str) -> Self {
        let dns = Dns::start(ZONE).await;
        Self::with(dns, config, None).await
    }

    async fn with(dns: Dns, config: &str, ca: Option<&Ca>) -> Self {
        let clock = Arc::new(HandClock::default());
        let setup = Setup {
            config: &format!("{LISTENER}{config}"),
            rules: RULES,
            ca,
            clock: Some(Arc::clone(&clock)),
        };
        let house = House::start(&dns, 25, setup).await;
        let postfix = Postfix::at(house.map()).await;
        Self {
            dns,
            house,
            clock,
            postfix,
        }
    }

    async fn ask(&mut self, key: &str) -> String {
        self.postfix.ask(key).await
    }

    /// Whether so many answers were there already, and so many were not.
    async fn counts(&self, hits: u32, misses: u32) -> bool {
        let of = async |what: &str| {
            let series = format!("waxseal_cache_{what}_total{{cache=\"answers\"}}");
            self.house.metric(&series).await
        };
        is(of("hits").await, hits) && is(of("misses").await, misses)
    }
}

#[tokio::test]
async fn the_same_question_has_the_same_answer_for_the_rest_of_the_second() {
    let mut world = World::start("").await;
    for key in ["a.test", "a.test", "open.test", "a.test", "open.test"] {
        let want = if key == "a.test" {
            "OK encrypt"
        } else {
            "NOTFOUND "
        };
        assert_eq!(world.ask(key).await, want);
    }
    assert!(world.counts(3, 2).await);
    // Another spelling is another question, and its decision is there.
    assert_eq!(world.ask("A.test").await, "OK encrypt");
    assert!(world.counts(3, 3).await);
    world.clock.advance(1);
    assert_eq!(world.ask("a.test").await, "OK encrypt");
    assert!(world.counts(3, 4).await);
    assert_eq!(world.dns.asked("a.test", RecordType::MX), 1);
}

#[tokio::test]
async fn an_answer_that_was_there_counts_like_any_other() {
    let mut world = World::start("").await;
    for _ in 0..5 {
        assert_eq!(world.ask("a.test").await, "OK encrypt");
    }
    assert!(world.counts(4, 1).await);
    let lookups = r#"waxseal_policy_lookups_total{result="found",source="mx"}"#;
    assert!(is(world.house.metric(lookups).await, 5));
    let requests = r#"waxseal_socketmap_requests_total{result="ok"}"#;
    assert!(is(world.house.metric(requests).await, 5));
    let rules = http::get(world.house.admin(), "/api/v1/rules").await.body;
    let rules: Value = serde_json::from_str(&rules).unwrap();
    assert_eq!(rules["rules"][0]["hits"], 5);
}

#[tokio::test]
async fn what_makes_mail_wait_is_found_out_anew() {
    let mut world = World::start("[dns]\nfailed_for = '0s'").await;
    world.dns.fail("open.test", Fault::ServFail);
    for _ in 0..2 {
        assert!(world.ask("open.test").await.starts_with("TEMP "));
    }
    world.dns.heal();
    assert_eq!(world.ask("open.test").await, "NOTFOUND ");
    // So is what is no domain, and what takes no decision.
    for key in ["a..test", "a..test", ".test", ".test"] {
        world.ask(key).await;
    }
    assert!(world.counts(0, 7).await);
}

#[tokio::test]
async fn a_reload_is_in_force_at_once() {
    let mut world = World::start("").await;
    for _ in 0..2 {
        assert_eq!(world.ask("a.test").await, "OK encrypt");
    }
    world.house.write_rules("");
    world.house.reload().await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.ask("a.test").await, "NOTFOUND ");
    }
}

#[tokio::test]
async fn no_more_is_kept_than_there_is_room_for() {
    for (room, hits) in [(0, 0), (1, 2), (2, 4)] {
        let mut world = World::start(&format!("[dns]\ncache_entries = {room}")).await;
        for _ in 0..3 {
            assert_eq!(world.ask("a.test").await, "OK encrypt");
            assert_eq!(world.ask("open.test").await, "NOTFOUND ");
        }
        assert!(world.counts(hits, 6 - hits).await, "{room}");
    }
}

#[tokio::test]
async fn a_policy_that_has_changed_is_told_at_once() {
    let ca = Ca::new("Test CA");
    let site = |mx: &str| policy("enforce", 86_400, &[mx]);
    let identity = ca.server("mta-sts.b.test");
    let web = StsHost::start(&loopback(), 0, Site::policy(identity, &site("mx.b.test"))).await;
    let dns = Dns::start(&format!(
        "b.test MX 10 mx.b.test\nmx.b.test A 192.0.2.1\nmta-sts.b.test A {}\n\
         _mta-sts.b.test TXT \"v=STSv1; id=1;\"\n",
        web.ip()
    ))
    .await;
    let config = format!("[mta_sts]\nport = {}", web.port());
    let mut world = World::with(dns, &config, Some(&ca)).await;
    // The policy comes with the first answer, which so belongs to no moment.
    for _ in 0..3 {
        let want = "OK secure match=mx.b.test servername=hostname";
        assert_eq!(world.ask("b.test").await, want);
    }
    assert!(world.counts(1, 2).await);
    web.answer(Response::text(&site("other.b.test")));
    let refresh = "/api/v1/policies/b.test/refresh";
    let refreshed = http::post(world.house.admin(), refresh, "").await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let changed = world.ask("b.test").await;
    assert!(changed.starts_with("TEMP "), "{changed}");
    assert!(world.counts(1, 3).await);
}
