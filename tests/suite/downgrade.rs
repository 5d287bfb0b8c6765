//! A host that shows less than before: what is told, what waits, and for how long. The clock is moved by hand.
//!
//! `memory` has what is remembered where the store is slow, or gone; `policy` hosts that an MTA-STS policy proved.

mod memory;
mod policy;

use std::sync::Arc;

use crate::support::ca::{Ca, Identity, Leaf, Signer};
use crate::support::clock::HandClock;
use crate::support::house::{House, Setup};
use crate::support::http;
use crate::support::mx::{Act, Mx, Script, StartTls};
use crate::support::net::loopback;
use crate::support::socks::Client;
use crate::support::tally::Tally;
use crate::support::world::{BODY, fate, is, status};
use crate::support::zone::Dns;

const DAY: u64 = 24 * 60 * 60;
const DEFER: &str = "tls = { downgrade = 'defer' }";
/// What is published counts at once.
const DNSSEC: &str = "dns = { dnssec = 'trust-ad', cache_entries = 0 }";

/// What the MTA hears while mail waits for TLS.
const NO_TLS: &str = "451 4.7.4 mx.a.test: this host has shown TLS before, and now STARTTLS is gone or does not work; \
    mail waits until 2027-01-04T00:00:00Z ([tls] downgrade), or until `waxseal host forget` lets it go \
    blocked(opportunistic downgraded)";
const OPEN: &str =
    "250 2.0.0 OK: queued [mx.a.test plaintext] deliveries(none plaintext opportunistic)";
const SEALED: &str =
    "250 2.0.0 OK: queued [mx.a.test TLSv1.3 none] deliveries(none tls opportunistic)";
const PROVEN: &str = "250 2.0.0 OK: queued [mx.a.test TLSv1.3 dane] deliveries(dane tls dane)";

/// A waxseal, and the one MX of `a.test`.
struct World {
    ca: Ca,
    mx: Mx,
    dns: Dns,
    clock: Arc<HandClock>,
    house: House,
}

impl World {
    /// The MX has a good certificate.
    async fn with(config: &str, rules: &str) -> Self {
        let ca = Ca::new("Test CA");
        let script = Script::with_tls(ca.server("mx.a.test"));
        let mx = Mx::start(&loopback(), 0, script).await;
        let dns = Dns::start("").await;
        dns.secure_name(".");
        let clock = Arc::new(HandClock::default());
        let setup = Setup {
            config,
            rules,
            ca: Some(&ca),
            clock: Some(Arc::clone(&clock)),
        };
        let house = House::start(&dns, mx.port(), setup).await;
        let world = Self {
            ca,
            mx,
            dns,
            clock,
            house,
        };
        world.publish("");
        world
    }

    /// The zone, with this in it.
    fn publish(&self, more: &str) {
        let ip = self.mx.ip();
        self.dns
            .replace(&format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}\n{more}"));
    }

    /// The zone is signed, and has the key of `identity`.
    fn publish_key(&self, identity: &Identity) {
        self.dns.secure("a.test");
        let (port, key) = (self.mx.port(), identity.dane_ee());
        self.publish(&format!("_{port}._tcp.mx.a.test TLSA {key}"));
    }

    fn self_signed(&self) -> Identity {
        self.ca.issue(Leaf {
            signer: Signer::Itself,
            ..Leaf::for_host("mx.a.test")
        })
    }

    fn shows(&self, identity: &Identity) {
        self.mx.play(Script::with_tls(identity.clone()));
    }

    fn offers_tls(&self) {
        self.shows(&self.ca.server("mx.a.test"));
    }

    fn offers_no_tls(&self) {
        self.mx.play(Script::default());
    }

    /// One message over `relay`: the text of the reply that decides its fate, and what was counted.
    async fn send(&self) -> String {
        let before = Tally::of(&self.house).await;
        let mut mta = self.house.smtp_client().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        mta.quit().await;
        let reply = fate(&sent).to_string();
        let reply = reply.replace(&format!("[{}]", self.mx.ip()), "");
        format!("{reply}{}", before.since(&self.house).await)
    }

    /// One message of an MTA that has chosen the MX: code and enhanced code of its fate.
    async fn send_over_socks(&self) -> String {
        let client = Client::default();
        let (ip, port) = (self.mx.ip(), self.mx.port());
        let mta = client.connect(self.house.socks5(), &ip, port);
        let mut mta = mta.await.unwrap().greeted().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        mta.quit().await;
        status(&fate(&sent))
    }

    /// Whether so many downgrades were counted.
    async fn counts(&self, kind: &str, count: u32) -> bool {
        let series = format!("waxseal_downgrades_total{{kind=\"{kind}\"}}");
        is(self.house.metric(&series).await, count)
    }
}

#[tokio::test]
async fn a_host_that_drops_starttls_is_told_of_once_and_mail_goes_on() {
    let world = World::with("", "").await;
    assert_eq!(world.send().await, SEALED);
    world.offers_no_tls();
    for _ in 0..3 {
        assert_eq!(world.send().await, OPEN);
    }
    assert!(world.counts("starttls", 1).await);
    world.offers_tls();
    assert_eq!(world.send().await, SEALED);
    world.offers_no_tls();
    assert_eq!(world.send().await, OPEN);
    assert!(world.counts("starttls", 2).await, "a new one");
    assert!(world.counts("authentication", 0).await);
}

#[tokio::test]
async fn mail_waits_until_the_loss_has_lasted_and_is_then_accepted() {
    let world = World::with(DEFER, "").await;
    assert_eq!(world.send().await, SEALED);
    world.offers_no_tls();
    assert_eq!(world.send().await, NO_TLS);
    world.clock.advance(3 * DAY - 1);
    assert_eq!(world.send().await, NO_TLS);
    world.clock.advance(1);
    assert_eq!(world.send().await, OPEN);
    assert_eq!(world.send().await, OPEN);
    assert!(world.counts("starttls", 1).await);
    world.offers_tls();
    assert_eq!(world.send().await, SEALED);
    world.offers_no_tls();
    assert!(
        world.send().await.starts_with("451 4.7.4"),
        "it counts again"
    );
}

#[tokio::test]
async fn a_restart_forgets_neither_what_was_best_nor_since_when_it_is_lost() {
    let mut world = World::with(DEFER, "").await;
    assert_eq!(world.send().await, SEALED);
    world.house = world.house.restart().await;
    world.offers_no_tls();
    assert_eq!(world.send().await, NO_TLS);
    world.clock.advance(DAY);
    world.house = world.house.restart().await;
    assert_eq!(world.send().await, NO_TLS);
    world.clock.advance(2 * DAY);
    world.house = world.house.restart().await;
    assert_eq!(world.send().await, OPEN);
}

#[tokio::test]
async fn a_handshake_that_fails_is_as_good_as_none() {
    let world = World::with(DEFER, "").await;
    assert_eq!(world.send().await, SEALED);
    let no_tls = Act::Send(b"\x15\x03\x03\x00\x02\x02\x28".to_vec());
    world.mx.play(Script {
        starttls: StartTls::Breaks(no_tls),
        ..Script::default()
    });
    assert_eq!(world.send().await, NO_TLS);
}

#[tokio::test]
async fn a_host_whose_tls_never_worked_has_none_to_lose() {
    let world = World::with(DEFER, "").await;
    let no_tls = Act::Send(b"\x15\x03\x03\x00\x02\x02\x28".to_vec());
    world.mx.play(Script {
        starttls: StartTls::Breaks(no_tls),
        ..Script::default()
    });
    assert_eq!(world.send().await, OPEN);
    world.offers_no_tls();
    assert_eq!(world.send().await, OPEN);
    assert!(world.counts("starttls", 0).await);
}

#[tokio::test]
async fn where_a_rule_wants_no_tls_there_is_no_downgrade() {
    let world = World::with(DEFER, "").await;
    assert_eq!(world.send().await, SEALED);
    world
        .house
        .write_rules("rule = [{ domains = ['a.test'], tls = 'none' }]");
    world.house.reload().await.unwrap();
    let sent = world.send().await;
    assert!(sent.ends_with("deliveries(none plaintext rule)"), "{sent}");
    assert!(world.counts("starttls", 0).await);
}

#[tokio::test]
async fn a_rule_that_only_observes_delivers_and_tells_what_would_have_waited() {
    let rule = "rule = [{ domains = ['a.test'], tls = 'may', mode = 'observe' }]";
    let world = World::with(DEFER, rule).await;
    assert!(world.send().await.ends_with("deliveries(none tls rule)"));
    world.offers_no_tls();
    let sent = world.send().await;
    let counted = "deliveries(none plaintext rule) would_block(rule downgraded)";
    assert!(sent.ends_with(counted), "{sent}");
    assert!(world.counts("starttls", 1).await);
}

#[tokio::test]
async fn a_host_that_withdraws_its_tlsa_records_and_has_no_certificate_to_show_is_a_downgrade() {
    let world = World::with(&format!("{DEFER}\n{DNSSEC}"), "").await;
    let own = world.self_signed();
    world.shows(&own);
    world.publish_key(&own);
    assert_eq!(world.send().await, PROVEN);
    world.publish("");
    let sent = world.send().await;
    let waits = "451 4.7.5 mx.a.test: this host has shown TLS and a key that its TLSA records prove before, \
        and now nothing proves who this is; mail waits until 2027-01-04T00:00:00Z";
    assert!(sent.starts_with(waits), "{sent}");
    assert!(
        sent.ends_with("blocked(opportunistic downgraded)"),
        "{sent}"
    );
    assert!(world.counts("authentication", 1).await);
    world.offers_tls();
    assert_eq!(world.send().await, SEALED, "a CA proves it as well");
}

#[tokio::test]
async fn a_rule_that_does_not_look_for_tlsa_records_misses_no_proof() {
    let world = World::with(&format!("{DEFER}\n{DNSSEC}"), "").await;
    let own = world.self_signed();
    world.shows(&own);
    world.publish_key(&own);
    assert_eq!(world.send().await, PROVEN);
    world
        .house
        .write_rules("rule = [{ domains = ['a.test'], tls = 'may' }]");
    world.house.reload().await.unwrap();
    assert!(world.send().await.ends_with("deliveries(none tls rule)"));
    assert!(world.counts("authentication", 0).await);
    world.offers_no_tls();
    assert!(world.send().await.ends_with("blocked(rule downgraded)"));
}

#[tokio::test]
async fn where_there_is_no_dnssec_no_proof_by_it_is_missed() {
    let mut world = World::with(DNSSEC, "").await;
    let own = world.self_signed();
    world.shows(&own);
    world.publish_key(&own);
    assert_eq!(world.send().await, PROVEN);
    let file = world.house.folder().join("waxseal.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("trust-ad", "off")).unwrap();
    world.house = world.house.restart().await;
    assert_eq!(world.send().await, SEALED);
    assert!(world.counts("authentication", 0).await);
}

#[tokio::test]
async fn what_is_lost_is_shown_and_forgetting_the_host_lets_its_mail_go() {
    let world = World::with(DEFER, "").await;
    assert_eq!(world.send().await, SEALED);
    world.offers_no_tls();
    assert_eq!(world.send().await, NO_TLS);
    let path = "/api/v1/hosts/mx.a.test";
    let shown = http::get(world.house.admin(), path).await.body;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["best"], "tls");
    assert_eq!(shown["lost"]["kind"], "starttls");
    assert_eq!(shown["lost"]["until"], "2027-01-04T00:00:00Z");
    assert_eq!(http::delete(world.house.admin(), path).await.status, 204);
    assert_eq!(world.send().await, OPEN);
    assert_eq!(http::get(world.house.admin(), path).await.status, 404);
}

#[tokio::test]
async fn an_mta_that_chooses_the_mx_is_told_as_well() {
    let socks = format!("{DEFER}\nlistener = [{{ kind = 'socks5', listen = '127.0.0.1:0' }}]");
    let world = World::with(&socks, "").await;
    assert_eq!(world.send_over_socks().await, "250 2.0.0");
    world.offers_no_tls();
    assert_eq!(world.send_over_socks().await, "451 4.7.4");
    assert!(world.counts("starttls", 1).await);
}
