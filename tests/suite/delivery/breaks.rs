//! Connections that break: nothing is acknowledged that the MX did not acknowledge, and half a message is
//! never a whole one.

use crate::support::ca::Ca;
use crate::support::mta::Dialect;
use crate::support::mx::{Act, Answer, Interrupt, Script, last_reply, reply};
use crate::support::world::{BODY, BOTH, DELIVERED, World, fate, is, status};

fn in_the_middle(act: Act) -> Script {
    Script {
        interrupt: Some(Interrupt { after: 20, act }),
        ..Script::default()
    }
}

fn at_the_end(act: Act) -> Script {
    Script {
        end_of_data: act.into(),
        ..Script::default()
    }
}

/// A body that fits into no socket buffer.
fn large() -> Vec<u8> {
    b"0123456789abcdef\r\n".repeat(500_000)
}

async fn ends_with(script: Script, body: &[u8], want: &str) {
    for dialect in BOTH {
        let world = World::one(script.clone()).await;
        let sent = world.deliver(dialect, &["r@a.test"], body).await;
        assert_eq!(sent.data.code, 354, "{dialect:?}");
        assert_eq!(status(&sent.end[0]), want, "{dialect:?}: {}", sent.end[0]);
        assert!(is(world.house.metric(DELIVERED).await, 0));
    }
}

#[tokio::test]
async fn an_mx_that_dies_in_the_middle_of_the_content_has_accepted_nothing() {
    for body in [BODY.to_vec(), large()] {
        ends_with(in_the_middle(Act::Close), &body, "451 4.4.2").await;
        ends_with(in_the_middle(Act::Reset), &body, "451 4.4.2").await;
    }
}

#[tokio::test]
async fn an_mx_that_accepts_in_the_middle_has_accepted_nothing() {
    let early = in_the_middle(reply(250, "2.0.0 Ok, whatever it is"));
    ends_with(early, &large(), "451 4.5.0").await;
}

#[tokio::test]
async fn a_421_of_the_mx_does_not_say_that_the_session_with_the_mta_ends() {
    ends_with(
        at_the_end(last_reply(421, "4.3.2 going down")),
        BODY,
        "451 4.3.2",
    )
    .await;
}

#[tokio::test]
async fn an_mx_that_dies_after_the_final_dot_has_accepted_nothing() {
    ends_with(at_the_end(Act::Close), BODY, "451 4.4.2").await;
    ends_with(at_the_end(Act::Reset), BODY, "451 4.4.2").await;
    // Half a reply is none.
    for half in [&b"250 2.0.0 Ok"[..], b"250-2.0.0 Ok\r\n"] {
        let act = Act::SendAndClose(half.to_vec());
        ends_with(at_the_end(act), BODY, "451 4.4.2").await;
    }
}

#[tokio::test]
async fn an_mx_that_never_replies_to_the_final_dot_has_accepted_nothing() {
    let config = "[timeouts]\ndata_end = '200ms'";
    let world = World::with(at_the_end(Act::Stall), config).await;
    for dialect in BOTH {
        let sent = world.deliver(dialect, &["r@a.test"], BODY).await;
        assert_eq!(status(&sent.end[0]), "451 4.4.2", "{dialect:?}");
    }
    assert_eq!(world.mx[0].messages().len(), 2);
    assert!(is(world.house.metric(DELIVERED).await, 0));
}

#[tokio::test]
async fn an_mx_that_refuses_in_the_middle_and_closes_is_heard() {
    for body in [BODY.to_vec(), large()] {
        let act = last_reply(552, "5.3.4 too big for me");
        ends_with(in_the_middle(act), &body, "552 5.3.4").await;
    }
}

#[tokio::test]
async fn an_mx_that_refuses_in_the_middle_and_reads_on_is_heard() {
    ends_with(in_the_middle(reply(554, "5.7.1 spam")), BODY, "554 5.7.1").await;
}

#[tokio::test]
async fn an_mx_that_stops_reading_is_given_up() {
    let config = "[timeouts]\ndata_block = '100ms'";
    let world = World::with(in_the_middle(Act::Stall), config).await;
    let body = large();
    // At once, because waxseal listens for last words for a while.
    let [smtp, lmtp] = BOTH.map(|dialect| world.deliver(dialect, &["r@a.test"], &body));
    let (smtp, lmtp) = tokio::join!(smtp, lmtp);
    assert_eq!(status(&fate(&smtp)), "451 4.4.2");
    assert_eq!(status(&fate(&lmtp)), "451 4.4.2");
}

#[tokio::test]
async fn an_mx_that_dies_before_the_content_defers_the_message() {
    let cases = [
        Script {
            rcpt: Act::Close.into(),
            ..Script::default()
        },
        Script {
            data: Act::Reset.into(),
            ..Script::default()
        },
        Script {
            mail: Act::Close.into(),
            ..Script::default()
        },
    ];
    for script in cases {
        let world = World::one(script).await;
        for dialect in BOTH {
            let sent = world.deliver(dialect, &["r@a.test"], BODY).await;
            assert_eq!(status(&fate(&sent)), "451 4.4.2", "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn recipients_accepted_before_the_mx_died_are_not_acknowledged() {
    for dialect in BOTH {
        let script = Script {
            rcpt: Answer::by_address([("2@a.test", Act::Close)]),
            ..Script::default()
        };
        let world = World::one(script).await;
        let mut mta = world.mta(dialect).await;
        mta.command("MAIL FROM:<s@b.test>").await;
        assert_eq!(mta.command("RCPT TO:<1@a.test>").await.code, 250);
        assert_eq!(
            status(&mta.command("RCPT TO:<2@a.test>").await),
            "451 4.4.2"
        );
        let mut last = mta.command("DATA").await;
        if dialect == Dialect::Lmtp {
            assert_eq!(last.code, 354);
            last = mta.data(BODY).await;
        }
        assert_eq!(status(&last), "451 4.4.2", "{dialect:?}");
        assert_eq!(mta.quit().await.code, 221);
        assert_eq!(world.mx[0].messages().len(), 0);
    }
}

#[tokio::test]
async fn an_mta_that_leaves_in_the_middle_leaves_no_message_behind() {
    let ca = Ca::new("test");
    for tls in [false, true] {
        for dialect in BOTH {
            let script = if tls {
                Script::with_tls(ca.server("mx.a.test"))
            } else {
                Script::default()
            };
            let world = World::one(script).await;
            let mut mta = world.mta(dialect).await;
            mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"])
                .await;
            mta.send(b"half a message\r\n.").await;
            world.mx[0]
                .until("DATA", |record| {
                    record.commands.iter().any(|c| c.line == "DATA")
                })
                .await;
            drop(mta);
            world.mx[0].idle().await;
            let record = world.mx[0].record();
            assert_eq!(record.messages.len(), 0, "{dialect:?} tls {tls}");
            assert_eq!(record.partials.len(), 1);
            assert_eq!(record.commands.last().unwrap().line, "DATA");
        }
    }
}

#[tokio::test]
async fn an_mta_that_leaves_before_data_lets_the_mx_go_politely() {
    for dialect in BOTH {
        let world = World::one(Script::default()).await;
        let mut mta = world.mta(dialect).await;
        mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"])
            .await;
        drop(mta);
        world.mx[0].idle().await;
        assert_eq!(world.mx[0].lines().last().unwrap(), "QUIT");
        assert_eq!(world.mx[0].messages().len(), 0);
    }
}
