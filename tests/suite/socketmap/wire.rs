//! How the table is asked: over TCP, as Postfix does it, and as nobody should.

use std::fmt::Write as _;
use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{World, netstring, request};
use crate::support::within;
use crate::support::world::is;
use crate::support::zone::Fault;

#[tokio::test]
async fn a_thousand_requests_on_one_connection_ask_dns_once() {
    let world = World::start("").await;
    let mut postfix = world.postfix().await;
    for _ in 0..1000 {
        assert_eq!(postfix.ask("a.test").await, "OK encrypt");
    }
    assert_eq!(world.dns.asked("a.test", RecordType::MX), 1);
    assert!(is(world.counted("ok").await, 1000));
    assert!(is(world.sessions().await, 1));
    drop(postfix);
    within("the end", async { while !is(world.sessions().await, 0) {} }).await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let world = World::start("").await;
    let mut postfix = world.postfix().await;
    let keys = ["a.test", ".test", "open.test", "[gw.test]:587", "a..test"];
    let mut wire = String::new();
    for at in 0..2000 {
        write!(wire, "{}", request(keys[at % keys.len()])).unwrap();
    }
    let (mut reading, mut writing) = postfix.0.split();
    let mut replies = Vec::new();
    let both = async {
        let send = async {
            writing.write_all(wire.as_bytes()).await.unwrap();
            writing.shutdown().await.unwrap();
        };
        tokio::join!(send, reading.read_to_end(&mut replies))
            .1
            .unwrap();
    };
    within("all replies", both).await;
    let once: String = [
        "OK encrypt",
        "NOTFOUND ",
        "NOTFOUND ",
        "NOTFOUND ",
        "PERM not a domain: a label of the name is empty or longer than 63 characters",
    ]
    .map(netstring)
    .concat();
    assert_eq!(String::from_utf8(replies).unwrap(), once.repeat(400));
    for (result, count) in [("ok", 400), ("notfound", 1200), ("perm", 400), ("temp", 0)] {
        assert!(is(world.counted(result).await, count), "{result}");
    }
}

#[tokio::test]
async fn a_request_may_come_in_pieces() {
    let world = World::start("").await;
    let mut postfix = world.postfix().await;
    postfix.0.set_nodelay(true).unwrap();
    for octet in request("a.test").repeat(3).chars() {
        postfix.send(&octet.to_string()).await;
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(postfix.reply().await, "OK encrypt");
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_and_ends_the_connection() {
    let world = World::start("").await;
    let long = format!("{}:", 1_000_000);
    let octets = "a request must begin with its length in digits and a colon";
    for (wire, reason) in [
        ("GET / HTTP/1.1\r\n\r\n", octets),
        ("EHLO a.test\r\n", octets),
        (":", octets),
        (
            "007:a",
            "the length of a request must not begin with a zero",
        ),
        ("1:ab", "a request must end in a comma"),
        (
            long.as_str(),
            "a request must not be longer than 2048 octets",
        ),
    ] {
        let mut postfix = world.postfix().await;
        postfix.send(&request("a.test")).await;
        postfix.send(wire).await;
        postfix.send(&request("a.test")).await;
        assert_eq!(postfix.reply().await, "OK encrypt", "{wire}");
        assert_eq!(postfix.reply().await, format!("PERM {reason}"), "{wire}");
        postfix.is_over().await;
    }
}

#[tokio::test]
async fn other_tables_and_halves_of_requests_are_told_and_the_connection_goes_on() {
    let world = World::start("").await;
    let mut postfix = world.postfix().await;
    for (content, want) in [
        (
            "virtual a.test",
            "PERM there is no such table here, only `waxseal`",
        ),
        (
            "WAXSEAL a.test",
            "PERM there is no such table here, only `waxseal`",
        ),
        (
            "waxseal",
            "PERM a request must be the name of a table, a blank and a key",
        ),
        (
            "",
            "PERM a request must be the name of a table, a blank and a key",
        ),
        ("waxseal ", "NOTFOUND "),
        ("waxseal ottokar@a.test", "NOTFOUND "),
        ("waxseal A.TEST.", "OK encrypt"),
    ] {
        postfix.send(&netstring(content)).await;
        assert_eq!(postfix.reply().await, want, "{content}");
    }
}

#[tokio::test]
async fn a_name_server_that_fails_is_never_an_absence() {
    let world = World::start("[dns]\nfailed_for = '0s'").await;
    let mut postfix = world.postfix().await;
    world.dns.fail("open.test", Fault::ServFail);
    let failed = "TEMP DNS look-up of MX of open.test failed: SERVFAIL";
    assert_eq!(postfix.ask("open.test").await, failed);
    assert_eq!(postfix.ask("open.test").await, failed);
    assert!(is(world.counted("temp").await, 2));
    world.dns.heal();
    assert_eq!(postfix.ask("open.test").await, "NOTFOUND ");
}

#[tokio::test]
async fn answers_follow_a_reload_on_an_open_connection() {
    let world = World::start("").await;
    let mut postfix = world.postfix().await;
    assert_eq!(postfix.ask("a.test").await, "OK encrypt");
    let rules = "[[rule]]\ndomains = ['*']\ntls = 'secure'\nmatch = ['hostname']";
    world.house.write_rules(rules);
    world.house.reload().await.unwrap();
    let secure = "OK secure match=hostname servername=hostname";
    assert_eq!(postfix.ask("a.test").await, secure);
    assert_eq!(postfix.ask("open.test").await, secure);
}

#[tokio::test]
async fn a_stranger_hears_that_it_may_not_ask() {
    let world = World::start("allow = ['192.0.2.0/24']").await;
    let mut postfix = world.postfix().await;
    let reason = "your address is in no `allow` network of this listener";
    assert_eq!(postfix.reply().await, format!("PERM {reason}"));
    postfix.is_over().await;
    let series = r#"waxseal_refused_total{listener="socketmap",reason="not-allowed"}"#;
    assert!(is(world.house.metric(series).await, 1));
}

#[tokio::test]
async fn one_session_too_many_has_to_wait() {
    let world = World::start("max_sessions = 200").await;
    let mut all = Vec::new();
    for _ in 0..200 {
        let mut postfix = world.postfix().await;
        assert_eq!(postfix.ask("a.test").await, "OK encrypt");
        all.push(postfix);
    }
    let mut late = world.postfix().await;
    assert!(late.reply().await.starts_with("TEMP too many sessions"));
    late.is_over().await;
    for postfix in &mut all {
        assert_eq!(postfix.ask("open.test").await, "NOTFOUND ");
    }
    all.pop();
    within("a place", async {
        while !is(world.sessions().await, 199) {}
    })
    .await;
    assert_eq!(world.postfix().await.ask("a.test").await, "OK encrypt");
}

#[tokio::test]
async fn who_says_nothing_is_left_and_may_come_again() {
    let world = World::start("[timeouts]\nidle = '50ms'").await;
    let mut postfix = world.postfix().await;
    assert_eq!(postfix.ask("a.test").await, "OK encrypt");
    postfix.is_over().await;
    assert_eq!(world.postfix().await.ask("a.test").await, "OK encrypt");
}

#[tokio::test]
async fn on_stop_what_was_asked_is_answered_and_the_idle_are_left() {
    let world = World::start("[dns]\ntimeout = '10s'").await;
    let (mut idle, mut busy) = (world.postfix().await, world.postfix().await);
    assert_eq!(idle.ask("a.test").await, "OK encrypt");
    let slow = Fault::Slow(Duration::from_millis(300));
    world.dns.fail("open.test", slow);
    busy.send(&request("open.test")).await;
    let asked = async {
        while world.dns.asked("open.test", RecordType::MX) == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the question", asked).await;
    let address = world.house.map();
    let stopping = tokio::spawn(world.house.stop());
    idle.is_over().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(busy.reply().await, "NOTFOUND ");
    busy.is_over().await;
    within("the end of the drain", stopping).await.unwrap();
}
