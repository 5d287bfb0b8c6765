//! What arrives is what was sent, octet for octet and envelope for envelope.

use crate::support::ca::sha256;
use crate::support::mx::{Keep, Script, Via, last_reply, reply};
use crate::support::world::{BODY, BOTH, DELIVERED, World, is, statuses};

/// Bodies that somebody once got wrong.
fn bodies() -> Vec<Vec<u8>> {
    let long =
        |octets: usize| [&b"Subject: long\r\n\r\n"[..], &vec![b'x'; octets], b"\r\n"].concat();
    vec![
        b"".to_vec(),
        b"\r\n".to_vec(),
        b".\r\n".to_vec(),
        b"..\r\n.\r\n...\r\n".to_vec(),
        b"no header, no blank line\r\n".to_vec(),
        b"Subject: header alone\r\n".to_vec(),
        b"Subject: .\r\n\r\n.begins with a dot\r\n . not\r\n.\t\r\n".to_vec(),
        b"Subject: 8bit\r\n\r\n\xff\xfe\x80 gr\xc3\xbc\xc3\x9fe \0 nul\r\n".to_vec(),
        b"QUIT\r\nRSET\r\nMAIL FROM:<>\r\n".to_vec(),
        long(998),
        long(100_000),
        b".line\r\n".repeat(30_000),
    ]
}

#[tokio::test]
async fn content_arrives_octet_for_octet() {
    for dialect in BOTH {
        let world = World::one(Script::default()).await;
        let mut mta = world.mta(dialect).await;
        for body in bodies() {
            let sent = mta.deliver("s@b.test", &["r@a.test"], &body).await;
            assert_eq!(sent.end_codes(), [250], "{dialect:?}");
        }
        mta.quit().await;
        let messages = world.mx[0].messages();
        assert_eq!(messages.len(), bodies().len());
        for (message, body) in messages.iter().zip(bodies()) {
            let head = body[..body.len().min(40)].escape_ascii().to_string();
            assert!(message.data == body, "{dialect:?}: {head}");
            assert_eq!(message.via, Via::Data);
        }
    }
}

#[tokio::test]
async fn a_message_may_be_larger_than_every_buffer() {
    let script = Script {
        keep: Keep::HashAndLength,
        ..Script::default()
    };
    let world = World::one(script).await;
    let body = b"0123456789abcdef\r\n".repeat(300_000);
    let sent = world.deliver(BOTH[0], &["r@a.test"], &body).await;
    assert_eq!(sent.end_codes(), [250]);
    let message = world.mx[0].message();
    assert_eq!(message.length, body.len() as u64);
    assert_eq!(message.sha256, sha256(&body));
}

#[tokio::test]
async fn a_message_may_come_octet_by_octet() {
    let world = World::one(Script::default()).await;
    let mut mta = world.mta(BOTH[0]).await;
    let head = b"MAIL FROM:<s@b.test>\r\nRCPT TO:<r@a.test>\r\nDATA\r\n";
    for octet in head.chunks(1) {
        mta.send(octet).await;
    }
    for code in [250, 250, 354] {
        assert_eq!(mta.read_reply().await.code, code);
    }
    for octet in b"..a\r\nb\r\n.\r\n".chunks(1) {
        mta.send(octet).await;
    }
    assert_eq!(mta.read_reply().await.code, 250);
    assert_eq!(world.mx[0].message().text(), ".a\r\nb\r\n");
}

#[tokio::test]
async fn the_envelope_arrives_as_it_was_given() {
    for dialect in BOTH {
        let world = World::one(Script::default()).await;
        let mut mta = world.mta(dialect).await;
        let to = ["r@A.Test", "\"odd one\"@a.test", "r+x=y@a.test"];
        let sent = mta.deliver("", &to, BODY).await;
        assert!(sent.end_codes().iter().all(|code| *code == 250));
        let message = world.mx[0].message();
        assert_eq!(
            (message.from.as_str(), message.from_parameters.as_str()),
            ("", "")
        );
        assert_eq!(message.recipients, to);
        assert_eq!(message.helo, "waxseal.test");
        mta.quit().await;
        world.mx[0].idle().await;
    }
}

#[tokio::test]
async fn transactions_of_a_session_do_not_mix() {
    for dialect in BOTH {
        let world = World::of(
            [("a.test", Script::default()), ("b.test", Script::default())],
            "",
        )
        .await;
        let mut mta = world.mta(dialect).await;
        for (to, text) in [
            ("1@a.test", "one"),
            ("2@b.test", "two"),
            ("3@a.test", "three"),
        ] {
            let body = format!("Subject: {text}\r\n");
            let sent = mta.deliver(to, &[to], body.as_bytes()).await;
            assert_eq!(sent.end_codes(), [250], "{dialect:?} {to}");
        }
        mta.quit().await;
        let seen = |mx: usize| -> Vec<_> {
            let messages = world.mx[mx].messages().into_iter();
            messages
                .map(|m| (m.from.clone(), m.recipients.clone(), m.text()))
                .collect()
        };
        let want = |to: &str, text: &str| {
            (
                to.to_owned(),
                vec![to.to_owned()],
                format!("Subject: {text}\r\n"),
            )
        };
        assert_eq!(
            seen(0),
            [want("1@a.test", "one"), want("3@a.test", "three")]
        );
        assert_eq!(seen(1), [want("2@b.test", "two")]);
        assert!(is(world.house.metric(DELIVERED).await, 3));
    }
}

#[tokio::test]
async fn rset_and_ehlo_forget_the_transaction() {
    for (dialect, word) in [
        (BOTH[0], "RSET"),
        (BOTH[0], "EHLO again.test"),
        (BOTH[1], "RSET"),
        (BOTH[1], "LHLO again.test"),
    ] {
        let world = World::one(Script::default()).await;
        let mut mta = world.mta(dialect).await;
        let replies = mta
            .pipeline(&["MAIL FROM:<old@b.test>", "RCPT TO:<old@a.test>", word])
            .await;
        assert!(replies.iter().all(|reply| reply.code == 250), "{word}");
        assert_eq!(mta.command("DATA").await.code, 503, "{word}");
        let sent = mta.deliver("new@b.test", &["new@a.test"], BODY).await;
        assert_eq!(sent.end_codes(), [250]);
        mta.quit().await;
        world.mx[0].idle().await;
        let message = world.mx[0].message();
        assert_eq!(message.recipients, ["new@a.test"]);
        assert_eq!(
            world.mx[0].heard("QUIT"),
            2,
            "both connections end politely"
        );
    }
}

#[tokio::test]
async fn replies_to_a_burst_come_in_its_order() {
    let world = World::one(Script::default()).await;
    let mut mta = world.mta(BOTH[0]).await;
    let burst = [
        "NOOP",
        "MAIL FROM:<s@b.test>",
        "RCPT TO:<1@a.test>",
        "RCPT TO:<no domain>",
        "RCPT TO:<2@a.test>",
        "RCPT TO:<3@c.test>",
        "VRFY x",
        "DATA",
    ];
    let replies = mta.pipeline(&burst).await;
    assert_eq!(
        statuses(&replies),
        [
            "250 2.0.0",
            "250 2.1.0",
            "250 2.1.5",
            "501 5.1.3",
            "250 2.1.5",
            "452 4.5.3",
            "252 2.1.5",
            "354"
        ]
    );
    assert_eq!(mta.data(BODY).await.code, 250);
    assert_eq!(world.mx[0].message().recipients, ["1@a.test", "2@a.test"]);
}

#[tokio::test]
async fn the_seal_stands_behind_the_last_line_and_can_be_left_out() {
    for (config, want) in [
        ("", "250 2.0.0 Ok\n2.0.0 queued [mx.a.test plaintext]"),
        ("seal = false", "250 2.0.0 Ok\n2.0.0 queued"),
    ] {
        for dialect in BOTH {
            let script = Script {
                end_of_data: reply(250, "2.0.0 Ok\n2.0.0 queued").into(),
                ..Script::default()
            };
            let world = World::with(script, config).await;
            let sent = world.deliver(dialect, &["r@a.test"], BODY).await;
            assert_eq!(sent.end[0].to_string(), want, "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn an_mx_that_accepts_and_closes_has_accepted() {
    let script = Script {
        end_of_data: last_reply(250, "2.0.0 Ok, bye").into(),
        ..Script::default()
    };
    let world = World::one(script).await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(world.mx[0].connections(), 2);
}
