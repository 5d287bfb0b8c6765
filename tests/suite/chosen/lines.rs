//! One connection to an MX, and several messages.

use super::{OPEN, Scene, Stage, sealed};
use crate::support::ca::Ca;
use crate::support::mta::Chunk;
use crate::support::mx::{Answer, Script, last_reply, reply};
use crate::support::world::{BODY, fate, status, statuses};

#[tokio::test]
async fn several_messages_share_one_connection() {
    let ca = Ca::new("Test CA");
    let scene = Scene::of([sealed(&ca, "mx.a.test")], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    for _ in 0..3 {
        let sent = mta
            .deliver("s@b.test", &["q@a.test", "r@a.test"], BODY)
            .await;
        assert_eq!(fate(&sent).to_string(), "250 2.0.0 OK: queued");
    }
    assert_eq!(mta.quit().await.code, 221);
    assert_eq!(scene.mx[0].messages().len(), 3);
    assert_eq!(scene.mx[0].connections(), 1);
    assert_eq!(scene.mx[0].handshakes().len(), 1);
    scene.mx[0].idle().await;
    assert_eq!(scene.mx[0].heard("RSET"), 0);
    assert_eq!(scene.mx[0].heard("QUIT"), 1);
}

#[tokio::test]
async fn a_transaction_that_was_given_up_is_reset_before_the_next_one() {
    let script = Script {
        rcpt: Answer::by_address([("no@a.test", reply(550, "5.1.1 nobody"))]),
        ..Script::default()
    };
    let scene = Scene::of([script], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    for given_up in [
        ["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "RSET"],
        ["MAIL FROM:<s@b.test>", "RCPT TO:<no@a.test>", "RSET"],
    ] {
        mta.pipeline(&given_up).await;
    }
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250, "{sent:?}");
    assert_eq!(scene.mx[0].connections(), 1);
    assert_eq!(scene.mx[0].heard("RSET"), 2);
    assert_eq!(scene.mx[0].message().recipients, ["r@a.test"]);
}

/// Rules of different severity for domains at the same host.
const RULES: &str = "rule = [
    { domains = ['a.test'], tls = 'secure', match = ['hostname'], reason = 'x' },
    { domains = ['c.test'], tls = 'secure', match = ['other.test'], reason = 'x' },
]";
const THREE: &str =
    "a.test MX 10 mx.a.test\nb.test MX 10 mx.a.test\nc.test MX 10 mx.a.test\nmx.a.test A IP1";

#[tokio::test]
async fn each_domain_is_authorized_on_its_own_and_gets_a_fresh_connection_if_need_be() {
    let ca = Ca::new("Test CA");
    let stage = Stage {
        zone: THREE,
        rules: RULES,
        ca: Some(&ca),
        ..Stage::default()
    };
    let scene = Scene::of([sealed(&ca, "mx.a.test")], stage).await;
    let mut mta = scene.mta(0).await;
    let mut said = Vec::new();
    for to in ["r@a.test", "r@b.test", "r@c.test", "r@a.test"] {
        let sent = mta.deliver("s@b.test", &[to], BODY).await;
        said.push((fate(&sent).to_string(), scene.mx[0].connections()));
        mta.command("RSET").await;
    }
    let queued = "250 2.0.0 OK: queued".to_owned();
    assert_eq!(said[0], (queued.clone(), 1));
    assert_eq!(
        said[1],
        (queued.clone(), 1),
        "the same handshake does for b.test"
    );
    let refused = scene.hide(&said[2].0);
    assert_eq!(
        refused,
        "451 4.7.5 mx.a.test: the certificate is for another name, not for other.test"
    );
    assert_eq!(said[2].1, 2, "a fresh connection was tried");
    assert_eq!(
        said[3],
        (queued, 3),
        "and ended, so that the next one gets a fresh one, too"
    );
    assert_eq!(scene.mx[0].messages().len(), 3);
}

#[tokio::test]
async fn a_connection_in_plaintext_does_not_do_where_there_could_be_tls() {
    let rules = "rule = [{ domains = ['a.test'], tls = 'none', reason = 'x' }]";
    let ca = Ca::new("Test CA");
    let stage = Stage {
        rules,
        ..Stage::default()
    };
    let scene = Scene::of([sealed(&ca, "mx.a.test")], stage).await;
    let mut mta = scene.mta(0).await;
    for (to, connections, handshakes) in [
        ("r@a.test", 1, 0),
        ("r@a.test", 1, 0),
        ("r@b.test", 2, 1),
        ("r@a.test", 3, 1),
    ] {
        let sent = mta.deliver("s@b.test", &[to], BODY).await;
        assert_eq!(fate(&sent).code, 250);
        assert_eq!(scene.mx[0].connections(), connections, "{to}");
        assert_eq!(scene.mx[0].handshakes().len(), handshakes, "{to}");
    }
}

#[tokio::test]
async fn a_second_domain_in_one_transaction_is_sent_again() {
    let scene = Scene::of([Script::default()], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    let sent = mta
        .deliver("s@b.test", &["r@a.test", "r@b.test"], BODY)
        .await;
    assert_eq!(statuses(&sent.rcpt), ["250 2.1.5", "452 4.5.3"]);
    assert_eq!(sent.end_codes(), [250]);
    let sent = mta.deliver("s@b.test", &["r@b.test"], BODY).await;
    assert_eq!(sent.end_codes(), [250]);
    assert_eq!(scene.mx[0].connections(), 1);
}

#[tokio::test]
async fn a_second_domain_takes_the_place_of_one_that_the_mx_refuses() {
    let script = Script {
        rcpt: Answer::by_address([("no@a.test", reply(550, "5.1.1 nobody"))]),
        ..Script::default()
    };
    let scene = Scene::of([script], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    for _ in 0..2 {
        let sent = mta
            .deliver("s@b.test", &["no@a.test", "r@b.test"], BODY)
            .await;
        assert_eq!(statuses(&sent.rcpt), ["550 5.1.1", "250 2.0.0"]);
        assert_eq!(sent.end_codes(), [250]);
    }
    mta.quit().await;
    scene.mx[0].idle().await;
    let messages = scene.mx[0].messages();
    assert!(
        messages
            .iter()
            .all(|message| message.recipients == ["r@b.test"])
    );
    assert_eq!(messages.len(), 2);
}

#[tokio::test]
async fn a_connection_that_the_mx_has_closed_is_made_anew() {
    let script = Script {
        end_of_data: Answer::in_turn([
            last_reply(250, "2.0.0 that was all"),
            reply(250, "2.0.0 OK"),
        ]),
        ..Script::default()
    };
    let scene = Scene::of([script], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    for connections in [1, 2, 2] {
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        assert_eq!(fate(&sent).code, 250, "{sent:?}");
        assert_eq!(scene.mx[0].connections(), connections);
    }
}

#[tokio::test]
async fn ehlo_in_the_middle_of_a_session_is_the_mxs_to_answer() {
    let ca = Ca::new("Test CA");
    let scene = Scene::of([sealed(&ca, "mx.a.test")], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"])
        .await;
    assert!(!mta.hello().await.offers("STARTTLS"));
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    let tls: Vec<bool> = scene.mx[0]
        .record()
        .commands
        .iter()
        .map(|c| c.tls)
        .collect();
    assert_eq!(tls[..3], [false, false, true], "EHLO, STARTTLS, EHLO");
    assert_eq!(scene.mx[0].connections(), 1);
}

#[tokio::test]
async fn content_that_could_be_taken_for_two_messages_is_refused_and_closes_the_line() {
    let scene = Scene::of([Script::default()], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    let sent = mta
        .deliver("s@b.test", &["r@a.test"], b"a\n.\r\nb\r\n")
        .await;
    assert_eq!(status(&fate(&sent)), "550 5.6.11");
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    assert_eq!(scene.mx[0].message().data, BODY);
    assert_eq!(scene.mx[0].connections(), 2);
}

#[tokio::test]
async fn chunks_go_the_same_way() {
    let scene = Scene::of([Script::default()], Stage::default()).await;
    let mut mta = scene.mta(0).await;
    for _ in 0..2 {
        mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"])
            .await;
        assert_eq!(mta.bdat(b"Subject: wax\r\n", Chunk::More).await.code, 250);
        assert_eq!(
            mta.bdat(b"\r\nbody\r\n", Chunk::Last).await.to_string(),
            "250 2.0.0 OK: queued"
        );
    }
    assert_eq!(scene.mx[0].connections(), 1);
    assert_eq!(scene.mx[0].messages().len(), 2);
    assert_eq!(scene.send(0, "r@a.test").await, OPEN);
}
