//! MTA-STS from record and policy to the reply at the MTA: what is enforced, tested, remembered and refused.
//!
//! `memory` has what depends on time: expiry, refresh, back-off.

mod memory;

use futures_util::future::{join, join_all};
use futures_util::{StreamExt, stream};
use hickory_resolver::proto::rr::RecordType;
use std::sync::Arc;
use waxseal::app;
use waxseal::check::{self, Depth, Report, Request};
use waxseal::config::Config;

use crate::support::ca::{Ca, Identity, Leaf, Period, Signer};
use crate::support::clock::HandClock;
use crate::support::house::{House, Setup};
use crate::support::http;
use crate::support::mta::Mta;
use crate::support::mx::{Mx, Script};
use crate::support::net::loopback;
use crate::support::sts_host::{Answer, Response, Site, StsHost, policy};
use crate::support::tally::Tally;
use crate::support::world::{BODY, fate, status};
use crate::support::zone::{Dns, Fault};

const RECORD: &str = "_mta-sts.a.test";
const DAY: u32 = 86_400;

/// A waxseal, two MX hosts of `a.test` (preference 10 and 20), and the web server of its policy.
pub(super) struct World {
    pub(super) ca: Ca,
    pub(super) mx: [Mx; 2],
    web: StsHost,
    pub(super) dns: Dns,
    pub(super) clock: Arc<HandClock>,
    pub(super) house: House,
}

impl World {
    /// Both MX are good, and this is the policy.
    async fn with(policy: &str) -> Self {
        Self::new(policy, "", "").await
    }

    pub(super) async fn new(policy: &str, config: &str, rules: &str) -> Self {
        let ca = Ca::new("Test CA");
        let good = |host| Script::with_tls(ca.server(host));
        let ips = [loopback(), loopback()];
        let scripts = [
            (ips[0].as_str(), good("mx1.a.test")),
            (ips[1].as_str(), good("mx2.a.test")),
        ];
        let mx = Mx::together(scripts).await;
        let site = Site::policy(ca.server("mta-sts.a.test"), policy);
        let web = StsHost::start(&loopback(), 0, site).await;
        let dns = Dns::start("").await;
        let clock = Arc::new(HandClock::default());
        let config = format!(
            "mta_sts = {{ port = {}, timeout = '10s' }}\n{config}",
            web.port()
        );
        let setup = Setup {
            config: &config,
            rules,
            ca: Some(&ca),
            clock: Some(Arc::clone(&clock)),
        };
        let house = House::start(&dns, mx[0].port(), setup).await;
        let world = Self {
            ca,
            mx,
            web,
            dns,
            clock,
            house,
        };
        world.publish("id=1");
        world
    }

    /// The zone, with this in the record.
    fn publish(&self, id: &str) {
        let record = format!("{RECORD} TXT \"v=STSv1; {id};\"\n");
        self.dns.replace(&(self.hosts() + &record));
    }

    /// The zone without a record.
    pub(super) fn withdraw(&self) {
        self.dns.replace(&self.hosts());
    }

    pub(super) fn hosts(&self) -> String {
        format!(
            "a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\n\
             mx1.a.test A {}\nmx2.a.test A {}\nmta-sts.a.test A {}\n",
            self.mx[0].ip(),
            self.mx[1].ip(),
            self.web.ip()
        )
    }

    /// Both MX show this certificate.
    pub(super) fn both_show(&self, identity: &Identity) {
        for mx in &self.mx {
            mx.play(Script::with_tls(identity.clone()));
        }
    }

    /// Neither MX offers TLS: a policy that counts blocks, and any other lets the mail leave.
    fn neither_offers_tls(&self) {
        for mx in &self.mx {
            mx.play(Script::default());
        }
    }

    /// One message over `relay`: the text of the reply that decides its fate, and what was counted.
    pub(super) async fn send(&self) -> String {
        let before = Tally::of(&self.house).await;
        let mut mta = self.house.smtp_client().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        mta.quit().await;
        let reply = fate(&sent).to_string();
        let reply = self.mx.iter().fold(reply, |reply, mx| {
            reply.replace(&format!("[{}]", mx.ip()), "")
        });
        format!("{reply}{}", before.since(&self.house).await)
    }
}

/// What the MTA hears where a policy counts and no MX offers TLS.
const BLOCKED: &str = "451 4.7.4 mx2.a.test: TLS is required, but STARTTLS is not offered \
                       blocked(mta-sts starttls-not-supported)";
/// And where none counts.
const OPEN: &str =
    "250 2.0.0 OK: queued [mx1.a.test plaintext] deliveries(none plaintext opportunistic)";

fn enforce(mx: &[&str]) -> String {
    policy("enforce", DAY, mx)
}

#[tokio::test]
async fn an_enforced_policy_is_kept_and_the_seal_tells_it() {
    let world = World::with(&enforce(&["mx1.a.test"])).await;
    assert_eq!(
        world.send().await,
        "250 2.0.0 OK: queued [mx1.a.test TLSv1.3 pkix] deliveries(pkix tls mta-sts)"
    );
    let request = world.web.request();
    assert_eq!(request.line(), "GET /.well-known/mta-sts.txt HTTP/1.1");
    assert_eq!(request.sni.as_deref(), Some("mta-sts.a.test"));
    let sni = world.mx[0].handshakes()[0].sni.clone();
    assert_eq!(sni.as_deref(), Some("mx1.a.test"));
}

#[tokio::test]
async fn a_host_that_fails_the_policy_gets_no_mail() {
    let world = World::with(&enforce(&["*.a.test"])).await;
    world.neither_offers_tls();
    assert_eq!(world.send().await, BLOCKED);
    let leaf = || Leaf::for_host("mx2.a.test");
    let faults = [
        (
            Leaf {
                signer: Signer::Itself,
                ..leaf()
            },
            "certificate-not-trusted",
        ),
        (
            Leaf {
                signer: Signer::Stranger,
                ..leaf()
            },
            "certificate-not-trusted",
        ),
        (
            Leaf {
                period: Period::Expired,
                ..leaf()
            },
            "certificate-expired",
        ),
        // Another host of the same policy is another host.
        (Leaf::for_host("mx3.a.test"), "certificate-host-mismatch"),
        (Leaf::for_host("a.test"), "certificate-host-mismatch"),
    ];
    for (leaf, reason) in faults {
        world.both_show(&world.ca.issue(leaf));
        let said = world.send().await;
        assert!(said.starts_with("451 4.7.5 mx2.a.test: "), "{said}");
        assert!(
            said.ends_with(&format!(" blocked(mta-sts {reason})")),
            "{said}"
        );
    }
    assert_eq!(
        world.web.connections(),
        1,
        "all by what is remembered of one fetch"
    );
    assert!(world.mx.iter().all(|mx| mx.heard("MAIL") == 0));
}

#[tokio::test]
async fn hosts_that_the_policy_does_not_name_are_not_dialled_and_the_order_stays() {
    let world = World::with(&enforce(&["mx2.a.test"])).await;
    assert_eq!(
        world.send().await,
        "250 2.0.0 OK: queued [mx2.a.test TLSv1.3 pkix] deliveries(pkix tls mta-sts)"
    );
    assert_eq!(world.mx[0].connections(), 0);
    let world = World::with(&enforce(&["mx.b.test"])).await;
    assert_eq!(
        world.send().await,
        "451 4.7.5 mx2.a.test: the MTA-STS policy of a.test names other MX hosts, and not this one \
         blocked(mta-sts sts-mx-mismatch)"
    );
    assert_eq!(world.mx[0].connections() + world.mx[1].connections(), 0);
}

#[tokio::test]
async fn a_tested_policy_lets_mail_leave_and_tells_what_would_have_failed() {
    let world = World::with(&policy("testing", DAY, &["mx1.a.test"])).await;
    assert_eq!(
        world.send().await,
        "250 2.0.0 OK: queued [mx1.a.test TLSv1.3 none] deliveries(none tls opportunistic)"
    );
    world.neither_offers_tls();
    assert_eq!(
        world.send().await,
        format!("{OPEN} would_block(mta-sts starttls-not-supported)")
    );
    let world = World::with(&policy("testing", DAY, &["mx.b.test"])).await;
    let said = world.send().await;
    assert!(
        said.ends_with(" would_block(mta-sts sts-mx-mismatch)"),
        "{said}"
    );
}

#[tokio::test]
async fn a_tested_policy_does_not_lower_what_the_operator_asks_for() {
    let rule = "[[rule]]\ndomains = ['a.test']\ntls = 'standard'\nfloor = 'encrypt'";
    let world = World::new(&policy("testing", DAY, &["*.a.test"]), "", rule).await;
    world.neither_offers_tls();
    let said = world.send().await;
    assert!(
        said.ends_with(" blocked(rule starttls-not-supported)"),
        "{said}"
    );
}

#[tokio::test]
async fn a_withdrawn_policy_asks_for_nothing() {
    let world = World::with(&policy("none", DAY, &[])).await;
    world.neither_offers_tls();
    assert_eq!(world.send().await, OPEN);
}

#[tokio::test]
async fn an_id_that_changes_while_the_web_server_is_blocked_does_not_end_the_policy() {
    let world = World::new(&enforce(&["*.a.test"]), "dns = { cache_entries = 0 }", "").await;
    world.neither_offers_tls();
    assert_eq!(world.send().await, BLOCKED);
    world.web.answer(Answer::Resets);
    world.publish("id=2");
    assert_eq!(world.send().await, BLOCKED);
    assert_eq!(world.web.connections(), 2, "it was asked again");
    for records in ["id=3", "id=", "nonsense"] {
        world.publish(records);
        assert_eq!(world.send().await, BLOCKED, "{records}");
    }
    world.withdraw();
    assert_eq!(world.send().await, BLOCKED);
    world
        .dns
        .fail_type(RECORD, RecordType::TXT, Fault::ServFail);
    assert_eq!(world.send().await, BLOCKED);
}

#[tokio::test]
async fn a_restart_with_record_and_web_server_gone_still_enforces() {
    let mut world = World::with(&enforce(&["*.a.test"])).await;
    world.neither_offers_tls();
    assert_eq!(world.send().await, BLOCKED);
    world.withdraw();
    world.web.answer(Answer::Resets);
    world.house = world.house.restart().await;
    assert_eq!(world.send().await, BLOCKED);
    world.clock.advance(u64::from(DAY));
    assert_eq!(world.send().await, OPEN, "max_age is over");
}

#[tokio::test]
async fn a_newer_policy_is_looked_for_before_mail_is_kept_back() {
    let world = World::with(&enforce(&["mx.b.test"])).await;
    let said = world.send().await;
    assert!(said.contains("sts-mx-mismatch"), "{said}");
    // The name servers' answer is still cached, so that nobody has seen the new id yet.
    world.publish("id=2");
    world.web.answer(Response::text(&enforce(&["mx1.a.test"])));
    assert_eq!(
        world.send().await,
        "250 2.0.0 OK: queued [mx1.a.test TLSv1.3 pkix] deliveries(pkix tls mta-sts)"
    );
    assert_eq!(world.web.connections(), 2);
}

#[tokio::test]
async fn without_a_remembered_policy_a_web_server_that_fails_is_no_policy() {
    let world = World::with("").await;
    world.neither_offers_tls();
    assert_eq!(world.send().await, OPEN);
    let fetched = r#"waxseal_mta_sts_fetches_total{result="sts-policy-invalid"}"#;
    assert!((world.house.metric(fetched).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_record_that_cannot_be_looked_up_is_no_absence() {
    let config = "dns = { cache_entries = 0, failed_for = '0s' }";
    let world = World::new(&enforce(&["*.a.test"]), config, "").await;
    world
        .dns
        .fail_type(RECORD, RecordType::TXT, Fault::ServFail);
    assert_eq!(
        world.send().await,
        "451 4.4.3 DNS look-up of TXT of _mta-sts.a.test failed: SERVFAIL; without it nobody knows what TLS \
         a.test asks for blocked(mta-sts sts-policy-fetch-error)"
    );
    world.dns.heal();
    let said = world.send().await;
    assert!(said.ends_with("deliveries(pkix tls mta-sts)"), "{said}");
}

#[tokio::test]
async fn an_unrelated_record_at_the_same_name_is_passed_over() {
    let world = World::with(&enforce(&["*.a.test"])).await;
    let zone =
        world.hosts() + &format!("{RECORD} TXT \"v=spf1 -all\"\n{RECORD} TXT \"v=STSv1; id=1;\"\n");
    world.dns.replace(&zone);
    let said = world.send().await;
    assert!(said.ends_with("deliveries(pkix tls mta-sts)"), "{said}");
}

#[tokio::test]
async fn a_web_server_at_an_address_that_is_not_public_is_not_asked() {
    let ips = "mx = { allow_networks = ['127.64.0.0/10', '127.128.0.0/9'] }";
    let world = World::new(&enforce(&["*.a.test"]), ips, "").await;
    let zone = world.hosts().replace(
        &format!("mta-sts.a.test A {}", world.web.ip()),
        "mta-sts.a.test A 127.0.0.1",
    );
    world
        .dns
        .replace(&format!("{zone}{RECORD} TXT \"v=STSv1; id=1;\"\n"));
    let said = world.send().await;
    assert!(
        said.ends_with("deliveries(none tls opportunistic)"),
        "{said}"
    );
    let fetched = r#"waxseal_mta_sts_fetches_total{result="sts-policy-fetch-error"}"#;
    assert!((world.house.metric(fetched).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn switched_off_or_not_followed_nothing_is_asked() {
    let off = "mta_sts = { enabled = false }";
    let rule = "[[rule]]\ndomains = ['a.test']\ntls = 'standard'\nmta_sts = false";
    let may = "[[rule]]\ndomains = ['a.test']\ntls = 'may'";
    for (config, rules) in [(off, ""), ("", rule), ("", may)] {
        let world = World::new(&enforce(&["mx.b.test"]), "", rules).await;
        let house = if config.is_empty() {
            None
        } else {
            let setup = Setup {
                config,
                ..Setup::default()
            };
            Some(House::start(&world.dns, world.mx[0].port(), setup).await)
        };
        let mut mta = house.as_ref().unwrap_or(&world.house).smtp_client().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        assert_eq!(fate(&sent).code, 250);
        assert_eq!(world.dns.asked(RECORD, RecordType::TXT), 0);
        assert_eq!(world.web.connections(), 0);
    }
}

#[tokio::test]
async fn a_secure_rule_can_take_its_names_from_the_policy() {
    let rule = "[[rule]]\ndomains = ['a.test']\ntls = 'secure'\nmatch = ['mta-sts']";
    let world = World::new(&enforce(&["mx2.a.test"]), "", rule).await;
    assert_eq!(
        world.send().await,
        "250 2.0.0 OK: queued [mx2.a.test TLSv1.3 pkix] deliveries(pkix tls rule)"
    );
    let world = World::new("", "", rule).await;
    let said = world.send().await;
    assert!(said.ends_with(" blocked(rule sts-required)"), "{said}");
    assert!(said.contains("the policy cannot be fetched"), "{said}");
}

#[tokio::test]
async fn an_international_domain_is_asked_for_by_its_a_label() {
    let ca = Ca::new("Test CA");
    let (ip, domain) = (loopback(), "xn--bcher-kva.test");
    let host = format!("mx.{domain}");
    let [mx] = Mx::together([(ip.as_str(), Script::with_tls(ca.server(&host)))]).await;
    let site = Site::policy(
        ca.server(&format!("mta-sts.{domain}")),
        &enforce(&[&format!("*.{domain}")]),
    );
    let web = StsHost::start(&loopback(), 0, site).await;
    let dns = Dns::start(&format!(
        "{domain} MX 10 {host}\n{host} A {ip}\nmta-sts.{domain} A {}\n_mta-sts.{domain} TXT \"v=STSv1; id=1;\"",
        web.ip()
    ))
    .await;
    let setup = Setup {
        config: &format!("mta_sts = {{ port = {} }}", web.port()),
        ca: Some(&ca),
        ..Setup::default()
    };
    let house = House::start(&dns, mx.port(), setup).await;
    let mut mta = house.smtp_client().await;
    let to = format!("r@{domain}");
    let sent = mta.deliver("s@b.test", &[to.as_str()], BODY).await;
    let said = fate(&sent).to_string();
    assert!(said.ends_with("TLSv1.3 pkix]"), "{said}");
}

#[tokio::test]
async fn a_reload_keeps_what_is_remembered() {
    let world = World::with(&enforce(&["*.a.test"])).await;
    world.neither_offers_tls();
    assert_eq!(world.send().await, BLOCKED);
    world.house.reload().await.unwrap();
    assert_eq!(world.send().await, BLOCKED);
    assert_eq!(world.web.connections(), 1);
}

#[tokio::test]
async fn policies_are_listed_refreshed_and_forgotten_while_waxseal_runs() {
    let world = World::with(&enforce(&["*.a.test"])).await;
    let admin = world.house.admin();
    let list = || async { http::get(admin, "/api/v1/policies").await.body };
    assert_eq!(list().await, r#"{"policies":[],"next":null}"#);
    world.neither_offers_tls();
    assert_eq!(world.send().await, BLOCKED);
    assert!(
        list()
            .await
            .contains(r#""domain":"a.test","mode":"enforce""#)
    );
    world
        .web
        .answer(Response::text(&policy("testing", DAY, &["*.a.test"])));
    let refreshed = http::post(admin, "/api/v1/policies/a.test/refresh", "").await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert!(
        refreshed.body.contains(r#""mode":"testing""#),
        "{}",
        refreshed.body
    );
    let said = world.send().await;
    assert!(said.starts_with(OPEN), "{said}");
    world.web.answer(Answer::Resets);
    let failed = http::post(admin, "/api/v1/policies/a.test/refresh", "").await;
    assert_eq!(failed.status, 502, "{}", failed.body);
    let shown = http::get(admin, "/api/v1/policies/a.test").await;
    assert!(
        shown.body.contains(r#""failing":{"since":"#),
        "{}",
        shown.body
    );
    let forgotten = http::delete(admin, "/api/v1/policies/a.test").await;
    assert_eq!(forgotten.status, 204, "{}", forgotten.body);
    let gone = http::get(admin, "/api/v1/policies/a.test").await;
    assert_eq!(gone.status, 404);
    assert_eq!(
        world.send().await,
        OPEN,
        "asked for anew, and not to be had"
    );
}

/// The waxseal command, with a configuration that names the admin endpoint of this house and another store.
async fn command(house: &House, arguments: &'static [&'static str]) -> (Option<i32>, String) {
    let file = house.folder().join("cli.toml");
    let text = format!(
        "admin = {{ listen = '{}' }}\nstore = {{ path = 'other.db' }}",
        house.admin()
    );
    std::fs::write(&file, text).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_waxseal"))
            .arg("--config")
            .arg(file)
            .arg("policy")
            .args(arguments)
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_command_asks_the_waxseal_that_runs() {
    let world = World::with(&enforce(&["*.a.test"])).await;
    let (code, said) = command(&world.house, &["show", "a.test"]).await;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = command(&world.house, &["refresh", "a.test"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("domain        a.test\nmode          enforce\n"),
        "{said}"
    );
    let (_, said) = command(&world.house, &["list"]).await;
    assert!(said.contains("\na.test  "), "{said}");
    world.web.answer(Answer::Resets);
    let (code, said) = command(&world.house, &["refresh", "a.test"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was not refreshed: "), "{said}");
    let (_, said) = command(&world.house, &["list"]).await;
    assert!(
        said.contains(" refreshes fail since 2027-01-01T00:00:00Z: "),
        "{said}"
    );
    let (code, _) = command(&world.house, &["forget", "a.test"]).await;
    assert_eq!(code, Some(0));
    let (_, said) = command(&world.house, &["list"]).await;
    assert_eq!(said, "no MTA-STS policy is remembered\n");
}

/// What `check` finds out, in the folder of this house.
async fn check(house: &House, depth: Depth) -> Report {
    let config = Config::load(Some(&house.folder().join("waxseal.toml"))).unwrap();
    let gate = app::gate(&config).await.unwrap();
    let request = Request {
        destination: "a.test".parse().unwrap(),
        sender: None,
        depth,
    };
    check::run(&gate, request).await
}

#[tokio::test]
async fn check_shows_record_policy_times_and_which_hosts_are_named() {
    let text = enforce(&["mx1.a.test", "\u{1b}[31m.b.test"]);
    let world = World::with(&text).await;
    let report = check(&world.house, Depth::Facts).await.text();
    let error = "MTA-STS   none: the policy cannot be fetched: the policy is not valid: line ";
    assert!(report.contains(error), "{report}");
    assert!(!report.contains('\u{1b}'), "{report}");
    world.house.metrics().await;
    world.clock.advance(5 * 60);
    let text = enforce(&["mx1.a.test", "*.b.test"]);
    world.web.answer(Response::text(&text));
    let report = check(&world.house, Depth::Connect).await;
    let text = report.text();
    for line in [
        "MTA-STS   policy in mode enforce",
        "MTA-STS   _mta-sts.a.test TXT v=STSv1; id=1;",
        "MTA-STS   id 1",
        "MTA-STS   fetched 20",
        "MTA-STS   expires 20",
        "MTA-STS   next refresh 20",
        "MTA-STS   | version: STSv1",
        "MTA-STS   | mx: mx1.a.test",
        "MTA-STS   mx1.a.test: named by mx: mx1.a.test",
        "MTA-STS   mx2.a.test: not named by the policy",
        "must      mx1.a.test: TLS, trusted by ",
        "must      mx2.a.test: not tried: mx2.a.test: the MTA-STS policy of a.test names other MX hosts",
        "          ready, authentication pkix",
        "verdict   authenticated: mail would be delivered, authenticated",
    ] {
        assert!(
            text.lines().any(|told| told.starts_with(line)),
            "no {line:?} in\n{text}"
        );
    }
    let json = report.json();
    assert_eq!(json["mta_sts"]["record"][0], "v=STSv1; id=1;");
    assert_eq!(json["mta_sts"]["policy"]["mode"], "enforce");
    assert_eq!(json["hosts"][1]["mta_sts"], "not named by the policy");
    assert_eq!(report.grade().exit_code(), 0);
}

#[tokio::test]
async fn check_tells_what_a_tested_policy_would_have_forbidden() {
    let world = World::with(&policy("testing", DAY, &["mx1.a.test"])).await;
    world.neither_offers_tls();
    let report = check(&world.house, Depth::Connect).await;
    let text = report.text();
    let line = "          fails the tested MTA-STS policy: mx1.a.test[";
    assert!(text.contains(line), "{text}");
    let tested = &report.json()["connections"][0]["mta_sts_testing"];
    assert!(
        tested.as_str().unwrap().contains("STARTTLS is not offered"),
        "{tested}"
    );
    assert_eq!(report.grade().exit_code(), 1);
}

/// Sessions that ask for the same domain before anybody knows its policy.
const CROWD: usize = 1000;

#[tokio::test]
async fn a_thousand_first_deliveries_make_one_fetch() {
    rlimit::increase_nofile_limit(8192).unwrap();
    let listener = format!("max_sessions = {}", CROWD + 10);
    // Nobody shall run out of time before the crowd has had its turn.
    let config = format!(
        "dns = {{ timeout = '30s' }}\nlistener = [{{ kind = 'relay', listen = '127.0.0.1:0', {listener} }}]"
    );
    let world = World::new(&enforce(&["mx.b.test"]), &config, "").await;
    world.web.hold();
    let ask = |mut mta: Mta| async move {
        mta.command("MAIL FROM:<s@b.test>").await;
        let reply = mta.command("RCPT TO:<r@a.test>").await;
        status(&reply)
    };
    // Few at a time: the queue of a listener may be short.
    let connect = stream::iter(0..CROWD).map(|_| world.house.smtp_client());
    let mtas: Vec<Mta> = connect.buffered(20).collect().await;
    let asking = join_all(mtas.into_iter().map(ask));
    let release = async {
        // All have come to the record by then, or will meet what the first one brought.
        world
            .web
            .until("the fetch", |record| record.requests.len() == 1)
            .await;
        world.web.release();
    };
    let (answers, ()) = join(asking, release).await;
    let other = answers.iter().find(|answer| *answer != "451 4.7.5");
    assert_eq!(other, None);
    assert_eq!(world.web.connections(), 1);
}

#[tokio::test]
async fn each_domain_of_a_message_meets_its_own_policy() {
    let world = World::with(&enforce(&["*.a.test"])).await;
    world.neither_offers_tls();
    let zone =
        world.hosts() + &format!("b.test MX 10 mx1.a.test\n{RECORD} TXT \"v=STSv1; id=1;\"\n");
    world.dns.replace(&zone);
    let mut mta = Mta::lmtp(world.house.lmtp()).await;
    let sent = mta
        .deliver("s@c.test", &["r@a.test", "r@b.test"], BODY)
        .await;
    assert_eq!(status(&sent.rcpt[0]), "451 4.7.4");
    assert_eq!(sent.end_codes(), [250], "same hosts, another domain");
}
