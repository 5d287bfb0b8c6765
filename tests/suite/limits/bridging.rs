//! What waxseal offers and the MX lacks: left out where that does no harm, refused where it would.

use crate::support::mta::Dialect;
use crate::support::mx::{Script, capabilities, reply};
use crate::support::world::{BODY, BOTH, World, statuses};

fn offering(keywords: &str) -> Script {
    let keywords: Vec<_> = keywords.split_whitespace().collect();
    Script {
        capabilities: capabilities(&keywords),
        ..Script::default()
    }
}

const ALL: &str = "PIPELINING SIZE 8BITMIME DSN SMTPUTF8";

/// Parameters of MAIL and RCPT, what the MX offers, and what it gets.
struct Passes {
    mail: &'static str,
    rcpt: &'static str,
    offers: &'static str,
    want_mail: &'static str,
    want_rcpt: &'static str,
}

const PASSES: [Passes; 6] = [
    Passes {
        mail: " SIZE=99 BODY=8BITMIME RET=HDRS ENVID=x+2By",
        rcpt: " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;r+40a.test",
        offers: ALL,
        want_mail: " SIZE=99 BODY=8BITMIME RET=HDRS ENVID=x+2By",
        want_rcpt: " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;r+40a.test",
    },
    Passes {
        mail: " SMTPUTF8 BODY=8BITMIME",
        rcpt: "",
        offers: ALL,
        want_mail: " BODY=8BITMIME SMTPUTF8",
        want_rcpt: "",
    },
    Passes {
        mail: " size=99 ret=full envid=x",
        rcpt: " NOTIFY=NEVER",
        offers: "PIPELINING",
        want_mail: "",
        want_rcpt: "",
    },
    Passes {
        mail: " SIZE=99 BODY=7BIT RET=FULL",
        rcpt: " NOTIFY=FAILURE",
        offers: "DSN",
        want_mail: " RET=FULL",
        want_rcpt: " NOTIFY=FAILURE",
    },
    Passes {
        mail: " SIZE=99 BODY=7BIT",
        rcpt: "",
        offers: "SIZE",
        want_mail: " SIZE=99",
        want_rcpt: "",
    },
    Passes {
        mail: "",
        rcpt: "",
        offers: ALL,
        want_mail: "",
        want_rcpt: "",
    },
];

#[tokio::test]
async fn an_mx_gets_the_parameters_that_it_offers_and_no_others() {
    for case in PASSES {
        for dialect in BOTH {
            let world = World::one(offering(case.offers)).await;
            let mut mta = world.mta(dialect).await;
            let mail = format!("MAIL FROM:<s@b.test>{}", case.mail);
            let rcpt = format!("RCPT TO:<r@a.test>{}", case.rcpt);
            let replies = mta.pipeline(&[&mail, &rcpt, "DATA"]).await;
            assert_eq!(replies[2].code, 354, "{mail} {rcpt}: {replies:?}");
            assert_eq!(mta.data(BODY).await.code, 250);
            let lines = world.mx[0].lines();
            let want = [
                "EHLO waxseal.test".to_owned(),
                format!("MAIL FROM:<s@b.test>{}", case.want_mail),
                format!("RCPT TO:<r@a.test>{}", case.want_rcpt),
                "DATA".to_owned(),
            ];
            assert_eq!(lines[..4], want, "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn an_mx_that_knows_only_helo_gets_a_plain_envelope() {
    let script = Script {
        ehlo: Some(reply(502, "what?").into()),
        ..Script::default()
    };
    let world = World::one(script).await;
    let mut mta = world.mta(Dialect::Smtp).await;
    mta.pipeline(&[
        "MAIL FROM:<s@b.test> SIZE=5 RET=FULL",
        "RCPT TO:<r@a.test> NOTIFY=NEVER",
        "DATA",
    ])
    .await;
    assert_eq!(mta.data(BODY).await.code, 250);
    let lines = world.mx[0].lines();
    assert_eq!(lines[2..4], ["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"]);
}

#[tokio::test]
async fn a_message_of_a_kind_that_the_mx_does_not_take_is_refused() {
    for (mail, want) in [
        ("MAIL FROM:<s@b.test> BODY=8BITMIME", "554 5.6.3"),
        ("MAIL FROM:<s@b.test> SMTPUTF8", "553 5.6.7"),
    ] {
        for dialect in BOTH {
            let world = World::one(offering("PIPELINING SIZE DSN")).await;
            let mut mta = world.mta(dialect).await;
            let replies = mta.pipeline(&[mail, "RCPT TO:<r@a.test>"]).await;
            assert_eq!(statuses(&replies), ["250 2.1.0", want], "{dialect:?}");
            mta.quit().await;
            world.mx[0].idle().await;
            assert_eq!(world.mx[0].heard("MAIL"), 0);
            assert_eq!(world.mx[0].lines().last().unwrap(), "QUIT");
        }
    }
}

#[tokio::test]
async fn one_mx_that_lacks_an_extension_leaves_the_others_alone() {
    let world = World::of(
        [("a.test", offering(ALL)), ("b.test", offering("SIZE"))],
        "",
    )
    .await;
    let mut mta = world.mta(Dialect::Lmtp).await;
    let replies = mta
        .pipeline(&[
            "MAIL FROM:<s@b.test> BODY=8BITMIME",
            "RCPT TO:<r@b.test>",
            "RCPT TO:<r@a.test>",
            "DATA",
        ])
        .await;
    let want = ["250 2.1.0", "554 5.6.3", "250 2.1.5", "354"];
    assert_eq!(statuses(&replies), want);
    assert_eq!(mta.data(b"gr\xc3\xbc\xc3\x9fe\r\n").await.code, 250);
    assert_eq!(mta.quit().await.code, 221);
    assert_eq!(world.mx[0].message().data, b"gr\xc3\xbc\xc3\x9fe\r\n");
}

#[tokio::test]
async fn what_is_not_offered_is_not_taken() {
    let world = World::one(Script::default()).await;
    for dialect in BOTH {
        let mut mta = world.mta(dialect).await;
        let replies = mta
            .pipeline(&[
                "MAIL FROM:<s@b.test> BODY=BINARYMIME",
                "MAIL FROM:<jö@b.test>",
                "MAIL FROM:<s@b.test>",
                "RCPT TO:<jö@a.test>",
                "RCPT TO:<r@bücher.test>",
            ])
            .await;
        assert_eq!(
            statuses(&replies),
            [
                "501 5.6.1",
                "553 5.6.7",
                "250 2.1.0",
                "553 5.6.7",
                "553 5.6.7"
            ]
        );
    }
    assert_eq!(world.mx[0].connections(), 0);
}
