//! TLS sessions that go on with the next connection, each message on a connection of its own.

use std::sync::{Arc, Mutex};

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::support::ca::{Ca, Identity};
use crate::support::clock::HandClock;
use crate::support::house::{House, Setup};
use crate::support::mx::{Act, Answer, Mx, Script, StartTls, Tls, Versions, reply};
use crate::support::net::loopback;
use crate::support::tally::Tally;
use crate::support::world::{BODY, fate, is};
use crate::support::zone::Dns;

const OLD_AND_NEW: [Versions; 2] = [Versions::Only12, Versions::Only13];
const SEALED: &str =
    "250 2.0.0 OK: queued [mx.a.test TLSv1.3 none] deliveries(none tls opportunistic)";
const PROVEN: &str = "250 2.0.0 OK: queued [mx.a.test TLSv1.3 dane] deliveries(dane tls dane)";
/// What is published counts at once.
const DNSSEC: &str = "dns = { dnssec = 'trust-ad', cache_entries = 0 }";
const SECURE: &str = "rule = [{ domains = ['a.test'], tls = 'secure', match = ['hostname'] }]";

/// A waxseal, and the one MX of `a.test`, whose tickets outlive what it plays.
struct World {
    ca: Ca,
    mx: Mx,
    dns: Dns,
    clock: Arc<HandClock>,
    house: House,
    tls: Tls,
}

impl World {
    /// Attempts that ended with an MX that was ready.
    async fn ready(&self) -> f64 {
        let series = "waxseal_attempts_total{result=\"ready\"}";
        self.house.metric(series).await
    }

    async fn with(config: &str, rules: &str, versions: Versions) -> Self {
        let ca = Ca::new("Test CA");
        let tls = Tls {
            versions,
            ticketer: Some(Ticketer::new().unwrap()),
            ..Tls::with(ca.server("mx.a.test"))
        };
        let mx = Mx::start(&loopback(), 0, script(tls.clone())).await;
        let dns = Dns::start(&format!("a.test MX 10 mx.a.test\nmx.a.test A {}", mx.ip())).await;
        dns.secure_name(".");
        dns.secure("a.test");
        let clock = Arc::new(HandClock::default());
        let setup = Setup {
            config,
            rules,
            ca: Some(&ca),
            clock: Some(Arc::clone(&clock)),
        };
        let house = House::start(&dns, mx.port(), setup).await;
        Self {
            ca,
            mx,
            dns,
            clock,
            house,
            tls,
        }
    }

    /// From now on the MX shows this to whoever looks, and takes its old tickets.
    fn shows(&self, identity: &Identity) {
        self.mx.play(script(Tls {
            identity: identity.clone(),
            ..self.tls.clone()
        }));
    }

    fn publish_key(&self, identity: &Identity) {
        let (ip, port, key) = (self.mx.ip(), self.mx.port(), identity.dane_ee());
        self.dns.replace(&format!(
            "a.test MX 10 mx.a.test\nmx.a.test A {ip}\n_{port}._tcp.mx.a.test TLSA {key}"
        ));
    }

    /// One message: the reply that decides its fate, and what was counted.
    async fn send(&self) -> String {
        let before = Tally::of(&self.house).await;
        let mut mta = self.house.smtp_client().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        mta.quit().await;
        let said = fate(&sent)
            .to_string()
            .replace(&format!("[{}]", self.mx.ip()), "");
        format!("{said}{}", before.since(&self.house).await)
    }

    /// Of each handshake that came to its end: `full` or `resumed`.
    fn handshakes(&self) -> Vec<&'static str> {
        let handshakes = self.mx.handshakes();
        let word = |resumed| if resumed { "resumed" } else { "full" };
        handshakes.iter().map(|one| word(one.resumed)).collect()
    }
}

fn script(tls: Tls) -> Script {
    Script {
        starttls: StartTls::Offered(tls),
        ..Script::default()
    }
}

#[tokio::test]
async fn the_session_goes_on_with_the_next_connection() {
    for versions in OLD_AND_NEW {
        let world = World::with("", SECURE, versions).await;
        for _ in 0..3 {
            let sent = world.send().await;
            assert!(sent.contains(" pkix] "), "{sent}");
        }
        assert_eq!(world.mx.connections(), 3);
        assert_eq!(world.handshakes(), ["full", "resumed", "resumed"]);
        let (version, group) = match versions {
            Versions::Only12 => ("TLSv1.2", "none"),
            _ => ("TLSv1.3", "X25519MLKEM768"),
        };
        let metrics = world.house.metrics().await;
        let series = metrics
            .lines()
            .find(|line| line.contains("resumed=\"yes\""))
            .unwrap();
        for label in [version, group] {
            assert!(series.contains(&format!("\"{label}\"")), "{series}");
        }
        assert!(series.ends_with(" 2"), "{series}");
    }
}

#[tokio::test]
async fn it_is_told_in_the_story_of_the_message() {
    let world = World::with("", "", Versions::All).await;
    for (at, resumed) in [(0, false), (1, true)] {
        assert_eq!(world.send().await, SEALED);
        let recent = crate::support::http::get(world.house.admin(), "/api/v1/deliveries").await;
        let recent: serde_json::Value = serde_json::from_str(&recent.body).unwrap();
        let newest = &recent["deliveries"][0];
        assert_eq!(
            newest["connection"]["tls"]["resumed"], resumed,
            "{at}: {recent}"
        );
    }
}

#[tokio::test]
async fn it_goes_on_for_so_long_as_the_operator_says() {
    for how_long in ["0s", "1ns"] {
        let config = format!("tls = {{ resume_for = '{how_long}' }}");
        let world = World::with(&config, "", Versions::All).await;
        for _ in 0..2 {
            assert_eq!(world.send().await, SEALED);
        }
        assert_eq!(world.handshakes(), ["full", "full"]);
    }
}

#[tokio::test]
async fn an_mx_that_knows_it_no_more_makes_a_full_handshake() {
    let world = World::with("", "", Versions::All).await;
    assert_eq!(world.send().await, SEALED);
    world.mx.play(script(Tls {
        ticketer: Some(Ticketer::new().unwrap()),
        ..world.tls.clone()
    }));
    assert_eq!(world.send().await, SEALED);
    assert_eq!(world.send().await, SEALED);
    assert_eq!(world.mx.connections(), 3);
    assert_eq!(world.handshakes(), ["full", "full", "resumed"]);
}

#[tokio::test]
async fn a_key_that_was_replaced_in_dns_and_at_the_mx_keeps_no_mail_waiting() {
    let world = World::with(DNSSEC, "", Versions::All).await;
    world.publish_key(&world.tls.identity);
    assert_eq!(world.send().await, PROVEN);
    assert_eq!(world.send().await, PROVEN);
    let new = world.ca.server("mx.a.test");
    world.publish_key(&new);
    world.shows(&new);
    // The earlier session shows the old key, and a full handshake the new one.
    assert_eq!(world.send().await, PROVEN);
    assert_eq!(world.send().await, PROVEN);
    assert_eq!(
        world.handshakes(),
        ["full", "resumed", "resumed", "full", "resumed"]
    );
    // What was tried first was no attempt, and nothing failed.
    assert!(is(world.ready().await, 4));
}

#[tokio::test]
async fn a_key_that_was_replaced_in_dns_alone_keeps_mail_waiting() {
    let world = World::with(DNSSEC, "", Versions::All).await;
    world.publish_key(&world.tls.identity);
    assert_eq!(world.send().await, PROVEN);
    world.publish_key(&world.ca.server("mx.a.test"));
    for _ in 0..2 {
        let blocked = world.send().await;
        assert!(blocked.starts_with("451 4.7.5 "), "{blocked}");
        assert!(blocked.ends_with("blocked(dane tlsa-invalid)"), "{blocked}");
    }
    // A host in doubt has no session that goes on: the third message costs one connection.
    assert_eq!(world.handshakes(), ["full", "resumed", "full", "full"]);
    assert_eq!(world.mx.messages().len(), 1);
}

#[tokio::test]
async fn a_chain_that_expires_meanwhile_is_no_proof() {
    for versions in OLD_AND_NEW {
        let world = World::with("", SECURE, versions).await;
        assert!(world.send().await.starts_with("250 "));
        // The certificates of the test CA are good until 4096.
        world.clock.advance(2100 * 366 * 86_400);
        let late = world.send().await;
        assert!(late.starts_with("451 4.7.5 "), "{late}");
        assert!(late.contains("expired"), "{late}");
        assert_eq!(world.handshakes(), ["full", "resumed", "full"]);
    }
}

#[tokio::test]
async fn what_is_only_observed_is_seen_by_a_full_handshake() {
    let rule = "rule = [{ domains = ['a.test'], tls = 'secure', match = ['else.test'], mode = 'observe' }]";
    let world = World::with("", rule, Versions::All).await;
    for _ in 0..3 {
        let sent = world.send().await;
        assert!(
            sent.contains("would_block(rule certificate-host-mismatch)"),
            "{sent}"
        );
    }
    assert_eq!(world.handshakes(), ["full", "full", "full"]);
}

/// Confuses one ticket with another, so that whoever shows one is thrown out.
#[derive(Debug)]
struct Muddle(Arc<dyn ProducesTickets>, Mutex<Vec<Vec<u8>>>);

impl ProducesTickets for Muddle {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.1.lock().unwrap().push(plain.to_vec());
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let right = self.0.decrypt(cipher);
        let mut known = self.1.lock().unwrap().clone();
        known.retain(|other| Some(other) != right.as_ref());
        known.pop()
    }
}

#[tokio::test]
async fn a_handshake_that_fails_over_a_session_is_never_a_reason_for_plaintext() {
    let world = World::with("", "", Versions::Only13).await;
    let muddle = Muddle(Ticketer::new().unwrap(), Mutex::default());
    world.mx.play(script(Tls {
        ticketer: Some(Arc::new(muddle)),
        ..world.tls.clone()
    }));
    assert_eq!(world.send().await, SEALED);
    assert_eq!(world.send().await, SEALED);
    assert_eq!(world.handshakes(), ["full", "full"]);
    assert_eq!(world.mx.connections(), 3);
    assert_eq!(world.mx.record().failed_handshakes.len(), 1);
    assert!(is(world.ready().await, 2));
}

#[tokio::test]
async fn an_mx_that_goes_behind_a_session_that_went_on_gets_a_full_handshake() {
    let world = World::with("", "", Versions::All).await;
    assert_eq!(world.send().await, SEALED);
    world.mx.play(Script {
        ehlo: Some(Answer::by(|ask| match (ask.connection, ask.tls) {
            (1, true) => Act::Close,
            _ => reply(250, "mx.test\nSTARTTLS\nPIPELINING"),
        })),
        ..script(world.tls.clone())
    });
    assert_eq!(world.send().await, SEALED);
    assert_eq!(world.handshakes(), ["full", "resumed", "full"]);
}

#[tokio::test]
async fn plaintext_follows_a_full_handshake_that_fails() {
    let world = World::with("", "", Versions::All).await;
    assert_eq!(world.send().await, SEALED);
    world.mx.play(Script {
        starttls: StartTls::Breaks(Act::Close),
        ..Script::default()
    });
    for connections in [4, 6] {
        let sent = world.send().await;
        assert!(sent.contains("[mx.a.test plaintext]"), "{sent}");
        assert_eq!(world.mx.connections(), connections);
    }
}
