//! SMTP smuggling (the CVE-2023-51764 family): one message for waxseal must not be two for a lenient MX.

use crate::support::mta::Chunk;
use crate::support::mx::{EndOfData, Script, capabilities};

use super::Scene;

const NORMALISE: &str = "message = { bare_newline = 'normalise' }";

/// What comes behind the false end: for a lenient MX a second message.
const SECOND: &str =
    "MAIL FROM:<evil@b.test>\r\nRCPT TO:<victim@a.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";

/// Ends of data that are none: a dot between any two newlines, of which at least one is not CRLF.
fn false_ends() -> Vec<String> {
    let newlines = ["\r\n", "\n", "\r"];
    let pairs = newlines
        .iter()
        .flat_map(|one| newlines.map(|two| format!("{one}.{two}")));
    let mut ends: Vec<_> = pairs.filter(|end| end != "\r\n.\r\n").collect();
    let longer = [
        "\r\r\n.\r\r\n",
        "\r\n.\r\r\n",
        "\n\n.\n\n",
        "\r\n\n.\r\n",
        "\r\n.\n\r\n",
        "\n\r.\r\n",
    ];
    ends.extend(longer.map(str::to_owned));
    ends
}

/// A message with a false end in it.
fn message(end: &str) -> String {
    format!("Subject: one\r\n\r\nhello{end}{SECOND}\r\n")
}

/// The victim: it takes any newlines around a dot for the end of the data.
fn lenient() -> Script {
    Script {
        ends: EndOfData::Lenient,
        ..Script::default()
    }
}

#[tokio::test]
async fn the_victim_falls_for_every_false_end_when_nobody_guards_it() {
    let scene = Scene::start(60, lenient(), "").await;
    for (at, end) in false_ends().iter().enumerate() {
        let mut mta = crate::support::mta::Mta::smtp(scene.mx.address()).await;
        let lines = ["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"];
        mta.pipeline(&lines).await;
        mta.send(format!("{}.\r\n", message(end)).as_bytes()).await;
        scene
            .mx
            .until("two messages", |record| {
                record.messages.len() == 2 * (at + 1)
            })
            .await;
    }
}

#[tokio::test]
async fn data_with_a_false_end_is_refused_and_nothing_of_it_arrives() {
    let scene = Scene::start(61, lenient(), "").await;
    for end in false_ends() {
        let mut mta = scene.house.smtp_client().await;
        let sent = mta
            .deliver("s@b.test", &["r@a.test"], message(&end).as_bytes())
            .await;
        let said = sent.end[0].to_string();
        assert!(
            said.starts_with("550 5.6.11 "),
            "{}: {said}",
            end.escape_debug()
        );
        mta.quit().await;
        scene.mx.idle().await;
        assert_eq!(scene.mx.messages().len(), 0, "{}", end.escape_debug());
    }
    let ends = false_ends().len();
    assert_eq!(scene.mx.heard("MAIL FROM:<s@b.test>"), ends);
    assert_eq!(scene.mx.heard("MAIL"), ends);
}

#[tokio::test]
async fn a_false_end_is_made_harmless_where_newlines_are_normalised() {
    let scene = Scene::start(62, lenient(), NORMALISE).await;
    for (at, end) in false_ends().iter().enumerate() {
        let mut mta = scene.house.smtp_client().await;
        let raw = format!("{}.\r\n", message(end));
        mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"])
            .await;
        mta.send(raw.as_bytes()).await;
        assert_eq!(mta.read_reply().await.code, 250, "{}", end.escape_debug());
        mta.quit().await;
        scene.mx.idle().await;
        let messages = scene.mx.messages();
        assert_eq!(messages.len(), at + 1, "{}", end.escape_debug());
        let last = messages.last().unwrap();
        assert_eq!(last.recipients, ["r@a.test"]);
        assert!(
            last.text().ends_with("\r\nSubject: smuggled\r\n\r\nx\r\n"),
            "{}",
            last.text()
        );
        let bare = last.text().replace("\r\n", "");
        assert!(!bare.contains(['\r', '\n']), "{}", bare.escape_debug());
    }
}

#[tokio::test]
async fn bdat_with_a_false_end_is_refused_in_either_mode() {
    let plain = Script {
        capabilities: capabilities(&["PIPELINING"]),
        ..lenient()
    };
    for (net, script, config) in [
        (63, lenient(), ""),
        (64, lenient(), NORMALISE),
        (65, plain.clone(), ""),
        (66, plain, NORMALISE),
    ] {
        let scene = Scene::start(net, script, config).await;
        for end in false_ends() {
            bdat_is_refused(&scene, &end).await;
        }
    }
}

/// In one chunk, and in two that are cut behind each octet of the false end.
async fn bdat_is_refused(scene: &Scene, end: &str) {
    let message = message(end);
    let start = message.find(end).unwrap();
    for cut in start..=start + end.len() {
        let mut mta = scene.house.smtp_client().await;
        mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"])
            .await;
        let (first, second) = message.as_bytes().split_at(cut);
        let mut reply = mta.bdat(first, Chunk::More).await;
        if reply.is_positive() {
            reply = mta.bdat(second, Chunk::Last).await;
        }
        let what = format!("{} cut at {}", end.escape_debug(), cut - start);
        assert!(
            reply.to_string().starts_with("550 5.6.11 "),
            "{what}: {reply}"
        );
        mta.quit().await;
        scene.mx.idle().await;
        assert_eq!(scene.mx.messages().len(), 0, "{what}");
        assert_eq!(scene.mx.heard("RCPT TO:<victim"), 0, "{what}");
    }
}

#[tokio::test]
async fn a_true_end_within_bdat_is_content_and_stays_so_for_an_mx_without_chunking() {
    let plain = Script {
        capabilities: capabilities(&["PIPELINING"]),
        ..lenient()
    };
    for (net, script) in [(67, Script::default()), (68, plain)] {
        let scene = Scene::start(net, script, "").await;
        let content = message("\r\n.\r\n");
        let mut mta = scene.house.smtp_client().await;
        mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"])
            .await;
        assert_eq!(mta.bdat(content.as_bytes(), Chunk::Last).await.code, 250);
        mta.quit().await;
        scene.mx.idle().await;
        assert_eq!(scene.mx.message().text(), content);
    }
}
