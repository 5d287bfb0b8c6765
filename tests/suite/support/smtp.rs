//! `support::mx` and `support::mta` talk to each other, in plaintext.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{
    ca::sha256,
    mta::{Chunk, Mta},
    mx::{
        Act, Answer, EndOfData, Interrupt, Keep, Mx, Script, Via, capabilities, last_reply, reply,
    },
    net::loopback,
};

async fn mx(script: Script) -> Mx {
    Mx::start(&loopback(), 0, script).await
}

const FROM: &str = "ann@example.com";
const TO: &str = "bob@example.test";

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let mx = mx(Script::default()).await;
    let mut mta = Mta::smtp(mx.address()).await;
    let body = b"Subject: dots\r\n\r\n.one\r\n..two\r\nbare\n.\r\nend\r\n";
    assert_eq!(
        mta.deliver(FROM, &[TO, "eve@example.test"], body)
            .await
            .code(),
        250
    );
    assert_eq!(mta.quit().await.enhanced(), Some("2.0.0"));
    mx.idle().await;

    let message = mx.message();
    assert_eq!(message.data, body);
    assert_eq!(
        message.raw_data,
        b"Subject: dots\r\n\r\n..one\r\n...two\r\nbare\n.\r\nend\r\n"
    );
    assert_eq!(
        (message.helo.as_str(), message.from.as_str()),
        ("mta.test", FROM)
    );
    assert_eq!(message.recipients, [TO, "eve@example.test"]);
    assert_eq!(
        (message.via, message.tls, message.reply),
        (Via::Data, false, Some(250))
    );
    assert_eq!(
        (message.length, message.sha256),
        (body.len() as u64, sha256(body))
    );
    assert_eq!(mx.heard("rcpt"), 2);
    assert_eq!(mx.lines().last().unwrap(), "QUIT");
}

#[tokio::test]
async fn capabilities_and_name_are_those_of_the_script() {
    let script = Script {
        name: "mx9.test".to_owned(),
        capabilities: capabilities(&["SIZE 1000", "DSN"]),
        ..Script::default()
    };
    let mx = mx(script).await;
    let mut mta = Mta::connect(mx.address()).await;
    assert_eq!(mta.read_reply().await.text(), "mx9.test ESMTP");
    let hello = mta.hello().await;
    assert_eq!(hello.lines, ["mx9.test", "SIZE 1000", "DSN"]);
    assert!(hello.offers("SIZE") && !hello.offers("STARTTLS"));
}

#[tokio::test]
async fn an_mx_without_ehlo_takes_helo() {
    let mx = mx(Script {
        ehlo: Some(reply(502, "what?").into()),
        ..Script::default()
    })
    .await;
    let mut mta = Mta::connect(mx.address()).await;
    mta.read_reply().await;
    assert_eq!(mta.hello().await.code, 502);
    assert_eq!(mta.command("MAIL FROM:<>").await.code, 503);
    assert_eq!(mta.command("HELO old.test").await.code, 250);
    assert_eq!(mta.deliver("", &[TO], b"x\r\n").await.code(), 250);
    assert_eq!(mx.message().helo, "old.test");
}

#[tokio::test]
async fn greetings_go_wrong_in_every_way() {
    let mx = mx(Script {
        greeting: Some(Answer::in_turn([
            reply(220, "one\ntwo"),
            last_reply(421, "busy"),
            Act::Drip(b"220 slow\r\n".to_vec(), Duration::from_millis(1)),
            Act::Send(b"\xff\xfe".to_vec()),
            Act::EndlessLine,
            Act::Reset,
            Act::Close,
        ])),
        ..Script::default()
    })
    .await;
    assert_eq!(
        Mta::connect(mx.address()).await.read_reply().await.lines,
        ["one", "two"]
    );
    assert_eq!(
        Mta::connect(mx.address()).await.read_to_end().await,
        b"421 busy\r\n"
    );
    assert_eq!(
        Mta::connect(mx.address()).await.read_reply().await.text(),
        "slow"
    );
    drop(Mta::connect(mx.address()).await);
    drop(Mta::connect(mx.address()).await);
    assert_eq!(Mta::connect(mx.address()).await.read_to_end().await, b"");
    assert_eq!(Mta::connect(mx.address()).await.read_to_end().await, b"");
    mx.idle().await;
    assert_eq!(mx.connections(), 7);
}

#[tokio::test]
async fn each_recipient_gets_its_own_answer() {
    let rcpt = Answer::by_address([(TO, reply(550, "5.1.1 No such user"))]);
    let mx = mx(Script {
        rcpt,
        ..Script::default()
    })
    .await;
    let mut mta = Mta::smtp(mx.address()).await;
    let delivery = mta.deliver(FROM, &[TO, "eve@example.test"], b"x\r\n").await;
    assert_eq!([delivery.rcpt[0].code, delivery.rcpt[1].code], [550, 250]);
    assert_eq!(mx.message().recipients, ["eve@example.test"]);
    assert_eq!(mta.deliver(FROM, &[TO], b"x\r\n").await.data.code, 503);
}

#[tokio::test]
async fn a_refused_message_is_recorded_with_its_reply() {
    let mx = mx(Script {
        end_of_data: reply(451, "4.3.0 later").into(),
        ..Script::default()
    })
    .await;
    let delivery = Mta::smtp(mx.address())
        .await
        .deliver(FROM, &[TO], b"x\r\n")
        .await;
    assert_eq!(delivery.end_codes(), [451]);
    assert_eq!(mx.message().reply, Some(451));
}

#[tokio::test]
async fn chunks_make_one_message_of_raw_octets() {
    let mx = mx(Script::default()).await;
    let mut mta = Mta::smtp(mx.address()).await;
    mta.pipeline(&["MAIL FROM:<> BODY=BINARYMIME SIZE=9", "RCPT TO:<b@b.test>"])
        .await;
    assert_eq!(mta.bdat(b".\r\n\0\n", Chunk::More).await.code, 250);
    assert_eq!(mx.messages().len(), 0);
    assert_eq!(mta.bdat(b"\r\n.\r\n", Chunk::Last).await.code, 250);
    let message = mx.message();
    assert_eq!(
        (message.via, message.data.as_slice()),
        (Via::Bdat, &b".\r\n\0\n\r\n.\r\n"[..])
    );
    assert_eq!(message.from_parameters, "BODY=BINARYMIME SIZE=9");
    assert_eq!(mta.bdat(b"more", Chunk::Last).await.code, 503);
}

#[tokio::test]
async fn chunks_without_a_last_one_are_no_message() {
    let mx = mx(Script::default()).await;
    let mut mta = Mta::smtp(mx.address()).await;
    for end in ["RSET", "QUIT"] {
        mta.pipeline(&["MAIL FROM:<>", "RCPT TO:<b@b.test>"]).await;
        mta.bdat(b"half", Chunk::More).await;
        mta.command(end).await;
    }
    mx.idle().await;
    assert_eq!((mx.messages().len(), mx.partials().len()), (0, 2));
}

/// A peer that says what it is told to, whatever it hears.
async fn parrot(replies: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(replies.as_bytes()).await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    address
}

#[tokio::test]
async fn lmtp_replies_once_for_each_accepted_recipient() {
    let peer = parrot(
        "220 lmtp\r\n250 lmtp\r\n250 from\r\n250 a\r\n550 b\r\n250 c\r\n354 go\r\n\
         250 a\r\n451-c\r\n451 later\r\n",
    )
    .await;
    let mut mta = Mta::lmtp(peer).await;
    let delivery = mta
        .deliver(FROM, &["a@a.test", "b@b.test", "c@c.test"], b"x")
        .await;
    assert_eq!(delivery.rcpt[1].code, 550);
    assert_eq!(delivery.end_codes(), [250, 451]);
    assert_eq!(delivery.end[1].lines, ["c", "later"]);
}

/// A body in which a lenient server sees an end, and a second message behind it.
fn smuggling(end: &str) -> Vec<u8> {
    let smuggled =
        "MAIL FROM:<forged@bank.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nfooled\r\n";
    format!("Subject: a\r\n\r\ninnocent{end}{smuggled}").into_bytes()
}

#[tokio::test]
async fn only_a_lenient_mx_is_fooled_by_smuggling() {
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r"] {
        for (ends, messages) in [(EndOfData::Strict, 1), (EndOfData::Lenient, 2)] {
            let mx = mx(Script {
                ends,
                ..Script::default()
            })
            .await;
            let mut mta = Mta::smtp(mx.address()).await;
            mta.pipeline(&["MAIL FROM:<a@example.com>", "RCPT TO:<b@b.test>", "DATA"])
                .await;
            mta.send(&[smuggling(end).as_slice(), b".\r\n"].concat())
                .await;
            assert_eq!(mta.read_reply().await.code, 250);
            mta.quit_quietly().await;
            assert_eq!(
                mx.messages().len(),
                messages,
                "{ends:?} {}",
                end.escape_debug()
            );
        }
    }
}

#[tokio::test]
async fn an_mx_that_dies_during_data_has_received_nothing() {
    let interrupt = Some(Interrupt {
        after: 10,
        act: Act::Close,
    });
    let mx = mx(Script {
        interrupt,
        ..Script::default()
    })
    .await;
    let mut mta = Mta::smtp(mx.address()).await;
    mta.pipeline(&["MAIL FROM:<>", "RCPT TO:<b@b.test>", "DATA"])
        .await;
    mta.send(b"0123456789abcdef\r\n.\r\n").await;
    assert_eq!(mta.read_to_end().await, b"");
    mx.idle().await;
    assert_eq!(mx.messages().len(), 0);
    assert_eq!(mx.partials()[0].data, b"0123456789");
}

#[tokio::test]
async fn an_mx_may_stop_reading_during_data_or_say_no_early() {
    let interrupt = |act| Some(Interrupt { after: 4, act });
    let mx = mx(Script {
        interrupt: interrupt(Act::Stall),
        ..Script::default()
    })
    .await;
    let mut mta = Mta::smtp(mx.address()).await;
    mta.pipeline(&["MAIL FROM:<>", "RCPT TO:<b@b.test>", "DATA"])
        .await;
    mta.send(b"0123456789\r\n.\r\n").await;
    mx.until("a partial message", |record| !record.partials.is_empty())
        .await;
    assert_eq!(
        (mx.partials()[0].text().as_str(), mx.messages().len()),
        ("0123", 0)
    );

    mx.play(Script {
        interrupt: interrupt(last_reply(552, "too big")),
        ..Script::default()
    });
    let delivery = Mta::smtp(mx.address())
        .await
        .deliver(FROM, &[TO], b"0123456789")
        .await;
    assert_eq!((delivery.code(), mx.messages().len()), (552, 0));
}

#[tokio::test]
async fn an_mta_that_leaves_during_data_leaves_a_partial_message() {
    let mx = mx(Script::default()).await;
    let mut mta = Mta::smtp(mx.address()).await;
    mta.pipeline(&["MAIL FROM:<>", "RCPT TO:<b@b.test>", "DATA"])
        .await;
    mta.send(b"half a li").await;
    drop(mta);
    mx.idle().await;
    assert_eq!((mx.messages().len(), mx.partials().len()), (0, 1));
    assert_eq!(mx.partials()[0].text(), "half a li");
}

#[tokio::test]
async fn of_a_huge_message_only_hash_and_length_stay() {
    let mx = mx(Script {
        keep: Keep::HashAndLength,
        ..Script::default()
    })
    .await;
    let mut mta = Mta::smtp(mx.address()).await;
    mta.pipeline(&["MAIL FROM:<>", "RCPT TO:<b@b.test>", "DATA"])
        .await;
    let block = b"0123456789\r\n".repeat(10_000);
    for _ in 0..100 {
        mta.send(&block).await;
    }
    assert_eq!(mta.data(b"").await.code, 250);
    let message = mx.message();
    assert_eq!((message.length, message.data.len()), (12_000_000, 0));
    assert_eq!(message.sha256, sha256(&block.repeat(100)));
}

#[tokio::test]
async fn answers_may_close_stall_or_change_with_time() {
    let mail = Answer::in_turn([reply(451, "4.7.1 greylisted"), reply(250, "OK")]);
    let mx = mx(Script {
        mail,
        data: Act::Close.into(),
        ..Script::default()
    })
    .await;
    let mut mta = Mta::smtp(mx.address()).await;
    assert_eq!(mta.command("MAIL FROM:<a@example.com>").await.code, 451);
    assert_eq!(mta.command("RSET").await.code, 250);
    let mut mta = Mta::smtp(mx.address()).await;
    assert_eq!(mta.command("MAIL FROM:<a@example.com>").await.code, 250);
    assert_eq!(mta.command("RCPT TO:<b@b.test>").await.code, 250);
    mta.send(b"DATA\r\n").await;
    assert_eq!(mta.read_to_end().await, b"");
}
