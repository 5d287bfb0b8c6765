//! `waxseal check`: the same answer as mail would get, as text, as JSON and as an exit code.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
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
            dns = {{ servers = ["{}"], timeout = "1s", attempts = 1 }}
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
        let gate = app::gate(&config).unwrap();
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
fn connections(ca: &Ca) -> Vec<(Script, &'static str, u8, &'static str)> {
    let leaf = || Leaf::for_host("mx1.a.test");
    let with = |leaf| Script::with_tls(ca.issue(leaf));
    let good = || with(leaf());
    let expired = || {
        with(Leaf {
            period: Period::Expired,
            ..leaf()
        })
    };
    let breaks = || Script {
        starttls: StartTls::Breaks(Act::Close),
        ..Script::default()
    };
    let old = Tls {
        versions: Versions::Only12,
        ..Tls::with(ca.server("mx1.a.test"))
    };
    let old = Script {
        starttls: StartTls::Offered(old),
        ..Script::default()
    };
    let away = Script {
        greeting: Some(last_reply(421, "busy").into()),
        ..Script::default()
    };
    let (delivered, open) = (
        "mail would be delivered, authenticated",
        "mail would be delivered, unauthenticated",
    );
    vec![
        (good(), SECURE, 0, delivered),
        (good(), "tls = 'may'", 1, open),
        (good(), "tls = 'encrypt'", 1, open),
        (Script::default(), "tls = 'may'", 1, open),
        (breaks(), "tls = 'may'", 1, open),
        (
            expired(),
            "tls = 'secure', match = ['hostname'], mode = 'observe'",
            1,
            open,
        ),
        (
            Script::default(),
            "tls = 'encrypt'",
            2,
            "TLS is required, but STARTTLS is not offered",
        ),
        (breaks(), "tls = 'encrypt'", 2, "TLS handshake failed"),
        (
            old,
            "tls = 'encrypt', min_version = '1.3'",
            2,
            "TLSv1.3 is required, but the server agreed only to TLSv1.2",
        ),
        (
            expired(),
            SECURE,
            2,
            "the certificate has expired or is not yet valid",
        ),
        (
            with(Leaf::for_host("mx.b.test")),
            SECURE,
            2,
            "the certificate is for another name, not for mx1.a.test",
        ),
        (
            with(Leaf {
                signer: Signer::Itself,
                ..leaf()
            }),
            SECURE,
            2,
            "the certificate is not trusted: UnknownIssuer",
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
    for (script, rule, code, why) in connections(&world.ca) {
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

#[tokio::test]
async fn the_text_tells_everything_that_a_postmaster_asks() {
    let world = World::start(116).await;
    world.configure(
        "",
        "tls = 'secure', match = ['hostname'], reason = 'contract'",
    );
    let identity = world.ca.server("mx1.a.test");
    world.only(Script::with_tls(identity.clone()));
    let text = world.check("a.test", Depth::Connect).await.text();
    for line in [
        "domain    a.test",
        "rule      a.toml:1 secure (contract)",
        "host      10 mx1.a.test: 127.2.116.1; DANE not looked up by this version",
        "must      mx1.a.test: TLS, trusted by ",
        "          offers PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES, DSN, SMTPUTF8, CHUNKING, STARTTLS",
        "          TLSv1.3 TLS13_AES_256_GCM_SHA384 X25519MLKEM768",
        &format!("          certificate 0: sha256:{}", identity.sha256()),
        &format!(
            "          certificate 0: public key sha256:{}",
            identity.public_key_sha256()
        ),
        "          certificate 0: subject CN=mx1.a.test",
        "          certificate 0: issuer CN=Test CA",
        "          certificate 0: names mx1.a.test",
        "          ready, authentication pkix",
        "          mx2.a.test[127.2.116.2]: turned away with 554 at the greeting",
        "verdict   authenticated: mail would be delivered, authenticated",
    ] {
        assert!(
            text.lines().any(|told| told.starts_with(line)),
            "no {line:?} in\n{text}"
        );
    }
}

fn waxseal(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command
        .arg("check")
        .args(arguments)
        .arg("--config")
        .arg(config);
    command.env_remove("WAXSEAL_CONFIG").output().unwrap()
}

#[tokio::test]
async fn the_command_exits_with_the_grade_and_prints_text_or_json() {
    let world = World::start(117).await;
    world.configure("", SECURE);
    world.dns.fail("broken.test", Fault::ServFail);
    let config = world.config_file();
    let questions = [
        (vec!["a.test", "--connect", "--json"], 0, "authenticated"),
        (vec!["mx1.a.test", "--json"], 1, "unauthenticated"),
        (vec!["null.test", "--json"], 2, "blocked"),
        (vec!["broken.test", "--json"], 3, "temporary-failure"),
    ];
    for (arguments, code, grade) in questions {
        let (file, asked) = (config.clone(), arguments.clone());
        // The DNS of the test runs on this thread.
        let output = tokio::task::spawn_blocking(move || waxseal(&file, &asked))
            .await
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["grade"], grade);
        assert_eq!(json["domain"], arguments[0]);
    }
    let text = tokio::task::spawn_blocking(move || waxseal(&config, &["null.test"]))
        .await
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.ends_with("verdict   blocked: null.test does not accept mail (null MX)\n"),
        "{text}"
    );
}

#[tokio::test]
async fn the_json_has_the_evidence() {
    let world = World::start(118).await;
    world.configure("", SECURE);
    world.only(Script::with_tls(world.ca.issue(Leaf {
        period: Period::Expired,
        ..Leaf::for_host("mx1.a.test")
    })));
    let json = world.check("a.test", Depth::Connect).await.json();
    assert_eq!(json["rule"]["origin"], "a.toml:1");
    assert_eq!(json["rule"]["level"], "secure");
    assert_eq!(json["hosts"][0]["host"], "mx1.a.test");
    assert_eq!(json["hosts"][0]["addresses"][0], "127.2.118.1");
    let first = &json["connections"][0];
    assert_eq!(first["port"], world.first.port());
    assert_eq!(first["tls"]["version"], "TLSv1.3");
    assert_eq!(first["authentication"], Value::Null);
    let failure = "mx1.a.test[127.2.118.1]: the certificate has expired or is not yet valid";
    assert_eq!(first["failure"], failure);
    assert!(json["connections"][1]["tls"].is_null());
    assert_eq!(json["grade"], "blocked");
}
