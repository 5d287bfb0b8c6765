//! What an MTA may do: who gets in, how much is taken, which words are understood.

mod bridging;
mod mta_tls;
mod newlines;

use crate::support::mta::{Dialect, Mta};
use crate::support::mx::{Answer, Mx, Script, reply};
use crate::support::within;
use crate::support::world::{BODY, BOTH, World, fate, is, status, statuses};

/// Both listeners, with these keys for each.
fn listeners(keys: &str) -> String {
    ["relay", "lmtp"]
        .map(|kind| format!("[[listener]]\nkind = '{kind}'\nlisten = '127.0.0.1:0'\n{keys}\n"))
        .concat()
}

fn addresses(world: &World<1>) -> [std::net::SocketAddr; 2] {
    [world.house.relay(), world.house.lmtp()]
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    for (allow, welcome) in [
        ("['192.0.2.1', '2001:db8::/32']", false),
        ("['127.0.0.0/30']", true),
    ] {
        let config = listeners(&format!("allow = {allow}"));
        let world = World::with(Script::default(), &config).await;
        for address in addresses(&world) {
            let mut mta = Mta::connect(address).await;
            let greeting = mta.read_reply().await;
            if welcome {
                assert_eq!(greeting.code, 220);
            } else {
                assert_eq!(status(&greeting), "554 5.7.1", "{greeting}");
                assert_eq!(mta.read_to_end().await, b"");
            }
        }
        for listener in ["relay", "lmtp"] {
            let labels = format!(r#"{{listener="{listener}",reason="not-allowed"}}"#);
            let series = format!("waxseal_refused_total{labels}");
            assert!(is(world.house.metric(&series).await, u32::from(!welcome)));
        }
    }
}

#[tokio::test]
async fn one_session_too_many_has_to_wait() {
    let config = listeners("max_sessions = 2");
    let world = World::with(Script::default(), &config).await;
    for (dialect, address) in BOTH.into_iter().zip(addresses(&world)) {
        let first = world.mta(dialect).await;
        let _second = world.mta(dialect).await;
        let mut third = Mta::connect(address).await;
        assert_eq!(status(&third.read_reply().await), "421 4.3.2");
        assert_eq!(third.read_to_end().await, b"");
        first.quit().await;
        let free = async { while Mta::connect(address).await.read_reply().await.code != 220 {} };
        within("a free place", free).await;
    }
}

#[tokio::test]
async fn one_recipient_too_many_has_to_come_again() {
    let config = "[limits]\nmax_recipients = 2";
    let world = World::with(Script::default(), config).await;
    for dialect in BOTH {
        let mut mta = world.mta(dialect).await;
        assert!(mta.hello().await.text().contains("LIMITS RCPTMAX=2"));
        let to = ["1@a.test", "2@a.test", "3@a.test"];
        let sent = mta.deliver("s@b.test", &to, BODY).await;
        let want = ["250 2.1.5", "250 2.1.5", "452 4.5.3"];
        assert_eq!(statuses(&sent.rcpt), want, "{dialect:?}");
        assert_eq!(sent.code(), 250);
        let sent = mta.deliver("s@b.test", &to[2..], BODY).await;
        assert_eq!(sent.code(), 250);
    }
    let recipients = world.mx[0]
        .messages()
        .into_iter()
        .map(|m| m.recipients.len());
    assert_eq!(recipients.collect::<Vec<_>>(), [2, 1, 2, 1]);
}

#[tokio::test]
async fn refused_recipients_do_not_count() {
    let config = "[limits]\nmax_recipients = 1";
    let rcpt = Answer::by_address([("1@a.test", reply(550, "5.1.1 unknown"))]);
    let script = Script {
        rcpt,
        ..Script::default()
    };
    let world = World::with(script, config).await;
    for dialect in BOTH {
        let mut mta = world.mta(dialect).await;
        mta.command("MAIL FROM:<s@b.test>").await;
        let mut codes = Vec::new();
        for to in ["1@a.test", "1@a.test", "2@a.test", "3@a.test"] {
            codes.push(mta.command(&format!("RCPT TO:<{to}>")).await.code);
        }
        assert_eq!(codes, [550, 550, 250, 452], "{dialect:?}");
    }
}

#[tokio::test]
async fn one_domain_too_many_has_to_come_again() {
    let domains = ["a.test", "b.test", "c.test"].map(|domain| (domain, Script::default()));
    let world = World::of(domains, "[limits]\nmax_legs = 2").await;
    let to = ["1@a.test", "1@b.test", "1@c.test", "2@a.test"];
    let sent = world.deliver(Dialect::Lmtp, &to, BODY).await;
    assert_eq!(
        statuses(&sent.rcpt),
        ["250 2.1.5", "250 2.1.5", "452 4.5.3", "250 2.1.5"]
    );
    assert_eq!(sent.end_codes(), [250, 250, 250]);
    assert_eq!(world.mx.each_ref().map(Mx::connections), [1, 1, 0]);
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_session() {
    let config = "[limits]\nmax_command_line = 512";
    let world = World::with(Script::default(), config).await;
    for dialect in BOTH {
        let mut mta = world.mta(dialect).await;
        let noop = |octets: usize| format!("NOOP {}", "x".repeat(octets - 7));
        assert_eq!(mta.command(&noop(512)).await.code, 250);
        mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"])
            .await;
        let reply = mta.command(&noop(513)).await;
        assert_eq!(status(&reply), "500 5.5.2");
        assert_eq!(mta.read_to_end().await, b"");
        // A line without an end must not fill the memory either.
        let mut mta = world.mta(dialect).await;
        mta.send(&[b'x'; 512]).await;
        assert_eq!(status(&mta.read_reply().await), "500 5.5.2");
        assert_eq!(mta.read_to_end().await, b"");
    }
    world.mx[0].idle().await;
    assert_eq!(world.mx[0].messages().len(), 0);
}

#[tokio::test]
async fn too_many_errors_end_the_session() {
    let config = "[limits]\nmax_errors = 3";
    let world = World::with(Script::default(), config).await;
    for dialect in BOTH {
        let mut mta = world.mta(dialect).await;
        let replies = mta
            .pipeline(&["GET / HTTP/1.1", "DATA", "AUTH PLAIN"])
            .await;
        assert_eq!(
            statuses(&replies),
            ["500 5.5.2", "503 5.5.1", "421 4.7.0"],
            "{dialect:?}"
        );
        assert_eq!(mta.read_to_end().await, b"");
    }
}

#[tokio::test]
async fn what_an_mx_refuses_is_no_error_of_the_mta() {
    let script = Script {
        rcpt: reply(550, "5.1.1 unknown").into(),
        ..Script::default()
    };
    let world = World::with(script, "[limits]\nmax_errors = 2").await;
    let mut mta = world.mta(Dialect::Lmtp).await;
    mta.command("MAIL FROM:<s@b.test>").await;
    for _ in 0..5 {
        assert_eq!(mta.command("RCPT TO:<r@a.test>").await.code, 550);
    }
}

#[tokio::test]
async fn a_message_that_is_too_big_is_refused_wherever_that_shows() {
    let line = |octets: usize| [vec![b'x'; octets - 2], b"\r\n".to_vec()].concat();
    let dots = b"..\r\n.\r\n...\r\n.x\r\n.y.\r\n".repeat(5)[..100].to_vec();
    for (dialect, bare) in BOTH.into_iter().zip(["reject", "normalise"]) {
        let config = format!("[message]\nmax_size = 100\nbare_newline = '{bare}'");
        let world = World::with(Script::default(), &config).await;
        let mut mta = world.mta(dialect).await;
        assert!(mta.hello().await.lines.contains(&"SIZE 100".to_owned()));
        let reply = mta.command("MAIL FROM:<s@b.test> SIZE=101").await;
        assert_eq!(status(&reply), "552 5.3.4");
        let to = ["1@a.test", "2@a.test"];
        for octets in [101, 5000, 300_000] {
            let sent = mta.deliver("s@b.test", &to, &line(octets)).await;
            let replies = if dialect == Dialect::Lmtp { 2 } else { 1 };
            assert_eq!(statuses(&sent.end), vec!["552 5.3.4"; replies], "{octets}");
        }
        // RFC 1870 §3: neither the final dot nor the dots that are doubled are part of the size.
        assert!(dots.len() == 100 && dots.ends_with(b"\r\n"));
        for body in [&line(100), &dots] {
            let sent = mta.deliver("s@b.test", &to, body).await;
            assert_eq!(sent.code(), 250, "{dialect:?}");
        }
        mta.quit().await;
        world.mx[0].idle().await;
        let lengths = world.mx[0].messages().into_iter().map(|m| m.length);
        assert_eq!(lengths.collect::<Vec<_>>(), [100, 100]);
    }
}

#[tokio::test]
async fn no_limit_is_said_as_size_zero() {
    let world = World::with(Script::default(), "[message]\nmax_size = 0").await;
    let mut mta = world.mta(Dialect::Smtp).await;
    assert!(mta.hello().await.lines.contains(&"SIZE 0".to_owned()));
    let reply = mta.command("MAIL FROM:<s@b.test> SIZE=99999999999").await;
    assert_eq!(reply.code, 250);
}

#[tokio::test]
async fn an_mta_that_says_nothing_is_closed() {
    const ENVELOPE: [&str; 3] = ["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"];
    let config = "[timeouts]\nidle = '500ms'\nmta_data = '500ms'";
    let world = World::with(Script::default(), config).await;
    let [a, b, c, d] = [0, 1, 2, 3].map(|said| falls_silent(&world, &ENVELOPE[..said]));
    tokio::join!(a, b, c, d);
    world.mx[0].idle().await;
    assert_eq!(world.mx[0].connections(), 4);
    assert_eq!(world.mx[0].messages().len(), 0);
}

/// Says this and half a line more, over SMTP and over LMTP.
async fn falls_silent(world: &World<1>, said: &[&str]) {
    let [smtp, lmtp] = BOTH.map(|dialect| async move {
        let mut mta = world.mta(dialect).await;
        if !said.is_empty() {
            mta.pipeline(said).await;
            mta.send(b"no line end").await;
        }
        assert_eq!(status(&mta.read_reply().await), "421 4.4.2", "{said:?}");
        assert_eq!(mta.read_to_end().await, b"");
    });
    tokio::join!(smtp, lmtp);
}

#[tokio::test]
async fn the_capabilities_are_those_that_can_be_bridged() {
    let world = World::one(Script::default()).await;
    let common = [
        "waxseal.test",
        "PIPELINING",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "DSN",
        "SMTPUTF8",
        "CHUNKING",
        "SIZE 1073741824",
    ];
    for (dialect, limits) in BOTH
        .into_iter()
        .zip(["LIMITS RCPTMAX=1000 RCPTDOMAINMAX=1", "LIMITS RCPTMAX=1000"])
    {
        let hello = world.mta(dialect).await.hello().await;
        let (last, first) = hello.lines.split_last().unwrap();
        assert_eq!(first, common, "{dialect:?}");
        assert_eq!(last, limits);
    }
}

#[tokio::test]
async fn greetings_are_those_of_the_protocol() {
    let world = World::one(Script::default()).await;
    let [relay, lmtp] = addresses(&world);
    for (address, protocol, good, bad) in [
        (
            relay,
            "ESMTP",
            &["EHLO m.test", "HELO m.test"][..],
            &["LHLO m.test"][..],
        ),
        (
            lmtp,
            "LMTP",
            &["LHLO m.test"],
            &["EHLO m.test", "HELO m.test"],
        ),
    ] {
        let mut mta = Mta::connect(address).await;
        let greeting = mta.read_reply().await.to_string();
        assert_eq!(greeting, format!("220 waxseal.test {protocol} waxseal"));
        assert_eq!(mta.command("MAIL FROM:<s@b.test>").await.code, 503);
        for line in bad {
            assert_eq!(status(&mta.command(line).await), "500 5.5.1", "{line}");
        }
        assert_eq!(mta.command("MAIL FROM:<s@b.test>").await.code, 503);
        for line in good {
            assert_eq!(mta.command(line).await.code, 250, "{line}");
        }
        let verb = good[0].split(' ').next().unwrap();
        assert_eq!(status(&mta.command(verb).await), "501 5.5.4", "{verb}");
        let sent = mta.pipeline(&["MAIL FROM:<s@b.test>", "RSET"]).await;
        assert_eq!(statuses(&sent), ["250 2.1.0", "250 2.0.0"]);
    }
    let mut mta = Mta::connect(relay).await;
    mta.read_reply().await;
    assert_eq!(mta.command("HELO m.test").await.lines, ["waxseal.test"]);
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
}

#[tokio::test]
async fn every_other_command_has_its_reply() {
    let world = World::one(Script::default()).await;
    let commands = [
        ("NOOP", "250 2.0.0"),
        ("noop with words", "250 2.0.0"),
        ("VRFY joe", "252 2.1.5"),
        ("HELP", "214 2.0.0"),
        ("EXPN list", "502 5.5.1"),
        ("ETRN a.test", "502 5.5.1"),
        ("AUTH PLAIN AGEAYg==", "502 5.5.1"),
        ("STARTTLS", "502 5.5.1"),
        ("XFORWARD NAME=x", "500 5.5.2"),
        ("XCLIENT ADDR=127.0.0.1", "500 5.5.2"),
        ("", "500 5.5.2"),
        ("RCPT TO:<r@a.test>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("MAIL FROM:joe", "501 5.1.7"),
        ("MAIL FROM:<s@b.test> AUTH=<>", "555 5.5.4"),
        ("MAIL FROM:<s@b.test> SIZE=x", "501 5.5.4"),
        ("MAIL FROM:<s@b.test>", "250 2.1.0"),
        ("MAIL FROM:<s@b.test>", "503 5.5.1"),
        ("RCPT TO:<postmaster>", "501 5.1.3"),
        ("RCPT TO:<r@a.test> XFOO=1", "555 5.5.4"),
        ("RCPT TO:<r@a..test>", "501 5.1.3"),
    ];
    for dialect in BOTH {
        let mut mta = world.mta(dialect).await;
        for (line, want) in commands {
            assert_eq!(status(&mta.command(line).await), want, "{line}");
        }
        let sent = mta.pipeline(&["RCPT TO:<r@a.test>", "DATA"]).await;
        assert_eq!(statuses(&sent), ["250 2.1.5", "354"], "{dialect:?}");
        assert_eq!(mta.data(BODY).await.code, 250);
        assert_eq!(mta.quit().await.to_string(), "221 2.0.0 Bye");
    }
}
