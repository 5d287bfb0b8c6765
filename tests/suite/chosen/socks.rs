//! The dialogue of SOCKS.

use std::fs;

use super::{Scene, Stage};
use crate::support::mx::Script;
use crate::support::net::{dead_address, loopback};
use crate::support::socks::{Client, request};
use crate::support::world::{BODY, fate, is};

#[tokio::test]
async fn a_reply_says_why_there_is_no_connection() {
    let config = "mx = { allow_networks = ['127.64.0.0/10', '127.128.0.0/10'] }";
    let scene = Scene::of(
        [Script::default()],
        Stage {
            config,
            ..Stage::default()
        },
    )
    .await;
    let (proxy, port) = (scene.house.socks5(), scene.mx[0].port());
    let asked = |target: String, port| async move {
        let client = Client::default();
        client.connect(proxy, &target, port).await.err()
    };
    assert_eq!(asked(scene.mx[0].ip(), port).await, None);
    let dead = dead_address(port).await;
    assert_eq!(asked(dead.ip().to_string(), port).await, Some(5));
    // It did not connect a short while ago, and is left alone.
    assert_eq!(asked(dead.ip().to_string(), port).await, Some(4));
    // Another port, an address that is not public, waxseal itself, a name that does not exist.
    assert_eq!(asked(scene.mx[0].ip(), port ^ 1).await, Some(2));
    assert_eq!(asked("10.0.0.1".to_owned(), port).await, Some(2));
    assert_eq!(asked("127.0.0.9".to_owned(), port).await, Some(2));
    assert_eq!(asked("no.such.test".to_owned(), port).await, Some(4));
    assert_eq!(asked("not a name".to_owned(), port).await, Some(4));
}

#[tokio::test]
async fn waxseal_itself_is_never_dialled() {
    let listener = "bypass = ['127.0.0.0/8']";
    let scene = Scene::of(
        [Script::default()],
        Stage {
            listener,
            ..Stage::default()
        },
    )
    .await;
    let proxy = scene.house.socks5();
    let client = Client::default();
    assert_eq!(
        client.connect(proxy, "127.0.0.1", proxy.port()).await.err(),
        Some(2)
    );
}

#[tokio::test]
async fn a_host_name_is_looked_up_here_and_says_which_mx_is_meant() {
    let scene = Scene::of([Script::default()], Stage::default()).await;
    let mta = Client::default();
    let mta = mta.connect(scene.house.socks5(), "mx.a.test", scene.mx[0].port());
    let mut mta = mta.await.unwrap().greeted().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    assert_eq!(scene.mx[0].messages().len(), 1);
}

#[tokio::test]
async fn of_several_addresses_the_first_that_connects_is_taken() {
    let ip = loopback();
    let zone = format!("a.test A {ip}\na.test A IP1");
    let scene = Scene::of(
        [Script::default()],
        Stage {
            zone: &zone,
            ..Stage::default()
        },
    )
    .await;
    let client = Client::default();
    let mta = client
        .connect(scene.house.socks5(), "a.test", scene.mx[0].port())
        .await;
    mta.unwrap().greeted().await;
}

#[tokio::test]
async fn a_password_opens_the_door_and_another_does_not() {
    let files = tempfile::tempdir().unwrap();
    let users = files.path().join("users");
    fs::write(&users, "# who may\nmta:secret\n\nother:pass:word\n").unwrap();
    let listener = format!(
        "users_file = '{}', allow = ['127.0.0.0/8', '192.0.2.0/24']",
        users.display()
    );
    let stage = Stage {
        listener: &listener,
        ..Stage::default()
    };
    let scene = Scene::of([Script::default()], stage).await;
    let (proxy, mx) = (scene.house.socks5(), &scene.mx[0]);
    let (ip, port) = (mx.ip(), mx.port());
    for (user, password, code) in [
        ("mta", "secret", None),
        ("other", "pass:word", None),
        ("mta", "Secret", Some(0xff)),
        ("nobody", "secret", Some(0xff)),
    ] {
        let login = Some((user, password));
        let client = Client {
            login,
            ..Client::default()
        };
        assert_eq!(client.connect(proxy, &ip, port).await.err(), code, "{user}");
    }
    // On loopback nobody needs one.
    assert!(Client::default().connect(proxy, &ip, port).await.is_ok());
    let series = r#"waxseal_refused_total{listener="socks5",reason="unauthenticated"}"#;
    assert!(is(scene.house.metric(series).await, 2));
}

#[tokio::test]
async fn without_users_nobody_can_log_in() {
    let scene = Scene::of([Script::default()], Stage::default()).await;
    let login = Some(("mta", "secret"));
    let client = Client {
        login,
        ..Client::default()
    };
    let refused = client.connect(scene.house.socks5(), "127.0.0.1", 25).await;
    assert_eq!(refused.err(), Some(0xff));
}

#[tokio::test]
async fn a_client_that_says_nothing_hears_nothing() {
    use crate::support::mta::Mta;
    let config = "timeouts = { idle = '200ms' }";
    let stage = Stage {
        config,
        ..Stage::default()
    };
    let scene = Scene::of([Script::default()], stage).await;
    let mut mta = Mta::connect(scene.house.socks5()).await;
    mta.send(&[5]).await;
    assert_eq!(mta.read_to_end().await, b"");
    let series = r#"waxseal_refused_total{listener="socks5",reason="idle"}"#;
    assert!(is(scene.house.metric(series).await, 1));
}

#[tokio::test]
async fn what_is_not_offered_or_not_socks_has_an_end() {
    use crate::support::mta::Mta;
    let scene = Scene::of([Script::default()], Stage::default()).await;
    let bind = [&[5, 1, 0][..], &request(2, "127.0.0.1", 25)].concat();
    let kind = vec![5, 1, 0, 5, 1, 0, 9];
    for (wire, end) in [
        (b"EHLO mta.test\r\n".to_vec(), &b""[..]),
        (vec![4, 1, 0, 25], b""),
        (bind, &[5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0]),
        (kind, &[5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0]),
    ] {
        let mut mta = Mta::connect(scene.house.socks5()).await;
        mta.send(&wire).await;
        assert_eq!(mta.read_to_end().await, end, "{wire:?}");
    }
    let series = r#"waxseal_refused_total{listener="socks5",reason="bad-request"}"#;
    assert!(is(scene.house.metric(series).await, 4));
}
