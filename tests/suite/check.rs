//! `waxseal check`: the same answer as mail would get, as text, as JSON and as an exit code.

mod report;

use tempfile::TempDir;
use waxseal::app;
use waxseal::check::{self, Depth, Report, Request};
use waxseal::config::Config;

use crate::support::ca::{Ca, Leaf, Period, Signer};
use crate::support::house::{House, Setup};
use crate::support::mx::{Act, Mx, Script, StartTls, Tls, Versions, last_reply};
use crate::support::zone::{Dns, Fault};

const SECURE: &str = "tls = 'secure', match = ['hostname']";

/// A folder with a configuration for two MX, `mx1.a.test` (preference 10) and `mx2.a.test` (20).
struct World {
    ca: Ca,
    first: Mx,
    second: Mx,
    dns: Dns,
    folder: TempDir,
}

impl World {
    /// At `127.2.<net>.1` and `.2`; both are good.
    async fn start(net: u8) -> Self {
        let ca = Ca::new("Test CA");
        let (one, two) = (format!("127.2.{net}.1"), format!("127.2.{net}.2"));
        let good = |host| Script::with_tls(ca.server(host));
        let scripts = [
            (one.as_str(), good("mx1.a.test")),
            (two.as_str(), good("mx2.a.test")),
        ];
        let [first, second] = Mx::together(scripts).await;
        let zone = format!(
            "a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\nmx1.a.test A {one}\nmx2.a.test A {two}\nnull.test MX 0 .\n"
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        let dns = Dns::start(&zone).await;
        let world = Self {
            ca,
            first,
            second,
            dns,
            folder,
        };
        world.configure("", "tls = 'may'");
        world
    }

    fn config_file(&self) -> std::path::PathBuf {
        self.folder.path().join("waxseal.toml")
    }

    /// Writes the configuration and the rule for `a.test`.
    fn configure(&self, tls: &str, rule: &str) {
        let config = format!(
            r#"
            policies = "policies"
            store = {{ path = "waxseal.db" }}
            dns = {{ servers = ["{}"], timeout = "1s", attempts = 1, dnssec = "trust-ad" }}
            mx = {{ port = {}, allow_networks = ["127.0.0.0/8"] }}
            tls = {{ roots = "none", ca_files = ["ca.pem"]{tls} }}
            "#,
            self.dns.address(),
            self.first.port()
        );
        std::fs::write(self.config_file(), config).unwrap();
        let rule = format!(
            "[[rule]]\ndomains = ['a.test']\n{}",
            rule.replace(", ", "\n")
        );
        std::fs::write(self.folder.path().join("policies/a.toml"), rule).unwrap();
    }

    async fn check(&self, domain: &str, depth: Depth) -> Report {
        let config = Config::load(Some(&self.config_file())).unwrap();
        let gate = app::gate(&config).await.unwrap();
        let destination = domain.parse().unwrap();
        check::run(
            &gate,
            Request {
                destination,
                sender: None,
                depth,
            },
        )
        .await
    }

    /// The exit code, the last line of the text, and the same from the JSON.
    async fn verdict(&self, domain: &str, depth: Depth) -> (u8, String) {
        let report = self.check(domain, depth).await;
        let (text, json) = (report.text(), report.json());
        let last = text.lines().next_back().unwrap().to_owned();
        let (grade, why) = (
            json["grade"].as_str().unwrap(),
            json["why"].as_str().unwrap(),
        );
        assert_eq!(last, format!("verdict   {grade}: {why}"));
        (report.grade().exit_code(), why.to_owned())
    }

    /// `mx1` plays `script`, and `mx2` turns everybody away.
    fn only(&self, script: Script) {
        let away = last_reply(554, "5.3.2 no service here");
        self.first.play(script);
        self.second.play(Script {
            greeting: Some(away.into()),
            ..Script::default()
        });
    }
}

#[tokio::test]
async fn facts_are_judged_without_dialling() {
    let world = World::start(110).await;
    for (rule, code, why) in [
        (
            "tls = 'may'",
            1,
            "the server is not authenticated; --connect shows it",
        ),
        (
            "tls = 'none'",
            1,
            "the server is not authenticated; --connect shows it",
        ),
        (
            "tls = 'encrypt'",
            1,
            "the server is not authenticated; --connect shows it",
        ),
        (SECURE, 0, "mail leaves only to an authenticated server"),
        (
            "tls = 'secure', mode = 'observe'",
            1,
            "the server is not authenticated; --connect shows it",
        ),
        ("tls = 'dane-only'", 2, "no host may be tried"),
    ] {
        world.configure("", rule);
        assert_eq!(
            world.verdict("a.test", Depth::Facts).await,
            (code, why.to_owned()),
            "{rule}"
        );
    }
    assert_eq!(world.first.connections() + world.second.connections(), 0);
}

#[tokio::test]
async fn what_dns_says_is_refused_or_deferred() {
    let world = World::start(111).await;
    for depth in [Depth::Facts, Depth::Connect] {
        let said = |code: u8, why: &str| (code, why.to_owned());
        assert_eq!(
            world.verdict("null.test", depth).await,
            said(2, "null.test does not accept mail (null MX)")
        );
        assert_eq!(
            world.verdict("nowhere.test", depth).await,
            said(2, "nowhere.test does not exist in DNS")
        );
        world.dns.fail("a.test", Fault::ServFail);
        assert_eq!(
            world.verdict("a.test", depth).await,
            said(3, "DNS look-up of MX of a.test failed: SERVFAIL")
        );
        world.dns.heal();
    }
    world.dns.fail("mx1.a.test", Fault::ServFail);
    world.dns.fail("mx2.a.test", Fault::ServFail);
    assert_eq!(world.verdict("a.test", Depth::Facts).await.0, 3);
}

/// A script, a rule, the exit code of `check --connect` and the verdict's words.
type ConnectRow = (Script, &'static str, u8, &'static str);

fn leaf() -> Leaf {
    Leaf::for_host("mx1.a.test")
}

fn expired() -> Leaf {
    Leaf {
        period: Period::Expired,
        ..leaf()
    }
}

fn breaking() -> Script {
    Script {
        starttls: StartTls::Breaks(Act::Close),
        ..Script::default()
    }
}

fn that_deliver(ca: &Ca) -> Vec<ConnectRow> {
    let good = || Script::with_tls(ca.issue(leaf()));
    let open = "mail would be delivered, unauthenticated";
    let observed = "tls = 'secure', match = ['hostname'], mode = 'observe'";
    vec![
        (good(), SECURE, 0, "mail would be delivered, authenticated"),
        (good(), "tls = 'may'", 1, open),
        (good(), "tls = 'encrypt'", 1, open),
        (Script::default(), "tls = 'may'", 1, open),
        (breaking(), "tls = 'may'", 1, open),
        (Script::with_tls(ca.issue(expired())), observed, 1, open),
    ]
}

fn that_do_not_deliver(ca: &Ca) -> Vec<ConnectRow> {
    let old = Tls {
        versions: Versions::Only12,
        ..Tls::with(ca.issue(leaf()))
    };
    let old = Script {
        starttls: StartTls::Offered(old),
        ..Script::default()
    };
    let away = Script {
        greeting: Some(last_reply(421, "busy").into()),
        ..Script::default()
    };
    let secure = |leaf, why| (Script::with_tls(ca.issue(leaf)), SECURE, 2, why);
    let self_signed = Leaf {
        signer: Signer::Itself,
        ..leaf()
    };
    let encrypt = |script, why| (script, "tls = 'encrypt'", 2, why);
    vec![
        encrypt(
            Script::default(),
            "TLS is required, but STARTTLS is not offered",
        ),
        encrypt(breaking(), "TLS handshake failed"),
        (
            old,
            "tls = 'encrypt', min_version = '1.3'",
            2,
            "TLSv1.3 is required, but the server agreed only to TLSv1.2",
        ),
        secure(expired(), "the certificate has expired or is not yet valid"),
        secure(
            Leaf::for_host("mx.b.test"),
            "the certificate is for another name, not for mx1.a.test",
        ),
        secure(
            self_signed,
            "the certificate is not trusted: no CA that is trusted has issued it",
        ),
        (
            away,
            "tls = 'encrypt'",
            3,
            "turned away with 554 at the greeting",
        ),
    ]
}

#[tokio::test]
async fn what_hosts_show_is_what_mail_would_meet() {
    let world = World::start(112).await;
    for (script, rule, code, why) in
        [that_deliver(&world.ca), that_do_not_deliver(&world.ca)].concat()
    {
        world.configure("", rule);
        world.only(script);
        let (found, said) = world.verdict("a.test", Depth::Connect).await;
        assert_eq!(found, code, "{rule}: {said}");
        assert!(said.contains(why), "{rule}: {said}");
        let delivered = delivers(&world).await;
        assert_eq!(delivered, code <= 1, "{rule}: {said}");
    }
}

/// Whether mail leaves under the same configuration.
async fn delivers(world: &World) -> bool {
    let rules = std::fs::read_to_string(world.folder.path().join("policies/a.toml")).unwrap();
    let ca = world.folder.path().join("ca.pem");
    let config = format!(
        "tls = {{ roots = 'none', ca_files = ['{}'] }}",
        ca.display()
    );
    let setup = Setup {
        config: &config,
        rules: &rules,
        ..Setup::default()
    };
    let house = House::start(&world.dns, world.first.port(), setup).await;
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], b"wax\r\n").await;
    sent.code() == 250
}

#[tokio::test]
async fn without_fallback_a_broken_handshake_blocks() {
    let world = World::start(113).await;
    world.configure(", plaintext_fallback = false", "tls = 'may'");
    world.only(Script {
        starttls: StartTls::Breaks(Act::Close),
        ..Script::default()
    });
    assert_eq!(world.verdict("a.test", Depth::Connect).await.0, 2);
}

#[tokio::test]
async fn the_next_host_that_is_good_decides() {
    let world = World::start(114).await;
    world.configure("", SECURE);
    world.first.play(Script::default());
    assert_eq!(world.verdict("a.test", Depth::Connect).await.0, 0);
}

#[tokio::test]
async fn a_check_sends_no_mail() {
    let world = World::start(115).await;
    world.verdict("a.test", Depth::Connect).await;
    for mx in [&world.first, &world.second] {
        mx.idle().await;
        assert_eq!(mx.lines().last().map(String::as_str), Some("QUIT"));
        assert_eq!(mx.heard("MAIL"), 0);
    }
}
