//! Connections that wait for the next message: used again where that is right, and only there.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::support::ca::Ca;
use crate::support::clock::HandClock;
use crate::support::house::{House, Setup};
use crate::support::mta::Dialect;
use crate::support::mx::{Act, Answer, Mx, Script, Versions, last_reply, reply};
use crate::support::net::loopback;
use crate::support::world::{BOTH, World, is};
use crate::support::zone::Dns;

const KEPT: &str = "pool = { idle = '1h' }";
const IDLE: &str = r#"waxseal_pool_connections{state="idle"}"#;
const REUSES: &str = "waxseal_upstream_reuses_total";

/// One MX for several domains, whose rules ask for different things.
struct Shared {
    ca: Ca,
    mx: Mx,
    _dns: Dns,
    house: House,
    clock: Arc<HandClock>,
}

impl Shared {
    /// All domains have `mx.test` as their MX.
    async fn with(domains: &[&str], script: impl FnOnce(&Ca) -> Script, rules: &str) -> Self {
        let ca = Ca::new("waxseal test");
        let mx = Mx::start(&loopback(), 0, script(&ca)).await;
        let mut zone = format!("mx.test A {}\n", mx.ip());
        for domain in domains {
            writeln!(zone, "{domain} MX 10 mx.test").unwrap();
        }
        let dns = Dns::start(&zone).await;
        let clock = Arc::new(HandClock::default());
        let setup = Setup {
            config: KEPT,
            rules,
            ca: Some(&ca),
            clock: Some(Arc::clone(&clock)),
        };
        let house = House::start(&dns, mx.port(), setup).await;
        Self {
            ca,
            mx,
            _dns: dns,
            house,
            clock,
        }
    }

    async fn send(&self, to: &str) -> String {
        let mut mta = self.house.smtp_client().await;
        let sent = mta
            .deliver("s@b.test", &[to], b"Subject: x\r\n\r\nx\r\n")
            .await;
        mta.quit().await;
        sent.end.last().unwrap_or(&sent.rcpt[0]).to_string()
    }
}

fn with_tls(ca: &Ca) -> Script {
    Script::with_tls(ca.server("mx.test"))
}

#[tokio::test]
async fn the_next_message_goes_over_the_same_connection() {
    for dialect in BOTH {
        let world = World::with(Script::default(), KEPT).await;
        for _ in 0..3 {
            let sent = world.deliver(dialect, &["r@a.test"], b"x\r\n").await;
            assert_eq!(sent.end_codes(), [250]);
        }
        assert_eq!(world.mx[0].connections(), 1);
        assert_eq!(world.mx[0].heard("EHLO"), 1);
        assert!(is(world.house.metric(REUSES).await, 2));
        assert!(is(world.house.metric(IDLE).await, 1));
    }
}

#[tokio::test]
async fn each_domain_is_judged_anew_by_its_own_policy() {
    let rules = "rule = [
        { domains = ['may.test'], tls = 'may' },
        { domains = ['encrypt.test'], tls = 'encrypt' },
        { domains = ['secure.test'], tls = 'secure', match = ['mx.test'] },
        { domains = ['other.test'], tls = 'secure', match = ['other.test'], servername = 'mx.test' },
        { domains = ['none.test'], tls = 'none' },
    ]";
    let domains = [
        "may.test",
        "encrypt.test",
        "secure.test",
        "other.test",
        "none.test",
    ];
    let shared = Shared::with(&domains, with_tls, rules).await;
    let good = |how: &str| format!("250 2.0.0 OK: queued [mx.test {how}]");
    for (to, expected, connections) in [
        ("r@may.test", good("TLSv1.3 none"), 1),
        ("r@secure.test", good("TLSv1.3 pkix"), 1),
        ("r@encrypt.test", good("TLSv1.3 none"), 1),
        // Never over a connection with TLS, and what it opens is of no use to the others.
        ("r@none.test", good("plaintext"), 2),
        ("r@may.test", good("TLSv1.3 none"), 2),
        ("r@none.test", good("plaintext"), 2),
        ("r@secure.test", good("TLSv1.3 pkix"), 2),
    ] {
        assert_eq!(shared.send(to).await, expected, "{to}");
        assert_eq!(shared.mx.connections(), connections, "{to}");
    }
    let blocked = shared.send("r@other.test").await;
    assert!(blocked.starts_with("451 4.7.5 "), "{blocked}");
    assert_eq!(shared.mx.messages().len(), 7);
    // The connection that did not do for it goes on serving those that it does for.
    let connections = shared.mx.connections();
    assert_eq!(shared.send("r@secure.test").await, good("TLSv1.3 pkix"));
    assert_eq!(shared.mx.connections(), connections);
}

#[tokio::test]
async fn a_name_in_sni_is_no_other() {
    let rules = "rule = [
        { domains = ['a.test'], tls = 'encrypt', servername = 'one.test' },
        { domains = ['b.test'], tls = 'encrypt', servername = 'two.test' },
    ]";
    let shared = Shared::with(&["a.test", "b.test"], with_tls, rules).await;
    for to in ["r@a.test", "r@b.test", "r@a.test", "r@b.test"] {
        assert!(shared.send(to).await.starts_with("250 "));
    }
    let names: Vec<_> = shared
        .mx
        .handshakes()
        .iter()
        .map(|handshake| handshake.sni.clone().unwrap_or_default())
        .collect();
    assert_eq!(names, ["one.test", "two.test"]);
}

#[tokio::test]
async fn a_certificate_that_expires_meanwhile_ends_the_trust() {
    let rules = "rule = [{ domains = ['a.test'], tls = 'secure', match = ['mx.test'] }]";
    let shared = Shared::with(&["a.test"], with_tls, rules).await;
    assert!(shared.send("r@a.test").await.starts_with("250 "));
    // The certificates of the test CA are good until 4096.
    shared.clock.advance(2100 * 366 * 86_400);
    let late = shared.send("r@a.test").await;
    assert!(late.starts_with("451 4.7.5 "), "{late}");
    assert!(late.contains("expired"), "{late}");
    assert_eq!(shared.mx.messages().len(), 1);
}

#[tokio::test]
async fn a_rule_that_is_reloaded_counts_for_connections_that_wait() {
    let rules = |tls: &str| format!("rule = [{{ domains = ['a.test'], {tls} }}]");
    let shared = Shared::with(&["a.test"], with_tls, &rules("tls = 'may'")).await;
    assert!(shared.send("r@a.test").await.starts_with("250 "));
    shared.house.write_rules(&rules(
        "tls = 'secure', match = ['elsewhere.test'], servername = 'mx.test'",
    ));
    shared.house.reload().await.unwrap();
    let blocked = shared.send("r@a.test").await;
    assert!(blocked.starts_with("451 4.7.5 "), "{blocked}");
    // The CA is trusted, so that it is the name alone that is missing.
    assert!(
        !shared.ca.pem().is_empty() && blocked.contains("elsewhere.test"),
        "{blocked}"
    );
}

#[tokio::test]
async fn an_mx_that_has_closed_meanwhile_costs_a_connection_and_no_error() {
    // How the second MAIL on a connection is met: the MTA hears nothing of it.
    let stale = [
        Act::Close,
        Act::Reset,
        last_reply(421, "4.4.2 idle for too long"),
        reply(421, "4.3.2 shutting down"),
        Act::Send(b"gibberish\r\n".to_vec()),
        Act::Stall,
    ];
    for act in stale {
        let second = act.clone();
        let script = Script {
            mail: Answer::by(move |ask| match ask.nth {
                1 => second.clone(),
                _ => reply(250, "2.1.0 OK"),
            }),
            ..Script::default()
        };
        let config = format!("{KEPT}\ntimeouts = {{ reused = '200ms' }}");
        let world = World::with(script, &config).await;
        for _ in 0..2 {
            assert_eq!(world.send("r@a.test").await.code, 250, "{act:?}");
        }
        assert_eq!(world.mx[0].connections(), 2, "{act:?}");
        assert_eq!(world.mx[0].messages().len(), 2, "{act:?}");
    }
}

#[tokio::test]
async fn after_the_content_has_begun_nothing_is_tried_again() {
    let script = Script {
        end_of_data: Answer::in_turn([reply(250, "2.0.0 OK: queued"), Act::Close]),
        ..Script::default()
    };
    let world = World::with(script, KEPT).await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    let lost = world.send("r@a.test").await;
    assert_eq!(lost.to_string().get(..9), Some("451 4.4.2"), "{lost}");
    assert_eq!(world.mx[0].connections(), 1);
}

#[tokio::test]
async fn a_421_ends_all_connections_to_that_address() {
    let script = Script {
        rcpt: Answer::by_address([("busy@a.test", reply(421, "4.3.2 too busy"))]),
        ..Script::default()
    };
    let world = World::with(script, KEPT).await;
    // Two at the same time need two connections.
    let mut first = world.mta(Dialect::Smtp).await;
    assert_eq!(first.command("MAIL FROM:<s@b.test>").await.code, 250);
    assert_eq!(first.command("RCPT TO:<r@a.test>").await.code, 250);
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert!(is(world.house.metric(IDLE).await, 1));
    assert_eq!(first.command("RCPT TO:<busy@a.test>").await.code, 451);
    assert_eq!(first.command("RSET").await.code, 250);
    assert!(is(world.house.metric(IDLE).await, 0));
    world.mx[0].idle().await;
    assert_eq!(world.mx[0].heard("QUIT"), 2);
}

#[tokio::test]
async fn after_refused_recipients_the_mx_is_told_to_forget_them() {
    let script = Script {
        rcpt: Answer::by_address([("no@a.test", reply(550, "5.1.1 nobody"))]),
        ..Script::default()
    };
    let world = World::with(script, KEPT).await;
    assert_eq!(world.send("no@a.test").await.code, 550);
    assert_eq!(world.send("r@a.test").await.code, 250);
    let lines = world.mx[0].lines();
    assert_eq!(world.mx[0].connections(), 1);
    let again = lines.iter().position(|line| line == "RSET").unwrap();
    assert!(
        lines[again + 1].starts_with("MAIL FROM:<s@b.test>"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_connection_in_the_middle_of_a_message_never_waits() {
    let world = World::with(Script::default(), KEPT).await;
    let mut mta = world.mta(Dialect::Smtp).await;
    for (line, code) in [
        ("MAIL FROM:<s@b.test>", 250),
        ("RCPT TO:<r@a.test>", 250),
        ("DATA", 354),
    ] {
        assert_eq!(mta.command(line).await.code, code);
    }
    drop(mta);
    world.mx[0].idle().await;
    assert!(is(world.house.metric(IDLE).await, 0));
    assert_eq!(world.mx[0].messages().len(), 0);
}

#[tokio::test]
async fn uses_and_time_end_a_connection() {
    for (limit, connections) in [
        ("pool = { idle = '1h', max_messages = 2 }", 2),
        ("pool = { idle = '1h', max_age = '1ms' }", 4),
        ("pool = { idle = '0s' }", 4),
    ] {
        let script = Script {
            mail: reply(250, "2.1.0 OK")
                .after(Duration::from_millis(2))
                .into(),
            ..Script::default()
        };
        let world = World::with(script, limit).await;
        for _ in 0..4 {
            assert_eq!(world.send("r@a.test").await.code, 250);
        }
        assert_eq!(world.mx[0].connections(), connections, "{limit}");
    }
}

#[tokio::test]
async fn what_has_waited_too_long_is_ended_politely() {
    let world = World::with(Script::default(), "pool = { idle = '1ms' }").await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    world.mx[0].idle().await;
    assert_eq!(world.mx[0].heard("QUIT"), 1);
    assert!(is(world.house.metric(IDLE).await, 0));
}

#[tokio::test]
async fn where_there_is_no_room_the_address_with_most_connections_gives_way() {
    let two = [("a.test", Script::default()), ("b.test", Script::default())];
    let world = World::of(two, "pool = { idle = '1h', connections = 3 }").await;
    // Three at once to the one, and then one to the other.
    let mut mtas = Vec::new();
    for _ in 0..3 {
        let mut mta = world.mta(Dialect::Smtp).await;
        assert_eq!(mta.command("MAIL FROM:<s@c.test>").await.code, 250);
        assert_eq!(mta.command("RCPT TO:<r@a.test>").await.code, 250);
        mtas.push(mta);
    }
    for mta in mtas {
        mta.quit().await;
    }
    assert!(is(world.house.metric(IDLE).await, 3));
    assert_eq!(world.send("r@b.test").await.code, 250);
    assert!(is(world.house.metric(IDLE).await, 3));
    world.mx[0]
        .until("the oldest one to end", |record| record.closed == 1)
        .await;
    assert_eq!(world.send("r@b.test").await.code, 250);
    assert_eq!(world.mx[1].connections(), 1);
}

#[tokio::test]
async fn one_address_keeps_no_more_than_its_share() {
    let world = World::with(Script::default(), "pool = { idle = '1h', per_address = 1 }").await;
    let mut first = world.mta(Dialect::Smtp).await;
    assert_eq!(first.command("MAIL FROM:<s@b.test>").await.code, 250);
    assert_eq!(first.command("RCPT TO:<r@a.test>").await.code, 250);
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(first.command("RSET").await.code, 250);
    assert!(is(world.house.metric(IDLE).await, 1));
    assert_eq!(world.mx[0].connections(), 2);
}

#[tokio::test]
async fn a_waxseal_that_stops_takes_its_leave() {
    let World {
        mx,
        dns: _dns,
        house,
    } = World::with(Script::default(), KEPT).await;
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], b"x\r\n").await;
    assert_eq!(sent.end_codes(), [250]);
    house.stop().await;
    mx[0].idle().await;
    assert_eq!(mx[0].heard("QUIT"), 1);
}

#[tokio::test]
async fn tls_1_2_connections_wait_as_well() {
    let only_12 = |ca: &Ca| {
        let mut script = with_tls(ca);
        if let crate::support::mx::StartTls::Offered(tls) = &mut script.starttls {
            tls.versions = Versions::Only12;
        }
        script
    };
    let shared = Shared::with(&["a.test"], only_12, "").await;
    for _ in 0..2 {
        let reply = shared.send("r@a.test").await;
        assert_eq!(reply, "250 2.0.0 OK: queued [mx.test TLSv1.2 none]");
    }
    assert_eq!(shared.mx.connections(), 1);
}
