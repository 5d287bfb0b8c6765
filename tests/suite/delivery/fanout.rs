//! Several recipient domains: LMTP carries them all at once, SMTP one after the other.

use crate::support::mta::Dialect;
use crate::support::mx::{Act, Answer, Interrupt, Script, reply};
use crate::support::world::{BODY, World, statuses};

const DOMAINS: [&str; 5] = ["a.test", "b.test", "c.test", "d.test", "e.test"];
const EACH: [&str; 5] = ["r@a.test", "r@b.test", "r@c.test", "r@d.test", "r@e.test"];

async fn five(script: impl Fn(&str) -> Script) -> World<5> {
    Box::pin(World::of(
        DOMAINS.map(|domain| (domain, script(domain))),
        "",
    ))
    .await
}

fn named(domain: &str) -> Script {
    Script {
        end_of_data: reply(250, &format!("2.0.0 queued at {domain}")).into(),
        ..Script::default()
    }
}

#[tokio::test]
async fn a_message_to_five_domains_goes_to_all_and_each_answers_for_itself() {
    let world = five(named).await;
    let to = [
        "1@a.test", "r@b.test", "2@a.test", "r@c.test", "r@d.test", "r@e.test",
    ];
    let sent = world.deliver(Dialect::Lmtp, &to, BODY).await;
    let said: Vec<_> = sent.end.iter().map(ToString::to_string).collect();
    let want = ["a", "b", "a", "c", "d", "e"]
        .map(|domain| format!("250 2.0.0 queued at {domain}.test [mx.{domain}.test plaintext]"));
    assert_eq!(said, want);
    for mx in &world.mx {
        assert_eq!(mx.message().data, BODY);
    }
    assert_eq!(world.mx[0].message().recipients, ["1@a.test", "2@a.test"]);
}

#[tokio::test]
async fn no_mx_waits_for_another_one_to_take_the_envelope() {
    let stalls = Script {
        mail: Act::Stall.into(),
        ..Script::default()
    };
    let world = five(|_| stalls.clone()).await;
    let mut mta = world.mta(Dialect::Lmtp).await;
    mta.send(b"MAIL FROM:<s@b.test>\r\n").await;
    let burst: String = EACH.map(|to| format!("RCPT TO:<{to}>\r\n")).concat();
    mta.send(burst.as_bytes()).await;
    // None of them answers, ever: if one leg waited for another, the others would hear nothing.
    for mx in &world.mx {
        mx.until("MAIL at every MX", |record| {
            record.commands.iter().any(|c| c.line.starts_with("MAIL"))
        })
        .await;
    }
}

#[tokio::test]
async fn no_mx_waits_for_another_one_to_take_the_content() {
    let stalls = Script {
        end_of_data: Act::Stall.into(),
        ..Script::default()
    };
    let world = five(|_| stalls.clone()).await;
    let mut mta = world.mta(Dialect::Lmtp).await;
    mta.send(b"MAIL FROM:<s@b.test>\r\n").await;
    let burst: String = EACH.map(|to| format!("RCPT TO:<{to}>\r\n")).concat();
    mta.send(burst.as_bytes()).await;
    mta.send(b"DATA\r\n").await;
    for _ in 0..6 {
        assert_eq!(mta.read_reply().await.code, 250);
    }
    assert_eq!(mta.read_reply().await.code, 354);
    mta.send(b"all at once\r\n.\r\n").await;
    for mx in &world.mx {
        mx.until("the message at every MX", |record| {
            record.messages.len() == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_leg_that_fails_leaves_the_others_alone() {
    let no = || reply(550, "5.7.1 no");
    let cases = [
        (
            "451 4.4.2",
            Script {
                greeting: Some(Act::Close.into()),
                ..Script::default()
            },
        ),
        (
            "550 5.7.1",
            Script {
                mail: no().into(),
                ..Script::default()
            },
        ),
    ];
    for (want, script) in cases {
        let world = five(|domain| {
            if domain == "c.test" {
                script.clone()
            } else {
                named(domain)
            }
        })
        .await;
        let sent = world.deliver(Dialect::Lmtp, &EACH, BODY).await;
        let good = "250 2.1.5";
        assert_eq!(statuses(&sent.rcpt), [good, good, want, good, good]);
        assert_eq!(sent.end_codes(), [250; 4]);
        for at in [0, 1, 3, 4] {
            assert_eq!(world.mx[at].message().data, BODY);
        }
        assert_eq!(world.mx[2].messages().len(), 0);
    }
}

#[tokio::test]
async fn a_leg_that_breaks_in_mid_content_leaves_the_others_alone() {
    let cases = [
        (
            "451 4.4.2",
            Script {
                interrupt: Some(Interrupt {
                    after: 10,
                    act: Act::Reset,
                }),
                ..Script::default()
            },
        ),
        (
            "451 4.4.2",
            Script {
                end_of_data: Act::Close.into(),
                ..Script::default()
            },
        ),
        (
            "452 4.3.1",
            Script {
                data: reply(452, "4.3.1 disk full").into(),
                ..Script::default()
            },
        ),
        (
            "554 5.7.1",
            Script {
                end_of_data: reply(554, "5.7.1 spam").into(),
                ..Script::default()
            },
        ),
    ];
    let body = b"0123456789abcdef\r\n".repeat(50_000);
    for (want, script) in cases {
        let world = five(|domain| {
            if domain == "c.test" {
                script.clone()
            } else {
                named(domain)
            }
        })
        .await;
        let sent = world.deliver(Dialect::Lmtp, &EACH, &body).await;
        let good = "250 2.0.0";
        assert_eq!(statuses(&sent.end), [good, good, want, good, good]);
        for at in [0, 1, 3, 4] {
            assert!(world.mx[at].message().data == body);
        }
    }
}

#[tokio::test]
async fn over_smtp_another_domain_has_to_come_again() {
    let world = five(named).await;
    let mut mta = world.mta(Dialect::Smtp).await;
    let to = ["1@a.test", "r@b.test", "2@A.TEST"];
    let sent = mta.deliver("s@b.test", &to, BODY).await;
    assert_eq!(
        statuses(&sent.rcpt),
        ["250 2.1.5", "452 4.5.3", "250 2.1.5"]
    );
    assert_eq!(sent.end_codes(), [250]);
    let sent = mta.deliver("s@b.test", &["r@b.test"], BODY).await;
    assert_eq!(sent.end_codes(), [250]);
    mta.quit().await;
    assert_eq!(world.mx[0].message().recipients, ["1@a.test", "2@A.TEST"]);
    assert_eq!(world.mx[1].message().recipients, ["r@b.test"]);
}

#[tokio::test]
async fn over_smtp_the_next_domain_may_come_once_all_of_the_first_were_refused() {
    let script = |domain: &str| Script {
        rcpt: Answer::by_address([
            ("r@a.test", reply(550, "5.1.1 unknown")),
            ("q@a.test", reply(450, "4.2.1 busy")),
        ]),
        ..named(domain)
    };
    let world = five(script).await;
    let mut mta = world.mta(Dialect::Smtp).await;
    mta.command("MAIL FROM:<s@b.test>").await;
    let mut replies = Vec::new();
    for to in ["r@a.test", "q@a.test", "r@b.test", "r@c.test", "q@b.test"] {
        replies.push(mta.command(&format!("RCPT TO:<{to}>")).await);
    }
    assert_eq!(
        statuses(&replies),
        [
            "550 5.1.1",
            "450 4.2.1",
            "250 2.0.0",
            "452 4.5.3",
            "250 2.0.0"
        ]
    );
    assert_eq!(mta.command("DATA").await.code, 354);
    assert_eq!(
        mta.data(BODY).await.to_string(),
        "250 2.0.0 queued at b.test [mx.b.test plaintext]"
    );
    mta.quit().await;
    assert_eq!(world.mx[1].message().recipients, ["r@b.test", "q@b.test"]);
    world.mx[0].idle().await;
    assert_eq!(world.mx[0].messages().len(), 0);
    assert_eq!(world.mx[0].heard("DATA"), 0);
}
