//! Small messages of DATA, which go to an MX with CHUNKING in one chunk, where the operator wants that.

use super::{KINDS, envelope, goes_on, ready, script};
use crate::support::mta::Dialect;
use crate::support::mx::{Act, Answer, Interrupt, Message, Script, Via, last_reply, reply};
use crate::support::world::{BODY, BOTH, World, fate, status};

const WANTED: &str = "mx = { chunking = true }";
const KEPT: &str = "mx = { chunking = true }\npool = { idle = '1h' }";

/// The most that is kept of a message, as it comes.
const MOST: usize = 64 * 1024;

/// One that says nothing to DATA: whoever asks it waits for ever.
fn deaf_to_data() -> Script {
    Script {
        data: Act::Stall.into(),
        ..script(Via::Bdat)
    }
}

/// A message of so many octets on its way, dots and end included.
fn sized(octets: usize) -> Vec<u8> {
    let dots = b".\r\n".repeat(100);
    let rest = octets - b"..\r\n".len() * 100 - b"\r\n.\r\n".len();
    [dots, vec![b'x'; rest], b"\r\n".to_vec()].concat()
}

#[tokio::test]
async fn it_goes_without_data_and_the_wait_for_its_354() {
    for dialect in BOTH {
        let world = World::with(deaf_to_data(), WANTED).await;
        let sent = world
            .deliver(dialect, &["r@a.test", "q@a.test"], BODY)
            .await;
        assert_eq!(sent.data.code, 354);
        assert!(sent.end_codes().iter().all(|code| *code == 250));
        let message = world.mx[0].message();
        assert_eq!(message.data, BODY);
        assert_eq!((message.via, message.reply), (Via::Bdat, Some(250)));
        let [.., last] = &world.mx[0].lines()[..4] else {
            panic!("four lines");
        };
        assert!(last.starts_with("RCPT TO:<q@a.test>"));
        assert_eq!(world.mx[0].lines()[4], format!("BDAT {} LAST", BODY.len()));
    }
}

#[tokio::test]
async fn without_the_option_it_goes_with_data() {
    let world = World::one(script(Via::Bdat)).await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(world.mx[0].message().via, Via::Data);
}

#[tokio::test]
async fn every_octet_arrives_and_none_of_the_dots_that_were_added() {
    let bodies: [&[u8]; 8] = [
        b"",
        b"\r\n",
        b".\r\n",
        b"..\r\n.\r\n...\r\n",
        b".a\r\n\r\n.\r\n\r\n.",
        b"a.\r\n.b\r\n",
        b"\xff\x80\0.\r\n.\0\r\n",
        b"Subject: x\r\n\r\n.\r\nBDAT 3 LAST\r\nQUIT\r\n",
    ];
    let world = World::with(deaf_to_data(), WANTED).await;
    for dialect in BOTH {
        for body in bodies {
            let mut mta = ready(&world, dialect, &["r@a.test"]).await;
            assert_eq!(mta.command("DATA").await.code, 354);
            assert_eq!(mta.data(body).await.code, 250, "{}", body.escape_ascii());
            mta.quit().await;
        }
    }
    let whole = |body: &[u8]| match body {
        [] | [.., b'\r', b'\n'] => body.to_vec(),
        _ => [body, b"\r\n"].concat(),
    };
    let wanted: Vec<_> = bodies
        .iter()
        .chain(&bodies)
        .map(|body| whole(body))
        .collect();
    let messages = world.mx[0].messages();
    let came: Vec<_> = messages.iter().map(|message| &message.data).collect();
    assert_eq!(came, wanted.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn octets_may_come_one_by_one() {
    let world = World::with(deaf_to_data(), WANTED).await;
    let mut mta = ready(&world, Dialect::Smtp, &["r@a.test"]).await;
    assert_eq!(mta.command("DATA").await.code, 354);
    for octet in b"..one\r\n..\r\n.\r" {
        mta.send(&[*octet]).await;
    }
    mta.send(b"\n").await;
    assert_eq!(mta.read_reply().await.code, 250);
    assert_eq!(world.mx[0].message().text(), ".one\r\n.\r\n");
}

#[tokio::test]
async fn a_larger_message_goes_with_data() {
    let world = World::with(script(Via::Bdat), WANTED).await;
    let sizes = [MOST - 1, MOST, MOST + 1, 3 * MOST, 1 << 20];
    for dialect in BOTH {
        for size in sizes {
            let sent = world.deliver(dialect, &["r@a.test"], &sized(size)).await;
            assert_eq!(sent.end_codes(), [250]);
        }
    }
    let small = |size: usize| if size <= MOST { Via::Bdat } else { Via::Data };
    for (message, size) in world.mx[0]
        .messages()
        .iter()
        .zip(sizes.iter().chain(&sizes))
    {
        assert!(message.data == sized(*size), "{size}");
        assert_eq!(message.via, small(*size), "{size}");
    }
    assert_eq!(world.mx[0].messages().len(), 2 * sizes.len());
}

#[tokio::test]
async fn one_that_is_announced_as_large_goes_with_data_together_with_its_recipients() {
    let world = World::with(script(Via::Bdat), WANTED).await;
    for (size, via) in [(MOST, Via::Bdat), (MOST + 1, Via::Data)] {
        let mut mta = world.mta(Dialect::Smtp).await;
        let mail = format!("MAIL FROM:<s@b.test> SIZE={size}");
        let replies = mta.pipeline(&[&mail, "RCPT TO:<r@a.test>", "DATA"]).await;
        assert_eq!(replies[2].code, 354);
        assert_eq!(world.mx[0].heard("DATA"), usize::from(via == Via::Data));
        assert_eq!(mta.data(BODY).await.code, 250);
        assert_eq!(world.mx[0].messages().last().unwrap().via, via);
    }
}

#[tokio::test]
async fn a_fan_out_speaks_to_each_mx_in_its_own_words() {
    for (size, first) in [(1000, Via::Bdat), (5 * MOST, Via::Data)] {
        let domains = ["a.test", "b.test", "c.test"];
        let scripts = [Via::Bdat, Via::Data, Via::Bdat].map(script);
        let mut scripts = scripts.into_iter();
        let world = World::of(domains.map(|to| (to, scripts.next().unwrap())), WANTED).await;
        let to = ["1@a.test", "2@b.test", "3@c.test", "4@a.test"];
        let body = sized(size);
        let sent = world.deliver(Dialect::Lmtp, &to, &body).await;
        assert_eq!(sent.end_codes(), [250; 4]);
        for (mx, via) in world.mx.iter().zip([first, Via::Data, first]) {
            assert!(mx.message().data == body);
            assert_eq!(mx.message().via, via);
        }
    }
}

#[tokio::test]
async fn what_the_mx_says_to_it_is_the_reply() {
    for (size, refusing) in [
        (
            1000,
            Script {
                end_of_data: reply(554, "5.7.1 no").into(),
                ..script(Via::Bdat)
            },
        ),
        (
            2 * MOST,
            Script {
                data: reply(554, "5.7.1 no").into(),
                ..script(Via::Bdat)
            },
        ),
        (
            2 * MOST,
            Script {
                end_of_data: reply(554, "5.7.1 no").into(),
                ..script(Via::Bdat)
            },
        ),
    ] {
        for dialect in BOTH {
            let world = World::with(refusing.clone(), WANTED).await;
            let mut mta = ready(&world, dialect, &["r@a.test"]).await;
            assert_eq!(mta.command("DATA").await.code, 354);
            let said = mta.data(&sized(size)).await;
            assert_eq!(said.to_string(), "554 5.7.1 no", "{size}");
            world.mx[0].play(script(Via::Bdat));
            goes_on(mta).await;
        }
    }
}

#[tokio::test]
async fn an_mx_that_goes_has_accepted_nothing() {
    // While the MTA has the word; in the middle of the chunk; instead of its reply.
    let gone = [
        Script {
            rcpt: last_reply(250, "2.1.5 OK").into(),
            ..script(Via::Bdat)
        },
        Script {
            interrupt: Some(Interrupt {
                after: 5,
                act: Act::Reset,
            }),
            ..script(Via::Bdat)
        },
        Script {
            end_of_data: Act::Close.into(),
            ..script(Via::Bdat)
        },
    ];
    for dying in gone {
        for dialect in BOTH {
            let world = World::with(dying.clone(), WANTED).await;
            let mut mta = ready(&world, dialect, &["r@a.test"]).await;
            assert_eq!(mta.command("DATA").await.code, 354);
            let said = mta.data(&sized(1000)).await;
            assert_eq!(status(&said), "451 4.4.2", "{said}");
            world.mx[0].play(script(Via::Bdat));
            goes_on(mta).await;
        }
    }
}

#[tokio::test]
async fn content_that_is_refused_never_reaches_the_mx_whose_connection_goes_on() {
    let world = World::with(deaf_to_data(), KEPT).await;
    for wire in [
        &b"a\nb\r\n.\r\n"[..],
        b"a\r\n.\nb\r\n.\r\n",
        b"a\rb\r\n.\r\n",
    ] {
        let mut mta = ready(&world, Dialect::Smtp, &["r@a.test"]).await;
        assert_eq!(mta.command("DATA").await.code, 354);
        mta.send(wire).await;
        assert_eq!(status(&mta.read_reply().await), "550 5.6.11");
        envelope(&mut mta, &["r@a.test"]).await;
        mta.command("DATA").await;
        // The MTA goes in the middle of the next one.
        mta.send(b"half\r\n").await;
        drop(mta);
    }
    let sent = world.deliver(Dialect::Smtp, &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    let record = world.mx[0].record();
    assert!(record.partials.is_empty());
    assert_eq!(world.mx[0].message().data, BODY);
}

#[tokio::test]
async fn newlines_that_are_made_whole_go_the_same_way() {
    let config = format!("{WANTED}\nmessage = {{ bare_newline = 'normalise' }}");
    let world = World::with(deaf_to_data(), &config).await;
    let mut mta = ready(&world, Dialect::Smtp, &["r@a.test"]).await;
    assert_eq!(mta.command("DATA").await.code, 354);
    mta.send(b"a\n.\nb\r..c\r\n..d\r\n.\r\n").await;
    assert_eq!(mta.read_reply().await.code, 250);
    assert_eq!(world.mx[0].message().text(), "a\r\n.\r\nb\r\n.c\r\n.d\r\n");
}

#[tokio::test]
async fn the_connection_carries_the_next_message() {
    let world = World::with(deaf_to_data(), KEPT).await;
    for _ in 0..3 {
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
    assert_eq!(world.mx[0].connections(), 1);
    let texts: Vec<_> = world.mx[0]
        .messages()
        .into_iter()
        .map(|m: Message| m.data)
        .collect();
    assert_eq!(texts, [BODY; 3]);
}

#[tokio::test]
async fn an_mx_without_chunking_is_asked_as_ever() {
    let refusing = Script {
        data: Answer::in_turn([reply(452, "4.3.1 disk full"), reply(354, "Go ahead")]),
        ..script(KINDS[1])
    };
    let world = World::with(refusing, WANTED).await;
    let refused = world.deliver(Dialect::Smtp, &["r@a.test"], BODY).await;
    assert_eq!(refused.data.to_string(), "452 4.3.1 disk full");
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(world.mx[0].message().via, Via::Data);
}
