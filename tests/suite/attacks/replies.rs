//! An MX that says strange things, or never stops: bounded, told to the MTA, and the session goes on.

use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;

use crate::support::house::House;
use crate::support::mta::Delivery;
use crate::support::mx::{Act, Answer, Mx, Script, capabilities, reply};
use crate::support::zone::Dns;

use super::Scene;

const BODY: &[u8] = b"Subject: wax\r\n\r\nhello\r\n";

/// Where the MX says it, and in which words that is told.
const PHASES: [(&str, &str); 6] = [
    ("greeting", "the greeting"),
    ("ehlo", "EHLO"),
    ("mail", "MAIL FROM"),
    ("rcpt", "RCPT TO"),
    ("data", "DATA"),
    ("end", "the end of data"),
];

fn saying(phase: &str, act: &Act) -> Script {
    let answer = Answer::from(act.clone());
    let script = Script::default();
    match phase {
        "greeting" => Script {
            greeting: Some(answer),
            ..script
        },
        "ehlo" => Script {
            ehlo: Some(answer),
            ..script
        },
        "mail" => Script {
            mail: answer,
            ..script
        },
        "rcpt" => Script {
            rcpt: answer,
            ..script
        },
        "data" => Script {
            data: answer,
            ..script
        },
        "end" => Script {
            end_of_data: answer,
            ..script
        },
        _ => panic!("no phase {phase}"),
    }
}

/// What is no reply, and in which words that is told.
fn no_replies() -> Vec<(Act, &'static str)> {
    let send = |octets: &[u8]| Act::Send(octets.to_vec());
    let mebibyte = [b"250-".to_vec(), b"x".repeat(1020), b"\r\n".to_vec()]
        .concat()
        .repeat(1024);
    vec![
        (send(b"hello\r\n"), "a line that is no reply"),
        (send(b"\r\n"), "a line that is no reply"),
        (send(b"\0\0\0\0\r\n"), "a line that is no reply"),
        (send(b"25\0 ok\r\n"), "a line that is no reply"),
        (send(b"199 low\r\n"), "a line that is no reply"),
        (send(b"600 high\r\n"), "a line that is no reply"),
        (send(b"+25 ok\r\n"), "a line that is no reply"),
        (send(b"250_ok\r\n"), "a line that is no reply"),
        (send(b"\xff\xfe\xfd\xfc\r\n"), "a line that is no reply"),
        (send(b"220-one\r\n250 two\r\n"), "a reply with two codes"),
        (send(b"354-one\r\n554 two\r\n"), "a reply with two codes"),
        (Act::Send(mebibyte), "an endless reply"),
        (send(&b"250-x\r\n".repeat(200)), "an endless reply"),
        (Act::EndlessLine, "line too long"),
    ]
}

async fn deliver(house: &House) -> Delivery {
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    mta.quit().await;
    sent
}

/// The first reply that is no success: the fate of the message.
fn fate(sent: &Delivery) -> String {
    let replies = sent.rcpt.iter().chain([&sent.data]).chain(&sent.end);
    let failed = replies.clone().find(|reply| !reply.is_positive());
    failed.or(sent.end.last()).unwrap().to_string()
}

#[tokio::test]
async fn what_is_no_reply_fails_the_attempt_wherever_it_is_said() {
    for (at, (phase, place)) in (70..).zip(PHASES) {
        let scene = Scene::start(at, Script::default(), "").await;
        for (act, fault) in no_replies() {
            scene.mx.play(saying(phase, &act));
            let told = format!("451 4.5.0 mx.a.test[127.2.{at}.1]: not SMTP at {place}: {fault}");
            assert_eq!(fate(&deliver(&scene.house).await), told, "{phase}");
        }
        let arrived = scene.mx.messages().len();
        scene.mx.play(Script::default());
        assert_eq!(
            deliver(&scene.house).await.end_codes(),
            [250],
            "after {phase}"
        );
        assert_eq!(scene.mx.messages().len(), arrived + 1);
    }
}

#[tokio::test]
async fn control_characters_of_a_reply_do_not_reach_the_mta() {
    let hostile = b"250-2.0.0 a\0b\r\n250 2.0.0 c\rMAIL FROM:<evil@b.test>\x1b[31m\xff\r\n";
    let script = saying("end", &Act::Send(hostile.to_vec()));
    let scene = Scene::start(77, script, "seal = false").await;
    let sent = deliver(&scene.house).await;
    assert_eq!(
        sent.end[0].lines,
        ["2.0.0 a?b", "2.0.0 c?MAIL FROM:<evil@b.test>?[31m\u{fffd}"]
    );
}

#[tokio::test]
async fn a_hostile_list_of_capabilities_changes_nothing() {
    let list = [
        "SIZE 99999999999999999999",
        "size -1",
        "PIPELINING PIPELINING PIPELINING",
        "",
        " ",
        "\u{7f}\u{1}8BITMIME",
        "X-\u{fffd}\u{fffd}\u{fffd}",
        "STARTTLSX",
        "XSTARTTLS",
        "REQUIRETLS",
        "CHUNKING\tCHUNKING",
    ];
    let script = Script {
        capabilities: capabilities(&list),
        ..Script::default()
    };
    let scene = Scene::start(78, script, "").await;
    assert_eq!(deliver(&scene.house).await.end_codes(), [250]);
    assert_eq!(scene.mx.heard("STARTTLS"), 0);
    assert_eq!(scene.mx.message().data, BODY);
}

#[tokio::test]
async fn an_mx_may_speak_one_octet_at_a_time() {
    let drip = |text: &[u8]| Answer::from(Act::Drip(text.to_vec(), Duration::from_millis(1)));
    let script = Script {
        greeting: Some(drip(b"220-mx\r\n220 ESMTP\r\n")),
        ehlo: Some(drip(b"250-mx\r\n250-PIPELINING\r\n250 SIZE\r\n")),
        mail: drip(b"250 2.1.0 OK\r\n"),
        rcpt: drip(b"250 2.1.5 OK\r\n"),
        data: drip(b"354 go\r\n"),
        end_of_data: drip(b"250 2.0.0 OK\r\n"),
        ..Script::default()
    };
    let scene = Scene::start(79, script, "").await;
    assert_eq!(deliver(&scene.house).await.end_codes(), [250]);
}

#[tokio::test]
async fn one_octet_at_a_time_does_not_stretch_the_time_for_a_reply() {
    let octets = b"250-more and more and more\r\n".repeat(90);
    let drip = Act::Drip(octets, Duration::from_millis(20));
    let timeouts = "greeting = '200ms', ehlo = '200ms', mail = '200ms', rcpt = '200ms', data = '200ms', data_end = '200ms'";
    let config = format!("timeouts = {{ {timeouts} }}\nmx = {{ dead_for = '0s' }}");
    for (at, (phase, place)) in (80..).zip(PHASES) {
        let scene = Scene::start(at, saying(phase, &drip), &config).await;
        let told = format!("451 4.4.2 mx.a.test[127.2.{at}.1]: no reply in time to {place}");
        assert_eq!(fate(&deliver(&scene.house).await), told);
    }
}

#[tokio::test]
async fn a_huge_set_of_mx_is_cut_behind_its_best_ones() {
    let mx = Mx::start("127.2.90.1", 0, Script::default()).await;
    let records = (0..300).map(|at| {
        // The best comes last, and those that nobody listens at are as good as each other.
        let preference = if at == 299 { 1 } else { 2 + at / 100 };
        let (high, low) = (91 + at / 200, 1 + at % 200);
        format!("a.test MX {preference} mx{at}.a.test\nmx{at}.a.test A 127.2.{high}.{low}\n")
    });
    let zone: String = records.collect();
    let best = zone.replace(
        "mx299.a.test A 127.2.92.100\n",
        "mx299.a.test A 127.2.90.1\n",
    );
    assert_ne!(best, zone);
    let dns = Dns::start(&best).await;
    let house = House::plain(&dns, mx.port()).await;
    assert_eq!(deliver(&house).await.end_codes(), [250]);
    let asked = dns
        .queries()
        .iter()
        .filter(|(_, kind)| *kind == RecordType::A)
        .count();
    assert_eq!(asked, 50, "hosts whose addresses are asked for");

    mx.play(Script {
        greeting: Some(reply(554, "no").into()),
        ..Script::default()
    });
    assert_eq!(deliver(&house).await.rcpt[0].code, 451);
    let unreachable = house
        .metric(r#"waxseal_attempts_total{result="unreachable"}"#)
        .await;
    assert!(
        (unreachable - 9.0).abs() < f64::EPSILON,
        "{unreachable} beside the best one"
    );
}
