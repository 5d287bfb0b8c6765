//! An MX that says no is heard: its code, its enhanced code, every line, at the right place.

use crate::support::mta::{Dialect, Reply};
use crate::support::mx::{Act, Answer, Script, reply};
use crate::support::world::{BODY, BOTH, World, fate, status, statuses};

/// Where an MX says no.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Mail,
    Rcpt,
    Data,
    End,
}

const PLACES: [At; 4] = [At::Mail, At::Rcpt, At::Data, At::End];

fn script(at: At, act: Act) -> Script {
    let mut script = Script::default();
    let answer = Answer::from(act);
    match at {
        At::Mail => script.mail = answer,
        At::Rcpt => script.rcpt = answer,
        At::Data => script.data = answer,
        At::End => script.end_of_data = answer,
    }
    script
}

const WORDS: [(u16, &str); 4] = [
    (451, "4.7.1 greylisted, come back later"),
    (452, "no enhanced code here"),
    (
        550,
        "5.7.1 no\n5.7.1 and why: gr\u{fc}n\n5.7.1 see https://mx.test/",
    ),
    (571, "4.1.1 the classes differ"),
];

#[tokio::test]
async fn what_the_mx_says_passes_as_it_is() {
    for (code, text) in WORDS {
        for at in PLACES {
            let world = World::one(script(at, reply(code, text))).await;
            for dialect in BOTH {
                let sent = world.deliver(dialect, &["r@a.test"], BODY).await;
                let what = format!("{code} at {at:?} {dialect:?}: {sent:?}");
                assert_eq!(fate(&sent).to_string(), format!("{code} {text}"), "{what}");
                assert_eq!(sent.mail.code, 250, "{what}");
            }
            assert_eq!(
                world.mx[0].messages().len(),
                if at == At::End { 2 } else { 0 }
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_is_heard_where_the_mta_expects_it() {
    let no = || reply(550, "5.7.1 no");
    for (at, dialect, codes) in [
        (At::Mail, Dialect::Smtp, [550, 554]),
        (At::Rcpt, Dialect::Smtp, [550, 554]),
        (At::Data, Dialect::Smtp, [250, 550]),
        (At::End, Dialect::Smtp, [250, 354]),
        // RFC 2033 §4.2: DATA without recipients is 503, and every recipient has a reply of its own.
        (At::Mail, Dialect::Lmtp, [550, 503]),
        (At::Rcpt, Dialect::Lmtp, [550, 503]),
        (At::Data, Dialect::Lmtp, [250, 354]),
        (At::End, Dialect::Lmtp, [250, 354]),
    ] {
        let world = World::one(script(at, no())).await;
        let sent = world.deliver(dialect, &["r@a.test"], BODY).await;
        let what = format!("{at:?} {dialect:?}");
        assert_eq!([sent.rcpt[0].code, sent.data.code], codes, "{what}");
        let end = if codes[1] == 354 { vec![550] } else { vec![] };
        assert_eq!(sent.end_codes(), end, "{what}");
    }
}

#[tokio::test]
async fn a_session_goes_on_after_a_refusal() {
    for at in PLACES {
        for dialect in BOTH {
            let world = World::one(script(at, reply(451, "4.3.0 later"))).await;
            let mut mta = world.mta(dialect).await;
            let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
            assert_eq!(fate(&sent).code, 451);
            assert_eq!(mta.command("RSET").await.code, 250);
            world.mx[0].play(Script::default());
            let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
            assert_eq!(sent.end_codes(), [250], "{at:?} {dialect:?}");
            mta.quit().await;
        }
    }
}

/// Refuses `2@a.test` with two lines and `3@a.test` for now.
fn picky() -> Script {
    Script {
        rcpt: Answer::by_address([
            ("2@a.test", reply(550, "5.1.1 No such user\n5.1.1 here")),
            ("3@a.test", reply(452, "4.2.2 Mailbox full")),
        ]),
        ..Script::default()
    }
}

const FOUR: [&str; 4] = ["1@a.test", "2@a.test", "3@a.test", "4@a.test"];

fn said(replies: &[Reply]) -> Vec<String> {
    replies.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn refused_recipients_among_good_ones_hear_their_own_reply() {
    for (dialect, ends) in [(Dialect::Smtp, 1), (Dialect::Lmtp, 2)] {
        let world = World::one(picky()).await;
        let sent = world.deliver(dialect, &FOUR, BODY).await;
        assert_eq!(
            said(&sent.rcpt),
            [
                "250 2.0.0 OK",
                "550 5.1.1 No such user\n5.1.1 here",
                "452 4.2.2 Mailbox full",
                "250 2.0.0 OK"
            ]
        );
        assert_eq!(sent.end_codes(), vec![250; ends], "{dialect:?}");
        assert_eq!(world.mx[0].message().recipients, ["1@a.test", "4@a.test"]);
    }
}

#[tokio::test]
async fn recipients_asked_one_by_one_share_one_connection() {
    for dialect in BOTH {
        let world = World::one(picky()).await;
        let mut mta = world.mta(dialect).await;
        mta.command("MAIL FROM:<s@b.test>").await;
        let mut replies = Vec::new();
        for to in FOUR {
            replies.push(mta.command(&format!("RCPT TO:<{to}>")).await);
        }
        assert_eq!(
            statuses(&replies),
            ["250 2.0.0", "550 5.1.1", "452 4.2.2", "250 2.0.0"]
        );
        assert_eq!(mta.command("DATA").await.code, 354);
        assert_eq!(mta.data(BODY).await.code, 250);
        assert_eq!(world.mx[0].connections(), 1);
        assert_eq!(world.mx[0].message().recipients, ["1@a.test", "4@a.test"]);
    }
}

#[tokio::test]
async fn no_lmtp_recipient_is_acknowledged_twice_or_not_at_all() {
    let world = World::one(Script::default()).await;
    let same = ["r@a.test", "r@a.test", "q@a.test"];
    let sent = world.deliver(Dialect::Lmtp, &same, BODY).await;
    // RFC 2033 §4.2: one reply for each RCPT, be it the same address.
    assert_eq!(sent.end_codes(), [250, 250, 250]);
}

#[tokio::test]
async fn a_reply_that_fits_no_question_is_never_an_acceptance() {
    let cases = [
        (At::Mail, reply(354, "go ahead")),
        (At::Rcpt, reply(354, "go ahead")),
        (At::Data, reply(250, "2.0.0 Ok")),
        (At::End, reply(354, "go ahead")),
        (At::Rcpt, Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec())),
        (At::End, Act::Send(b"250-one\r\n550 two\r\n".to_vec())),
        (At::Data, Act::EndlessLine),
        (At::End, Act::EndlessLine),
    ];
    for (at, act) in cases {
        let world = World::one(script(at, act.clone())).await;
        for dialect in BOTH {
            let sent = world.deliver(dialect, &["r@a.test"], BODY).await;
            let what = format!("{at:?} {dialect:?} {sent:?}");
            assert_eq!(status(&fate(&sent)), "451 4.5.0", "{what}");
        }
    }
}
