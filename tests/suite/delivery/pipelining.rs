//! DATA that the MTA has said together with its recipients goes to the MX together with them (RFC 2920).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::house::House;
use crate::support::mta::Reply;
use crate::support::mx::{Act, Answer, Script, reply};
use crate::support::world::{BODY, BOTH, World, statuses};
use crate::support::zone::Dns;

const ENVELOPE: [&str; 4] = [
    "MAIL FROM:<s@b.test>",
    "RCPT TO:<1@a.test>",
    "RCPT TO:<2@a.test>",
    "DATA",
];

/// An MX that answers each line by its verb, and tells what it read at once each time.
fn outspoken(listener: TcpListener, answers: &'static [(&str, &str)]) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut bursts = Vec::new();
        tcp.write_all(b"220 mx\r\n").await.unwrap();
        loop {
            let mut piece = [0; 4096];
            let length = tcp.read(&mut piece).await.unwrap_or(0);
            if length == 0 {
                return bursts;
            }
            let piece = String::from_utf8_lossy(&piece[..length]).into_owned();
            let answer = |line: &str| {
                let known = answers.iter().find(|(verb, _)| line.starts_with(verb));
                known.map_or("250 Ok\r\n", |(_, answer)| *answer).to_owned()
            };
            let answer = match &piece {
                content if content.ends_with("\r\n.\r\n") => "250 Ok\r\n".to_owned(),
                lines => lines.lines().map(answer).collect(),
            };
            bursts.push(piece);
            tcp.write_all(answer.as_bytes()).await.unwrap();
        }
    })
}

const PIPELINING: (&str, &str) = ("EHLO", "250-mx\r\n250 PIPELINING\r\n");

/// The replies to the envelope, and what such an MX read.
async fn said(ip: &str, answers: &'static [(&str, &str)]) -> (Vec<Reply>, Vec<String>) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mx = outspoken(listener, answers);
    let dns = Dns::start(&format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}")).await;
    let house = House::plain(&dns, port).await;
    let mut mta = house.smtp_client().await;
    let replies = mta.pipeline(&ENVELOPE).await;
    if replies[3].code == 354 {
        assert_eq!(mta.data(BODY).await.code, 250);
    }
    mta.quit().await;
    (replies, mx.await.unwrap())
}

#[tokio::test]
async fn envelope_and_data_cost_one_round_trip() {
    let answers = &[PIPELINING, ("DATA", "354 go\r\n")];
    let (replies, bursts) = said("127.1.1.2", answers).await;
    assert_eq!(
        statuses(&replies),
        ["250 2.1.0", "250", "250", "354"],
        "{bursts:?}"
    );
    assert_eq!(bursts[1], ENVELOPE.join("\r\n") + "\r\n");
    assert!(bursts[2].ends_with("\r\n.\r\n"), "{bursts:?}");
}

#[tokio::test]
async fn an_mx_without_pipelining_gets_one_command_at_a_time() {
    let answers = &[
        ("EHLO", "250-mx\r\n250 8BITMIME\r\n"),
        ("DATA", "354 go\r\n"),
    ];
    let (_, bursts) = said("127.1.1.1", answers).await;
    assert_eq!(bursts[1..5], ENVELOPE.map(|line| format!("{line}\r\n")));
}

#[tokio::test]
async fn an_mx_that_refuses_everybody_and_says_354_all_the_same_gets_nothing() {
    let answers = &[
        PIPELINING,
        ("RCPT", "550 5.1.1 nobody\r\n"),
        ("DATA", "354 go\r\n"),
    ];
    let (replies, bursts) = said("127.1.1.3", answers).await;
    assert_eq!(
        statuses(&replies),
        ["250 2.1.0", "550 5.1.1", "550 5.1.1", "554 5.5.1"]
    );
    // Not even a QUIT, which would be content.
    assert_eq!(bursts.len(), 2, "{bursts:?}");
}

#[tokio::test]
async fn what_an_mx_says_to_recipients_is_heard_although_it_closes_then() {
    let script = Script {
        rcpt: reply(550, "5.1.1 nobody").into(),
        data: Act::Close.into(),
        ..Script::default()
    };
    for dialect in BOTH {
        let world = World::one(script.clone()).await;
        let mut mta = world.mta(dialect).await;
        let replies = mta.pipeline(&ENVELOPE).await;
        assert_eq!(statuses(&replies)[1..3], ["550 5.1.1", "550 5.1.1"]);
    }
}

#[tokio::test]
async fn an_mx_that_refuses_everybody_can_be_used_again() {
    let script = Script {
        rcpt: Answer::by(|ask| match ask.nth {
            0 | 1 => reply(550, "5.1.1 nobody"),
            _ => reply(250, "2.1.5 OK"),
        }),
        ..Script::default()
    };
    let world = World::with(script, "pool = { idle = '1h' }").await;
    let mut mta = world.mta(BOTH[0]).await;
    let replies = mta.pipeline(&ENVELOPE).await;
    assert_eq!(
        statuses(&replies),
        ["250 2.1.0", "550 5.1.1", "550 5.1.1", "554 5.5.1"]
    );
    assert_eq!(mta.command("RSET").await.code, 250);
    assert_eq!(mta.pipeline(&ENVELOPE).await[3].code, 354);
    assert_eq!(mta.data(BODY).await.code, 250);
    assert_eq!(world.mx[0].connections(), 1);
    assert_eq!(world.mx[0].heard("RSET"), 1);
}

#[tokio::test]
async fn a_refusal_of_data_is_heard() {
    let script = Script {
        data: reply(451, "4.3.0 not now").into(),
        ..Script::default()
    };
    let world = World::one(script).await;
    let mut mta = world.mta(BOTH[0]).await;
    let replies = mta.pipeline(&ENVELOPE).await;
    assert_eq!(
        statuses(&replies),
        ["250 2.1.0", "250 2.1.5", "250 2.1.5", "451 4.3.0"]
    );
    assert_eq!(world.mx[0].messages().len(), 0);
}

#[tokio::test]
async fn in_lmtp_each_leg_gets_its_own_data() {
    let refuses = Script {
        rcpt: reply(550, "5.1.1 nobody").into(),
        ..Script::default()
    };
    let world = World::of([("a.test", Script::default()), ("b.test", refuses)], "").await;
    let mut mta = world.mta(BOTH[1]).await;
    let replies = mta
        .pipeline(&[
            "MAIL FROM:<s@c.test>",
            "RCPT TO:<r@a.test>",
            "RCPT TO:<r@b.test>",
            "DATA",
        ])
        .await;
    assert_eq!(
        statuses(&replies),
        ["250 2.1.0", "250 2.1.5", "550 5.1.1", "354"]
    );
    assert_eq!(mta.data(BODY).await.code, 250);
    assert_eq!(world.mx[0].messages().len(), 1);
    assert_eq!(world.mx[1].messages().len(), 0);
    assert_eq!(world.mx[1].partials().len(), 0);
}
