//! What cannot become a session of SMTP, or is none of waxseal's business.

use std::fs;

use super::{Scene, Stage, sealed};
use crate::support::ca::Ca;
use crate::support::house::{House, Setup};
use crate::support::mta::Mta;
use crate::support::mx::{Act, Script, last_reply, reply};
use crate::support::net::loopback;
use crate::support::socks::Client;
use crate::support::world::{BODY, fate, is, status};
use crate::support::zone::Dns;

fn greets(act: Act) -> Script {
    Script {
        greeting: Some(act.into()),
        ..Script::default()
    }
}

#[tokio::test]
async fn an_mx_that_is_dead_makes_the_mta_try_its_next_one() {
    let config = "timeouts = { greeting = '300ms', ehlo = '300ms' }";
    for (act, want) in [
        (Act::Stall, "421 4.4.2"),
        (Act::Close, "421 4.4.2"),
        (Act::Send(b"SSH-2.0-x\r\n".to_vec()), "421 4.5.0"),
        // What the MX itself says passes as it is.
        (last_reply(421, "4.3.2 busy"), "421 4.3.2"),
        (last_reply(554, "5.7.1 no"), "554 5.7.1"),
    ] {
        let stage = Stage {
            config,
            ..Stage::default()
        };
        let scene = Scene::of([greets(act)], stage).await;
        let mut mta = scene.dial(0).await;
        let said = mta.read_reply().await;
        assert_eq!(status(&said), want, "{said}");
        assert_eq!(mta.read_to_end().await, b"");
    }
}

#[tokio::test]
async fn an_mx_that_dies_at_ehlo_makes_the_mta_try_its_next_one() {
    let script = Script {
        ehlo: Some(Act::Close.into()),
        ..Script::default()
    };
    let scene = Scene::of([script], Stage::default()).await;
    let mut mta = scene.dial(0).await;
    mta.read_reply().await;
    let said = mta.hello().await;
    assert_eq!(status(&said), "421 4.4.2", "{said}");
    assert_eq!(mta.read_to_end().await, b"");
}

#[tokio::test]
async fn what_is_not_smtp_has_an_end() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    // Before the greeting, which never comes, and behind it.
    let scene = Scene::of([greets(Act::Stall)], Stage::default()).await;
    let mut mta = scene.dial(0).await;
    mta.send(hello).await;
    assert_eq!(status(&mta.read_reply().await), "500 5.5.2");
    assert_eq!(mta.read_to_end().await, b"");
    let scene = Scene::of([Script::default()], Stage::default()).await;
    let mut mta = scene.dial(0).await;
    mta.read_reply().await;
    mta.send(hello).await;
    assert_eq!(status(&mta.read_reply().await), "500 5.5.2");
    assert_eq!(mta.read_to_end().await, b"");
    let series = r#"waxseal_refused_total{listener="socks5",reason="not-smtp"}"#;
    assert!(is(scene.house.metric(series).await, 1));
    scene.mx[0].idle().await;
}

#[tokio::test]
async fn what_goes_to_a_network_of_bypass_passes_untouched() {
    let ca = Ca::new("Test CA");
    let identity = ca.server("mx.a.test");
    let listener = "bypass = ['127.0.0.0/8']";
    let rules = "rule = [{ domains = ['*'], tls = 'dane-only', reason = 'x' }]";
    let stage = Stage {
        rules,
        listener,
        ..Stage::default()
    };
    let scene = Scene::of([Script::with_tls(identity)], stage).await;
    let mut mta = scene.mta(0).await;
    assert!(mta.hello().await.offers("STARTTLS"));
    let mut mta = mta.starttls(&ca.pem(), "mx.a.test").await;
    mta.hello().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    mta.quit().await;
    let series = r#"waxseal_passthrough_total{listener="socks5",reason="bypass"}"#;
    assert!(is(scene.house.metric(series).await, 1));
}

#[tokio::test]
async fn starttls_of_the_mta_passes_through_where_the_operator_wants_that() {
    let ca = Ca::new("Test CA");
    let listener = "mta_starttls = 'passthrough'";
    let stage = Stage {
        listener,
        ..Stage::default()
    };
    let scene = Scene::of([sealed(&ca, "mx.a.test")], stage).await;
    let mta = scene.mta(0).await;
    let mut mta = mta.starttls(&ca.pem(), "mx.a.test").await;
    mta.hello().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    mta.quit().await;
    let series = r#"waxseal_passthrough_total{listener="socks5",reason="starttls"}"#;
    assert!(is(scene.house.metric(series).await, 1));
    // Octets behind STARTTLS are an attack here as well.
    let mut mta = scene.mta(0).await;
    mta.send(b"STARTTLS\r\nNOOP\r\n").await;
    assert_eq!(status(&mta.read_reply().await), "421 4.7.0");
    // An MTA that leaves it alone is a matter of waxseal's as ever.
    assert_eq!(fate(&scene.deliver(0, "r@a.test").await).code, 250);
    assert_eq!(scene.mx[0].handshakes().len(), 2);
}

#[tokio::test]
async fn starttls_of_the_mta_ends_at_waxseal_where_the_operator_wants_that() {
    let ca = Ca::new("Test CA");
    let inside = ca.server("waxseal.test");
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    fs::write(path("chain.pem"), inside.chain_pem()).unwrap();
    fs::write(path("key.pem"), inside.key_pem()).unwrap();
    let listener = format!(
        "mta_starttls = 'terminate', tls_certificate = '{}', tls_key = '{}'",
        path("chain.pem"),
        path("key.pem")
    );
    let stage = Stage {
        listener: &listener,
        ..Stage::default()
    };
    let scene = Scene::of([sealed(&ca, "mx.a.test")], stage).await;
    let mut mta = scene.mta(0).await.starttls(&ca.pem(), "waxseal.test").await;
    assert!(!mta.hello().await.offers("STARTTLS"));
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    assert_eq!(scene.mx[0].handshakes().len(), 1);
    assert_eq!(scene.mx[0].connections(), 1);
}

#[tokio::test]
async fn without_a_certificate_it_ends_at_one_of_waxseals_own_making() {
    let ca = Ca::new("Test CA");
    let stage = Stage {
        listener: "mta_starttls = 'terminate'",
        ..Stage::default()
    };
    let scene = Scene::of([sealed(&ca, "mx.a.test")], stage).await;
    let mut mta = scene.mta(0).await.starttls_with_anybody().await;
    assert!(!mta.hello().await.offers("STARTTLS"));
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
}

#[tokio::test]
async fn the_connection_leaves_from_the_address_of_the_mta() {
    let ip = loopback();
    let listener = "allow = ['127.0.0.0/8']";
    let stage = Stage {
        listener,
        ..Stage::default()
    };
    let scene = Scene::of([Script::default()], stage).await;
    let client = Client {
        from: Some(ip.parse().unwrap()),
        ..Client::default()
    };
    let mx = &scene.mx[0];
    let mta = client
        .connect(scene.house.socks5(), &mx.ip(), mx.port())
        .await;
    let mut mta = mta.unwrap().greeted().await;
    mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(mx.record().peers, [ip.parse::<std::net::IpAddr>().unwrap()]);
}

#[tokio::test]
async fn who_connects_to_the_port_itself_is_told_what_it_is_for() {
    let dns = Dns::start("").await;
    let config = "listener = [{ kind = 'transparent', listen = '127.0.0.1:0' }]";
    let house = House::start(
        &dns,
        25,
        Setup {
            config,
            ..Setup::default()
        },
    )
    .await;
    let mut mta = Mta::connect(house.transparent()).await;
    let said = mta.read_reply().await;
    assert_eq!(status(&said), "421 4.4.6", "{said}");
    assert_eq!(mta.read_to_end().await, b"");
    let series = r#"waxseal_refused_total{listener="transparent",reason="not-redirected"}"#;
    assert!(is(house.metric(series).await, 1));
}

#[tokio::test]
async fn a_session_ends_when_waxseal_stops_and_its_connection_with_it() {
    let script = Script {
        noop: reply(250, "2.0.0 OK").into(),
        ..Script::default()
    };
    let Scene { mx, house, .. } = Scene::of([script], Stage::default()).await;
    let client = Client::default();
    let mta = client
        .connect(house.socks5(), &mx[0].ip(), mx[0].port())
        .await;
    let mut mta = mta.unwrap().greeted().await;
    house.stop().await;
    assert_eq!(status(&mta.read_reply().await), "421 4.3.2");
    mx[0].idle().await;
}
