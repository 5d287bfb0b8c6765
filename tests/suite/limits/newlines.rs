//! SMTP smuggling: what some servers take for the end of a message is no end here, and reaches no MX.

use crate::support::mx::{EndOfData, Script};
use crate::support::world::{BODY, BOTH, World, status};

/// What a lenient server takes for the end of the data.
const FALSE_ENDS: [&str; 7] = [
    "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r",
];

/// An MX that falls for all of them.
fn victim() -> Script {
    Script {
        ends: EndOfData::Lenient,
        ..Script::default()
    }
}

fn smuggling(end: &str) -> Vec<u8> {
    let inner = "MAIL FROM:<forged@bank.test>\r\nRCPT TO:<r@a.test>\r\nDATA\r\nfooled\r\n.\r\n";
    format!("Subject: x\r\n\r\ninnocent{end}{inner}").into_bytes()
}

#[tokio::test]
async fn a_newline_that_stands_alone_is_refused() {
    for end in FALSE_ENDS.into_iter().chain(["\n", "\r"]) {
        for dialect in BOTH {
            let world = World::one(victim()).await;
            let mut mta = world.mta(dialect).await;
            mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"])
                .await;
            mta.send(&smuggling(end)).await;
            let what = format!("{dialect:?} {}", end.escape_debug());
            assert_eq!(status(&mta.read_reply().await), "550 5.6.11", "{what}");
            let sent = mta.deliver("s@b.test", &["good@a.test"], BODY).await;
            assert_eq!(sent.end_codes(), [250], "{what}");
            mta.quit().await;
            world.mx[0].idle().await;
            let senders: Vec<_> = world.mx[0].messages().into_iter().map(|m| m.from).collect();
            assert_eq!(senders, ["s@b.test"], "{what}");
            assert_eq!(world.mx[0].message().recipients, ["good@a.test"], "{what}");
        }
    }
}

#[tokio::test]
async fn a_newline_that_stands_alone_is_made_a_whole_one_where_the_operator_says_so() {
    for end in FALSE_ENDS {
        for dialect in BOTH {
            let config = "[message]\nbare_newline = 'normalise'";
            let world = World::with(victim(), config).await;
            let mut mta = world.mta(dialect).await;
            mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"])
                .await;
            mta.send(&smuggling(end)).await;
            let what = format!("{dialect:?} {}", end.escape_debug());
            assert_eq!(mta.read_reply().await.code, 250, "{what}");
            mta.quit().await;
            world.mx[0].idle().await;
            // One message, the smuggled one a part of its text.
            let message = world.mx[0].message();
            assert_eq!(message.from, "s@b.test", "{what}");
            let text = message.text();
            assert!(text.ends_with("DATA\r\nfooled\r\n"), "{what}: {text:?}");
            let bare = text.replace("\r\n", "");
            assert!(!bare.contains(['\r', '\n']), "{what}: {text:?}");
        }
    }
}
