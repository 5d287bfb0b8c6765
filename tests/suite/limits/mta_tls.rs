//! TLS between MTA and waxseal.

use std::fs;

use tempfile::TempDir;

use super::listeners;
use crate::support::ca::{Ca, Identity};
use crate::support::mta::{Dialect, Mta};
use crate::support::mx::Script;
use crate::support::world::{BODY, BOTH, World, status, statuses};

/// The name in the certificate.
const NAME: &str = "waxseal.test";

/// A waxseal with a certificate.
struct Sealed {
    world: World<1>,
    ca: Ca,
    _files: TempDir,
}

impl Sealed {
    /// `keys` are for both listeners; `clients` is written to `clients.pem`.
    async fn start(keys: &str, clients: &str) -> Self {
        Self::start_with("", keys, clients).await
    }

    async fn start_with(config: &str, keys: &str, clients: &str) -> Self {
        let ca = Ca::new("inside");
        let identity = ca.server(NAME);
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        fs::write(path("chain.pem"), identity.chain_pem()).unwrap();
        fs::write(path("key.pem"), identity.key_pem()).unwrap();
        fs::write(path("clients.pem"), clients).unwrap();
        let certificate = format!(
            "tls_certificate = '{}'\ntls_key = '{}'\n",
            path("chain.pem"),
            path("key.pem")
        );
        let keys = keys.replace("clients.pem", &path("clients.pem"));
        let config = config.to_owned() + &listeners(&(certificate + &keys));
        let world = World::with(Script::default(), &config).await;
        Self {
            world,
            ca,
            _files: files,
        }
    }

    async fn mta_with_tls(&self, dialect: Dialect, client: Option<&Identity>) -> Mta {
        let mta = self.world.mta(dialect).await;
        mta.starttls_as(&self.ca.pem(), NAME, client).await
    }
}

#[tokio::test]
async fn tls_is_offered_and_may_be_left_alone() {
    let sealed = Sealed::start("", "").await;
    for dialect in BOTH {
        let mut mta = sealed.world.mta(dialect).await;
        assert!(mta.hello().await.offers("STARTTLS"));
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        assert_eq!(sent.end_codes(), [250]);
        mta.quit().await;

        let mut mta = sealed.mta_with_tls(dialect, None).await;
        // RFC 3207 §4.2: nothing that was said before counts.
        assert_eq!(mta.command("MAIL FROM:<s@b.test>").await.code, 503);
        assert!(!mta.hello().await.offers("STARTTLS"));
        assert_eq!(status(&mta.command("STARTTLS").await), "503 5.5.1");
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        assert_eq!(sent.end_codes(), [250]);
        mta.quit().await;
    }
    let messages = sealed.world.mx[0].messages();
    assert_eq!(messages.len(), 4);
    assert!(messages.iter().all(|message| message.data == BODY));
}

#[tokio::test]
async fn a_large_message_passes_under_tls() {
    let sealed = Sealed::start("", "").await;
    let mut mta = sealed.mta_with_tls(Dialect::Smtp, None).await;
    mta.hello().await;
    let body = b"0123456789abcdef\r\n".repeat(30_000);
    let sent = mta.deliver("s@b.test", &["r@a.test"], &body).await;
    assert_eq!(sent.end_codes(), [250]);
    assert!(sealed.world.mx[0].message().data == body);
}

#[tokio::test]
async fn required_tls_comes_before_mail() {
    let sealed = Sealed::start("tls_required = true", "").await;
    for dialect in BOTH {
        let mut mta = sealed.world.mta(dialect).await;
        assert!(mta.hello().await.offers("STARTTLS"));
        let replies = mta
            .pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "NOOP"])
            .await;
        assert_eq!(
            statuses(&replies),
            ["530 5.7.0", "503 5.5.1", "250 2.0.0"],
            "{dialect:?}"
        );
        let mut mta = mta.starttls(&sealed.ca.pem(), NAME).await;
        mta.hello().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        assert_eq!(sent.end_codes(), [250]);
    }
}

#[tokio::test]
async fn words_behind_starttls_are_an_attack() {
    let sealed = Sealed::start("", "").await;
    for dialect in BOTH {
        let mut mta = sealed.world.mta(dialect).await;
        mta.send(b"STARTTLS\r\nMAIL FROM:<forged@bank.test>\r\n")
            .await;
        assert_eq!(status(&mta.read_reply().await), "421 4.7.0", "{dialect:?}");
        assert_eq!(mta.read_to_end().await, b"");
    }
}

#[tokio::test]
async fn a_transaction_does_not_survive_starttls() {
    let sealed = Sealed::start("", "").await;
    for dialect in BOTH {
        let mut mta = sealed.world.mta(dialect).await;
        mta.pipeline(&["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>"])
            .await;
        let mut mta = mta.starttls(&sealed.ca.pem(), NAME).await;
        mta.hello().await;
        assert_eq!(mta.command("DATA").await.code, 503, "{dialect:?}");
        sealed.world.mx[0].idle().await;
        assert_eq!(sealed.world.mx[0].messages().len(), 0);
    }
}

#[tokio::test]
async fn what_is_no_handshake_ends_the_session() {
    let sealed = Sealed::start("", "").await;
    for junk in [&b"EHLO again.test\r\n"[..], &[0; 64], &[0xff; 64]] {
        let mut mta = sealed.world.mta(Dialect::Smtp).await;
        assert_eq!(mta.command("STARTTLS").await.code, 220);
        mta.send(junk).await;
        let rest = mta.read_to_end().await;
        // At most a TLS alert: never a line of SMTP.
        let is_alert = rest.first().is_none_or(|first| *first == 21);
        assert!(is_alert, "{}", rest.escape_ascii());
    }
}

#[tokio::test]
async fn only_clients_with_a_certificate_get_in_where_one_is_asked_for() {
    let clients = Ca::new("clients");
    let strangers = Ca::new("strangers");
    let sealed = Sealed::start("tls_client_ca = 'clients.pem'", &clients.pem()).await;
    let good = clients.server("mta.test");
    let bad = strangers.server("mta.test");
    for dialect in BOTH {
        let mut mta = sealed.mta_with_tls(dialect, Some(&good)).await;
        mta.hello().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        assert_eq!(sent.end_codes(), [250], "{dialect:?}");
        for client in [None, Some(&bad)] {
            let mut mta = sealed.mta_with_tls(dialect, client).await;
            // The client of TLS 1.3 is done before the server has judged its certificate.
            let _ = mta.try_send(b"NOOP\r\n").await;
            assert_eq!(mta.read_to_end().await, b"", "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_the_session() {
    let wait = "[timeouts]\ntls_handshake = '200ms'\n";
    let sealed = Sealed::start_with(wait, "", "").await;
    let mut mta = sealed.world.mta(Dialect::Smtp).await;
    assert_eq!(mta.command("STARTTLS").await.code, 220);
    assert_eq!(mta.read_to_end().await, b"");
}
