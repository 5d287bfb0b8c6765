//! MTAs that choose the MX themselves. SOCKS is the way in of the tests: whoever may connect to it may choose any
//! address, without privileges. What a firewall adds is tested in `interop/transparent`.
//!
//! `ends` has what cannot become a session, `socks` the dialogue before it, `lines` what becomes of one connection
//! to an MX when several messages go over it, `earlier` a TLS session that goes on with the next connection, `names`
//! by which names a server is asked for its certificate, `room` what becomes of sessions where the operator has set
//! limits.

mod earlier;
mod ends;
mod lines;
mod names;
mod room;
mod socks;

use crate::support::ca::{Ca, Leaf, Signer};
use crate::support::house::{House, Setup};
use crate::support::mta::{Delivery, Mta};
use crate::support::mx::{Mx, Script, capabilities, reply};
use crate::support::net::loopback;
use crate::support::socks::Client;
use crate::support::sts_host::{Site, StsHost, policy};
use crate::support::tally::Tally;
use crate::support::world::{BODY, fate, status};
use crate::support::zone::Dns;

/// A waxseal with a `socks5` listener, and MX hosts.
struct Scene<const N: usize> {
    mx: [Mx; N],
    dns: Dns,
    house: House,
}

/// What differs from a scene whose zone is not signed and whose listener has no keys of its own.
#[derive(Default)]
struct Stage<'a> {
    /// `IP1`, `IP2` and so on stand for the addresses of the MX hosts, `_25.` for their port.
    zone: &'a str,
    /// Zones that the name server calls signed.
    signed: &'a [&'a str],
    rules: &'a str,
    config: &'a str,
    /// Keys of the listener.
    listener: &'a str,
    ca: Option<&'a Ca>,
}

/// Two domains at the same hosts, of which only the first address is in DNS.
const ZONE: &str = "a.test MX 10 mx.a.test\nb.test MX 10 mx.a.test\nmx.a.test A IP1";

impl<const N: usize> Scene<N> {
    async fn of(scripts: [Script; N], stage: Stage<'_>) -> Self {
        let ips: [String; N] = std::array::from_fn(|_| loopback());
        let mut addresses = ips.iter();
        let mx = scripts.map(|script| (addresses.next().unwrap().as_str(), script));
        let mx = Mx::together(mx).await;
        let port = mx[0].port();
        let zone = if stage.zone.is_empty() {
            ZONE
        } else {
            stage.zone
        };
        let mut zone = zone.replace("_25.", &format!("_{port}."));
        for (at, ip) in ips.iter().enumerate() {
            zone = zone.replace(&format!("IP{}", at + 1), ip);
        }
        let dns = Dns::start(&zone).await;
        dns.secure_name(".");
        stage.signed.iter().for_each(|name| dns.secure(name));
        let config = format!(
            "listener = [{{ kind = 'socks5', listen = '127.0.0.1:0', {} }}]\ndns = {{ dnssec = 'trust-ad' }}\n{}",
            stage.listener, stage.config
        );
        let setup = Setup {
            config: &config,
            rules: stage.rules,
            ca: stage.ca,
            ..Setup::default()
        };
        let house = House::start(&dns, port, setup).await;
        Self { mx, dns, house }
    }

    /// A connection to an MX; the greeting is still to be read.
    async fn dial(&self, mx: usize) -> Mta {
        let client = Client::default();
        let proxy = self.house.socks5();
        let (ip, port) = (self.mx[mx].ip(), self.mx[mx].port());
        client.connect(proxy, &ip, port).await.unwrap()
    }

    /// An MTA that has chosen an MX and said EHLO to it.
    async fn mta(&self, mx: usize) -> Mta {
        self.dial(mx).await.greeted().await
    }

    /// One message in a session of its own.
    async fn deliver(&self, mx: usize, to: &str) -> Delivery {
        let mut mta = self.mta(mx).await;
        let sent = mta.deliver("s@b.test", &[to], BODY).await;
        mta.quit().await;
        sent
    }

    /// What the MTA hears about one message, without addresses, and what was counted.
    async fn send(&self, mx: usize, to: &str) -> String {
        let before = Tally::of(&self.house).await;
        let said = self.hide(&fate(&self.deliver(mx, to).await).to_string());
        format!("{said}{}", before.since(&self.house).await)
    }

    fn hide(&self, text: &str) -> String {
        self.mx.iter().fold(text.to_owned(), |text, mx| {
            text.replace(&format!("[{}]", mx.ip()), "")
        })
    }
}

/// Delivered, and nobody demanded anything.
const SEALED: &str = "250 2.0.0 OK: queued deliveries(none tls opportunistic)";
const OPEN: &str = "250 2.0.0 OK: queued deliveries(none plaintext opportunistic)";

fn sealed(ca: &Ca, host: &str) -> Script {
    Script::with_tls(ca.server(host))
}

#[tokio::test]
async fn the_mta_sees_the_mx_and_the_mx_sees_the_mta() {
    let ca = Ca::new("Test CA");
    let script = Script {
        name: "mx.a.test".to_owned(),
        capabilities: capabilities(&["PIPELINING", "SIZE 1000", "XCLIENT NAME", "AUTH PLAIN"]),
        ..sealed(&ca, "mx.a.test")
    };
    let scene = Scene::of([script], Stage::default()).await;
    let mut mta = scene.dial(0).await;
    assert_eq!(mta.read_reply().await.to_string(), "220 mx.a.test ESMTP");
    let hello = mta.hello().await;
    let shown = [
        "mx.a.test",
        "PIPELINING",
        "SIZE 1000",
        "LIMITS RCPTDOMAINMAX=1",
    ];
    assert_eq!(hello.lines, shown);
    assert_eq!(status(&mta.command("STARTTLS").await), "502 5.5.1");
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).to_string(), "250 2.0.0 OK: queued", "no seal");
    mta.quit().await;
    let message = scene.mx[0].message();
    assert_eq!(
        (message.helo.as_str(), message.data.as_slice()),
        ("mta.test", BODY)
    );
    assert_eq!(
        scene.mx[0].handshakes()[0].sni.as_deref(),
        Some("mx.a.test")
    );
    let verbs = scene.mx[0].lines();
    let verbs: Vec<_> = verbs.iter().map(|line| &line[..4]).collect();
    assert_eq!(verbs[..5], ["EHLO", "STAR", "EHLO", "MAIL", "RCPT"]);
}

#[tokio::test]
async fn where_nobody_demands_anything_mail_leaves_by_the_tls_that_there_is() {
    let ca = Ca::new("Test CA");
    let scene = Scene::of([sealed(&ca, "mx.a.test")], Stage::default()).await;
    assert_eq!(scene.send(0, "r@a.test").await, SEALED);
    let scene = Scene::of([Script::default()], Stage::default()).await;
    assert_eq!(scene.send(0, "r@a.test").await, OPEN);
}

#[tokio::test]
async fn a_failed_handshake_is_followed_by_plaintext_at_the_same_address() {
    use crate::support::mx::{Act, StartTls};
    let broken = Script {
        starttls: StartTls::Breaks(Act::Close),
        ..Script::default()
    };
    let scene = Scene::of([broken.clone()], Stage::default()).await;
    assert_eq!(scene.send(0, "r@a.test").await, OPEN);
    assert_eq!(scene.mx[0].connections(), 2);
    let config = "tls = { plaintext_fallback = false }";
    let stage = Stage {
        config,
        ..Stage::default()
    };
    let scene = Scene::of([broken], stage).await;
    let said = scene.send(0, "r@a.test").await;
    assert!(
        said.starts_with("451 4.7.5 mx.a.test: TLS handshake failed"),
        "{said}"
    );
}

#[tokio::test]
async fn an_mx_that_offers_nothing_is_spoken_to_in_its_own_words() {
    let old = Script {
        ehlo: Some(reply(502, "5.5.1 what?").into()),
        capabilities: Vec::new(),
        ..Script::default()
    };
    let scene = Scene::of([old], Stage::default()).await;
    let mut mta = scene.dial(0).await;
    mta.read_reply().await;
    assert_eq!(mta.hello().await.to_string(), "502 5.5.1 what?");
    assert_eq!(
        mta.command("HELO mta.test").await.to_string(),
        "250 mx.test"
    );
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    assert_eq!(scene.mx[0].message().helo, "mta.test");
}

#[tokio::test]
async fn an_mta_that_says_helo_gets_tls_all_the_same() {
    let ca = Ca::new("Test CA");
    let scene = Scene::of([sealed(&ca, "mx.a.test")], Stage::default()).await;
    let mut mta = scene.dial(0).await;
    mta.read_reply().await;
    assert_eq!(
        mta.command("HELO mta.test").await.to_string(),
        "250 mx.test"
    );
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    assert_eq!(scene.mx[0].handshakes().len(), 1);
}

/// The zone of `a.test` with a TLSA record.
fn dane(tlsa: &str) -> String {
    format!("a.test MX 10 mx.a.test\nmx.a.test A IP1\n_25._tcp.mx.a.test TLSA {tlsa}")
}

#[tokio::test]
async fn dane_is_demanded_of_the_address_that_the_mta_chose() {
    let ca = Ca::new("Test CA");
    let identity = ca.server("mx.a.test");
    let wrong = format!("3 1 1 {}", "00".repeat(32));
    let both = || [Script::with_tls(identity.clone()), Script::default()];
    let signed = &["a.test"][..];
    let zone = dane(&identity.dane_ee());
    let stage = Stage {
        zone: &zone,
        signed,
        ..Stage::default()
    };
    let scene = Scene::of(both(), stage).await;
    assert_eq!(
        scene.send(0, "r@a.test").await,
        "250 2.0.0 OK: queued deliveries(dane tls dane)"
    );
    // The second address is in no answer, and what is there cannot prove anything.
    assert_eq!(
        scene.send(1, "r@a.test").await,
        "451 4.7.4 mx.a.test: TLS is required, but STARTTLS is not offered \
         blocked(dane starttls-not-supported)"
    );
    let zone = dane(&wrong);
    let stage = Stage {
        zone: &zone,
        signed,
        ..Stage::default()
    };
    let scene = Scene::of(both(), stage).await;
    let said = scene.send(0, "r@a.test").await;
    assert!(said.starts_with("451 4.7.5 mx.a.test: DANE: "), "{said}");
    assert!(said.ends_with(" blocked(dane tlsa-invalid)"), "{said}");
    assert!(scene.mx.iter().all(|mx| mx.heard("MAIL") == 0));
}

#[tokio::test]
async fn an_address_in_no_answer_is_an_mx_if_it_proves_to_be_one() {
    let ca = Ca::new("Test CA");
    let identity = ca.server("mx.a.test");
    let zone = dane(&identity.dane_ee());
    let stage = Stage {
        zone: &zone,
        signed: &["a.test"],
        ..Stage::default()
    };
    let scene = Scene::of([Script::default(), Script::with_tls(identity)], stage).await;
    assert_eq!(
        scene.send(1, "r@a.test").await,
        "250 2.0.0 OK: queued deliveries(dane tls dane)"
    );
}

#[tokio::test]
async fn a_failed_look_up_keeps_mail_back_wherever_it_was_headed() {
    use crate::support::zone::Fault;
    use hickory_resolver::proto::rr::RecordType;
    let zone = dane(&format!("3 1 1 {}", "00".repeat(32)));
    let stage = Stage {
        zone: &zone,
        signed: &["a.test"],
        ..Stage::default()
    };
    let scene = Scene::of([Script::default(), Script::default()], stage).await;
    let owner = format!("_{}._tcp.mx.a.test", scene.mx[0].port());
    scene
        .dns
        .fail_type(&owner, RecordType::TLSA, Fault::ServFail);
    for mx in 0..2 {
        let said = scene.send(mx, "r@a.test").await;
        assert!(
            said.starts_with("451 4.7.5 mx.a.test: DNS look-up of TLSA"),
            "{said}"
        );
        assert!(said.ends_with(" blocked(dane dnssec-invalid)"), "{said}");
    }
}

#[tokio::test]
async fn mta_sts_is_demanded_of_the_address_that_the_mta_chose() {
    let ca = Ca::new("Test CA");
    let site = Site::policy(
        ca.server("mta-sts.a.test"),
        &policy("enforce", 86_400, &["mx.a.test"]),
    );
    let web = StsHost::start(&loopback(), 0, site).await;
    let zone = format!(
        "a.test MX 10 mx.a.test\na.test MX 20 other.test\nmx.a.test A IP1\nother.test A IP2\n\
         mta-sts.a.test A {}\n_mta-sts.a.test TXT \"v=STSv1; id=1;\"",
        web.ip()
    );
    let config = format!("mta_sts = {{ port = {} }}", web.port());
    let stage = Stage {
        zone: &zone,
        config: &config,
        ca: Some(&ca),
        ..Stage::default()
    };
    let scene = Scene::of([sealed(&ca, "mx.a.test"), sealed(&ca, "other.test")], stage).await;
    assert_eq!(
        scene.send(0, "r@a.test").await,
        "250 2.0.0 OK: queued deliveries(pkix tls mta-sts)"
    );
    // The policy does not name the other host, which does not prove to be the one that it names.
    assert_eq!(
        scene.send(1, "r@a.test").await,
        "451 4.7.5 mx.a.test: the certificate is for another name, not for mx.a.test \
         blocked(mta-sts certificate-host-mismatch)"
    );
    let leaf = Leaf {
        signer: Signer::Stranger,
        ..Leaf::for_host("mx.a.test")
    };
    scene.mx[0].play(Script::with_tls(ca.issue(leaf)));
    let said = scene.send(0, "r@a.test").await;
    assert!(
        said.ends_with(" blocked(mta-sts certificate-not-trusted)"),
        "{said}"
    );
    scene.mx[0].play(Script::default());
    let said = scene.send(0, "r@a.test").await;
    assert!(said.starts_with("451 4.7.4 mx.a.test: "), "{said}");
}

#[tokio::test]
async fn what_the_mx_says_to_mail_is_heard_at_rcpt() {
    for (code, text) in [(550, "5.7.1 not you"), (451, "4.7.1 greylisted")] {
        let script = Script {
            mail: reply(code, text).into(),
            ..Script::default()
        };
        let scene = Scene::of([script], Stage::default()).await;
        let mut mta = scene.mta(0).await;
        let lines = ["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"];
        let replies = mta.pipeline(&lines).await;
        let statuses: Vec<_> = replies.iter().map(status).collect();
        let refused = format!("{code} {}", &text[..5]);
        assert_eq!(statuses, ["250 2.1.0", refused.as_str(), "554 5.5.1"]);
    }
}

#[tokio::test]
async fn a_rule_with_a_route_sends_mail_elsewhere_than_the_mta_wanted() {
    let zone = "a.test MX 10 mx.a.test\nmx.a.test A IP1\nroute.test A IP2";
    let stage = Stage {
        zone,
        ..Stage::default()
    };
    let scene = Scene::of([Script::default(), Script::default()], stage).await;
    let port = scene.mx[1].port();
    scene.house.write_rules(&format!(
        "rule = [{{ domains = ['a.test'], tls = 'may', route = 'route.test:{port}', reason = 'x' }}]"
    ));
    scene.house.reload().await.unwrap();
    assert_eq!(
        fate(&scene.deliver(0, "r@a.test").await).to_string(),
        "250 2.0.0 OK: queued"
    );
    assert_eq!(scene.mx[0].messages().len(), 0);
    assert_eq!(scene.mx[1].messages().len(), 1);
}
