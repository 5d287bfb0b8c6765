//! BDAT from the MTA (RFC 3030), to MX hosts that know it and to MX hosts that do not.

mod small;

use crate::support::mta::{Chunk, Dialect, Mta};
use crate::support::mx::{Act, Interrupt, Message, Script, Via, capabilities, reply};
use crate::support::world::{BOTH, World, status};

/// An MX with CHUNKING, or one without.
fn script(via: Via) -> Script {
    let mut script = Script::default();
    if via == Via::Data {
        script.capabilities = capabilities(&["PIPELINING", "8BITMIME"]);
    }
    script
}

const KINDS: [Via; 2] = [Via::Bdat, Via::Data];

/// An MTA that may send content now.
async fn ready<const N: usize>(world: &World<N>, dialect: Dialect, to: &[&str]) -> Mta {
    let mut mta = world.mta(dialect).await;
    envelope(&mut mta, to).await;
    mta
}

async fn envelope(mta: &mut Mta, to: &[&str]) {
    assert_eq!(mta.command("MAIL FROM:<s@b.test>").await.code, 250);
    for to in to {
        assert_eq!(mta.command(&format!("RCPT TO:<{to}>")).await.code, 250);
    }
}

/// Sends a good message, to see that the session is as good as new.
async fn goes_on(mut mta: Mta) {
    envelope(&mut mta, &["next@a.test"]).await;
    let reply = mta.bdat(b"next\r\n", Chunk::Last).await;
    assert_eq!(reply.code, 250, "{reply}");
    mta.quit().await;
}

#[tokio::test]
async fn chunks_arrive_as_one_message_in_the_words_of_the_mx() {
    for via in KINDS {
        for dialect in BOTH {
            let world = World::one(script(via)).await;
            let mut mta = ready(&world, dialect, &["r@a.test"]).await;
            let chunks: [&[u8]; 7] = [
                b"Subject: x\r\n\r\n.",
                b"dot\r",
                b"\n",
                b"..\r\n.",
                b"",
                b"\r\n\xff\x80\0",
                b"\r\n.end\r\n",
            ];
            for (at, chunk) in chunks.iter().enumerate() {
                let which = if at == 6 { Chunk::Last } else { Chunk::More };
                let reply = mta.bdat(chunk, which).await;
                assert_eq!(reply.code, 250, "{via:?} {dialect:?} chunk {at}: {reply}");
                assert_eq!(world.mx[0].messages().len(), usize::from(at == 6));
            }
            mta.quit().await;
            let message = world.mx[0].message();
            assert_eq!(message.data, chunks.concat(), "{dialect:?}");
            assert_eq!(message.via, via);
        }
    }
}

#[tokio::test]
async fn large_chunks_may_come_in_one_burst() {
    let chunk = b"0123456789abcdef\r\n".repeat(10_000);
    for via in KINDS {
        let world = World::one(script(via)).await;
        let mut mta = ready(&world, Dialect::Smtp, &["r@a.test"]).await;
        let mut burst = Vec::new();
        for last in ["", "", " LAST"] {
            burst.extend(format!("BDAT {}{last}\r\n", chunk.len()).bytes());
            burst.extend_from_slice(&chunk);
        }
        burst.extend_from_slice(b"NOOP\r\n");
        mta.send(&burst).await;
        for _ in 0..4 {
            assert_eq!(mta.read_reply().await.code, 250);
        }
        assert!(world.mx[0].message().data == chunk.repeat(3), "{via:?}");
    }
}

#[tokio::test]
async fn a_fan_out_speaks_to_each_mx_in_its_own_words() {
    let world = World::of(
        [("a.test", script(Via::Bdat)), ("b.test", script(Via::Data))],
        "",
    )
    .await;
    let to = ["r@a.test", "r@b.test", "q@a.test"];
    let mut mta = ready(&world, Dialect::Lmtp, &to).await;
    assert_eq!(mta.bdat(b"Subject: x\r\n", Chunk::More).await.code, 250);
    assert_eq!(mta.bdat(b"\r\n.one\r\n", Chunk::Last).await.code, 250);
    for _ in 1..to.len() {
        assert_eq!(mta.read_reply().await.code, 250);
    }
    assert_eq!(mta.quit().await.code, 221);
    for (mx, via) in world.mx.iter().zip(KINDS) {
        let message = mx.message();
        assert_eq!(message.text(), "Subject: x\r\n\r\n.one\r\n");
        assert_eq!(message.via, via);
    }
    assert_eq!(
        world.mx[1].message().raw_data,
        b"Subject: x\r\n\r\n..one\r\n"
    );
}

#[tokio::test]
async fn the_last_chunk_may_be_empty_and_so_may_the_message() {
    for via in KINDS {
        for dialect in BOTH {
            let world = World::one(script(via)).await;
            let mut mta = ready(&world, dialect, &["r@a.test"]).await;
            assert_eq!(mta.bdat(b"text\r\n", Chunk::More).await.code, 250);
            assert_eq!(mta.bdat(b"", Chunk::Last).await.code, 250);
            envelope(&mut mta, &["r@a.test"]).await;
            assert_eq!(mta.bdat(b"", Chunk::Last).await.code, 250);
            mta.quit().await;
            let texts: Vec<_> = world.mx[0].messages().iter().map(Message::text).collect();
            assert_eq!(texts, ["text\r\n", ""], "{via:?} {dialect:?}");
        }
    }
}

#[tokio::test]
async fn a_last_line_without_an_end_gets_one_only_where_dots_end_the_data() {
    for (via, text) in [(Via::Bdat, "no end"), (Via::Data, "no end\r\n")] {
        let world = World::one(script(via)).await;
        let mut mta = ready(&world, Dialect::Smtp, &["r@a.test"]).await;
        assert_eq!(mta.bdat(b"no end", Chunk::Last).await.code, 250);
        assert_eq!(world.mx[0].message().text(), text);
    }
}

#[tokio::test]
async fn a_chunk_out_of_place_is_swallowed_whole() {
    let looks_like_commands = b"MAIL FROM:<x@b.test>\r\nQUIT\r\n";
    for dialect in BOTH {
        let world = World::one(script(Via::Bdat)).await;
        let mut mta = world.mta(dialect).await;
        let reply = mta.bdat(looks_like_commands, Chunk::Last).await;
        assert_eq!(status(&reply), "503 5.5.1", "{dialect:?}");
        mta.command("MAIL FROM:<s@b.test>").await;
        let reply = mta.bdat(looks_like_commands, Chunk::More).await;
        let no_recipient = if dialect == Dialect::Lmtp { 503 } else { 554 };
        assert_eq!(reply.code, no_recipient, "{dialect:?}");
        assert_eq!(mta.command("RSET").await.code, 250);
        goes_on(mta).await;
        assert_eq!(world.mx[0].message().text(), "next\r\n");
    }
}

#[tokio::test]
async fn once_chunks_have_begun_only_chunks_go_on() {
    let world = World::one(script(Via::Bdat)).await;
    let mut mta = ready(&world, Dialect::Smtp, &["r@a.test"]).await;
    mta.bdat(b"one\r\n", Chunk::More).await;
    for line in ["DATA", "RCPT TO:<q@a.test>", "MAIL FROM:<x@b.test>"] {
        assert_eq!(status(&mta.command(line).await), "503 5.5.1", "{line}");
    }
    assert_eq!(mta.command("NOOP").await.code, 250);
    assert_eq!(mta.bdat(b"two\r\n", Chunk::Last).await.code, 250);
    let message = world.mx[0].message();
    assert_eq!(message.text(), "one\r\ntwo\r\n");
    assert_eq!(message.recipients, ["r@a.test"]);
}

#[tokio::test]
async fn rset_or_quit_after_a_chunk_leaves_no_message_behind() {
    for via in KINDS {
        for dialect in BOTH {
            let world = World::one(script(via)).await;
            let mut mta = ready(&world, dialect, &["r@a.test"]).await;
            mta.bdat(b"half\r\n", Chunk::More).await;
            assert_eq!(mta.command("RSET").await.code, 250);
            envelope(&mut mta, &["r@a.test"]).await;
            mta.bdat(b"half again\r\n", Chunk::More).await;
            mta.quit().await;
            world.mx[0].idle().await;
            let record = world.mx[0].record();
            let seen = (record.messages.len(), record.partials.len());
            assert_eq!(seen, (0, 2), "{via:?} {dialect:?}");
        }
    }
}

#[tokio::test]
async fn an_mta_that_leaves_leaves_no_message_behind() {
    for via in KINDS {
        for dialect in BOTH {
            for rest in ["BDAT 100 LAST\r\nhalf a chunk\r\n", "BDAT 3\r\nabc"] {
                let world = World::one(script(via)).await;
                let mut mta = ready(&world, dialect, &["r@a.test"]).await;
                mta.bdat(b"one\r\n", Chunk::More).await;
                mta.send(rest.as_bytes()).await;
                drop(mta);
                world.mx[0].idle().await;
                let record = world.mx[0].record();
                let seen = (record.messages.len(), record.partials.len());
                assert_eq!(seen, (0, 1), "{via:?} {dialect:?} {rest:?}");
            }
        }
    }
}

#[tokio::test]
async fn over_smtp_an_mx_that_refuses_a_chunk_is_heard_at_once() {
    let full = || reply(452, "4.3.1 disk full");
    let cases = [
        Script {
            bdat: full().into(),
            ..script(Via::Bdat)
        },
        Script {
            data: full().into(),
            ..script(Via::Data)
        },
    ];
    for refusing in cases {
        let world = World::one(refusing.clone()).await;
        let mut mta = ready(&world, Dialect::Smtp, &["r@a.test"]).await;
        let reply = mta.bdat(b"one\r\n", Chunk::More).await;
        assert_eq!(reply.to_string(), "452 4.3.1 disk full");
        // RFC 3030 §2: what was sent behind it is out of place.
        assert_eq!(mta.bdat(b"two\r\n", Chunk::Last).await.code, 503);
        world.mx[0].play(script(Via::Bdat));
        goes_on(mta).await;
        assert_eq!(world.mx[0].message().text(), "next\r\n");
    }
}

#[tokio::test]
async fn over_lmtp_only_the_last_chunk_has_a_reply_for_each_recipient() {
    let cases = [
        Script {
            bdat: reply(452, "4.3.1 disk full").into(),
            ..script(Via::Bdat)
        },
        Script {
            data: reply(452, "4.3.1 disk full").into(),
            ..script(Via::Data)
        },
    ];
    for refusing in cases {
        let world = World::of([("a.test", refusing), ("b.test", script(Via::Bdat))], "").await;
        for to in [
            &["1@a.test", "2@a.test"][..],
            &["1@a.test", "2@b.test", "3@a.test"][..],
        ] {
            let mut mta = ready(&world, Dialect::Lmtp, to).await;
            assert_eq!(mta.bdat(b"one\r\n", Chunk::More).await.code, 250);
            let mut codes = vec![mta.bdat(b"two\r\n", Chunk::Last).await.code];
            for _ in 1..to.len() {
                codes.push(mta.read_reply().await.code);
            }
            let want: Vec<_> = to
                .iter()
                .map(|to| if to.ends_with("a.test") { 452 } else { 250 })
                .collect();
            assert_eq!(codes, want);
            assert_eq!(mta.quit().await.code, 221);
        }
        assert_eq!(world.mx[0].messages().len(), 0);
        assert_eq!(world.mx[1].message().text(), "one\r\ntwo\r\n");
    }
}

#[tokio::test]
async fn an_mx_that_dies_in_mid_chunk_has_accepted_nothing() {
    for via in KINDS {
        for dialect in BOTH {
            let interrupt = Interrupt {
                after: 5,
                act: Act::Reset,
            };
            let dying = Script {
                interrupt: Some(interrupt),
                ..script(via)
            };
            let world = World::one(dying).await;
            let mut mta = ready(&world, dialect, &["r@a.test"]).await;
            let reply = mta.bdat(b"0123456789\r\n", Chunk::Last).await;
            assert_eq!(status(&reply), "451 4.4.2", "{via:?} {dialect:?}");
            world.mx[0].play(script(via));
            goes_on(mta).await;
        }
    }
}

/// Chunks that waxseal itself refuses, and the reply to the one where it shows.
const REFUSED: [(&[&str], &str); 7] = [
    (&["a\nb"], "550 5.6.11"),
    (&["a\rb"], "550 5.6.11"),
    (&["a\r\n.\nb\r\n"], "550 5.6.11"),
    (&["ends in CR\r"], "550 5.6.11"),
    (&["a\r", "b\r\n"], "550 5.6.11"),
    (&["a\r", ""], "550 5.6.11"),
    (
        &["0123456789", "0123456789012345678901234567890"],
        "552 5.3.4",
    ),
];

#[tokio::test]
async fn a_chunk_that_is_refused_ends_the_message_everywhere() {
    for via in KINDS {
        for dialect in BOTH {
            let world = World::with(script(via), "[message]\nmax_size = 40").await;
            for (chunks, want) in REFUSED {
                let mut mta = ready(&world, dialect, &["r@a.test"]).await;
                let (last, first) = chunks.split_last().unwrap();
                for chunk in first {
                    assert_eq!(mta.bdat(chunk.as_bytes(), Chunk::More).await.code, 250);
                }
                let reply = mta.bdat(last.as_bytes(), Chunk::Last).await;
                assert_eq!(status(&reply), want, "{chunks:?} {via:?} {dialect:?}");
                goes_on(mta).await;
            }
            world.mx[0].idle().await;
            let texts: Vec<_> = world.mx[0].messages().iter().map(Message::text).collect();
            assert_eq!(texts, ["next\r\n"; REFUSED.len()], "{via:?} {dialect:?}");
        }
    }
}

#[tokio::test]
async fn a_chunk_that_is_refused_before_the_last_one_has_one_reply() {
    for dialect in BOTH {
        let world = World::one(script(Via::Bdat)).await;
        let mut mta = ready(&world, dialect, &["1@a.test", "2@a.test"]).await;
        let reply = mta.bdat(b"bare\nnewline", Chunk::More).await;
        assert_eq!(status(&reply), "550 5.6.11", "{dialect:?}");
        assert_eq!(mta.bdat(b"rest\r\n", Chunk::Last).await.code, 503);
        goes_on(mta).await;
    }
}
