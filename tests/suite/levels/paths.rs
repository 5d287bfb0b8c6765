//! The way that a message takes between hosts, connections and rules.

use super::trusting;
use crate::support::ca::{Ca, Leaf, Signer};
use crate::support::house::{House, Setup};
use crate::support::mta::{Chunk, Delivery};
use crate::support::mx::{Act, Mx, Script, StartTls, capabilities};
use crate::support::zone::Dns;

const BODY: &[u8] = b"Subject: wax\r\n\r\nhello\r\n";
const SECURE: &str = "rule = [{ domains = ['a.test'], tls = 'secure', match = ['hostname'] }]";

/// `mx1.a.test` with preference 10 and `mx2.a.test` with 20.
struct Pair {
    first: Mx,
    second: Mx,
    house: House,
    _dns: Dns,
}

impl Pair {
    /// At `127.2.<net>.1` and `.2`.
    async fn start(net: u8, ca: &Ca, rules: &str, first: Script, second: Script) -> Self {
        let (one, two) = (format!("127.2.{net}.1"), format!("127.2.{net}.2"));
        let [first, second] = Mx::together([(one.as_str(), first), (two.as_str(), second)]).await;
        let zone = format!(
            "a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\nmx1.a.test A {one}\nmx2.a.test A {two}"
        );
        let dns = Dns::start(&zone).await;
        let house = trusting(ca, &dns, first.port(), rules).await;
        Self {
            first,
            second,
            house,
            _dns: dns,
        }
    }

    async fn deliver(&self) -> Delivery {
        deliver(&self.house, "s@b.test").await
    }
}

async fn deliver(house: &House, from: &str) -> Delivery {
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver(from, &["r@a.test"], BODY).await;
    mta.quit().await;
    sent
}

/// A house and one MX, `mx.a.test` at `127.2.<net>.1`.
async fn single(net: u8, script: Script, setup: Setup<'_>) -> (House, Mx, Dns) {
    let ip = format!("127.2.{net}.1");
    let mx = Mx::start(&ip, 0, script).await;
    let dns = Dns::start(&format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}")).await;
    (House::start(&dns, mx.port(), setup).await, mx, dns)
}

fn rules(rules: &str) -> Setup<'_> {
    Setup {
        rules,
        ..Setup::default()
    }
}

fn breaking() -> Script {
    Script {
        starttls: StartTls::Breaks(Act::Close),
        ..Script::default()
    }
}

fn self_signed(ca: &Ca, host: &str) -> Script {
    Script::with_tls(ca.issue(Leaf {
        signer: Signer::Itself,
        ..Leaf::for_host(host)
    }))
}

/// The verbs that the MX heard on one connection.
fn verbs(mx: &Mx, connection: usize) -> Vec<String> {
    let commands = mx.record().commands;
    let here = commands
        .iter()
        .filter(|command| command.connection == connection);
    here.map(|command| command.line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn may_falls_back_on_a_fresh_connection_after_a_failed_handshake() {
    let (house, mx, _dns) = single(
        30,
        breaking(),
        rules("rule = [{ domains = ['a.test'], tls = 'may' }]"),
    )
    .await;
    assert_eq!(deliver(&house, "s@b.test").await.end_codes(), [250]);
    mx.idle().await;
    assert_eq!(mx.connections(), 2);
    assert_eq!(verbs(&mx, 0), ["EHLO", "STARTTLS"]);
    assert_eq!(verbs(&mx, 1), ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]);
}

#[tokio::test]
async fn there_is_no_fallback_where_the_operator_forbids_it() {
    let config = "tls = { plaintext_fallback = false }";
    let (house, mx, _dns) = single(
        31,
        breaking(),
        Setup {
            config,
            ..Setup::default()
        },
    )
    .await;
    let sent = deliver(&house, "s@b.test").await;
    assert_eq!(
        (sent.rcpt[0].code, sent.rcpt[0].enhanced()),
        (451, Some("4.7.5"))
    );
    assert!(
        sent.rcpt[0]
            .text()
            .contains("mx.a.test[127.2.31.1]: TLS handshake failed")
    );
    mx.idle().await;
    assert_eq!((mx.connections(), mx.heard("MAIL")), (1, 0));
    let blocked = r#"waxseal_blocked_total{policy="opportunistic",reason="validation-failure"}"#;
    assert!((house.metric(blocked).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_failed_requirement_is_never_tried_again_in_plaintext() {
    let ca = Ca::new("Test CA");
    for (net, script) in [
        (32, self_signed(&ca, "mx1.a.test")),
        (33, breaking()),
        (34, Script::default()),
    ] {
        let pair = Pair::start(net, &ca, SECURE, script.clone(), script).await;
        let sent = pair.deliver().await;
        assert_eq!(sent.rcpt[0].code, 451, "{}", sent.rcpt[0]);
        for mx in [&pair.first, &pair.second] {
            mx.idle().await;
            assert_eq!(
                (mx.connections(), mx.heard("MAIL")),
                (1, 0),
                "{:#?}",
                mx.lines()
            );
        }
    }
}

#[tokio::test]
async fn the_next_mx_is_used_when_the_first_fails_its_requirement() {
    let ca = Ca::new("Test CA");
    let good = Script::with_tls(ca.server("mx2.a.test"));
    let pair = Pair::start(35, &ca, SECURE, self_signed(&ca, "mx1.a.test"), good).await;
    let sent = pair.deliver().await;
    assert!(
        sent.end[0].text().ends_with("[mx2.a.test TLSv1.3 pkix]"),
        "{}",
        sent.end[0]
    );
    pair.first.idle().await;
    assert_eq!(pair.first.heard("MAIL"), 0);
    assert_eq!(verbs(&pair.first, 0), ["EHLO", "STARTTLS", "EHLO", "QUIT"]);
}

#[tokio::test]
async fn the_reply_tells_what_the_policy_missed_not_that_another_host_is_down() {
    let ca = Ca::new("Test CA");
    let down = Script {
        greeting: Some(Act::Close.into()),
        ..Script::default()
    };
    let pair = Pair::start(36, &ca, SECURE, self_signed(&ca, "mx1.a.test"), down).await;
    let sent = pair.deliver().await;
    assert!(
        sent.rcpt[0]
            .text()
            .starts_with("4.7.5 mx1.a.test[127.2.36.1]: the certificate is not trusted"),
        "{}",
        sent.rcpt[0]
    );
    assert_eq!(pair.second.connections(), 1);
}

#[tokio::test]
async fn preference_is_not_changed_by_safety() {
    let ca = Ca::new("Test CA");
    let good = Script::with_tls(ca.server("mx2.a.test"));
    let pair = Pair::start(37, &ca, "", Script::default(), good).await;
    let sent = pair.deliver().await;
    assert!(
        sent.end[0].text().ends_with("[mx1.a.test plaintext]"),
        "{}",
        sent.end[0]
    );
    assert_eq!(pair.second.connections(), 0);
}

#[tokio::test]
async fn none_never_says_starttls() {
    let script = Script::with_tls(Ca::new("Test CA").server("mx.a.test"));
    let (house, mx, _dns) = single(
        38,
        script,
        rules("rule = [{ domains = ['a.test'], tls = 'none' }]"),
    )
    .await;
    assert_eq!(deliver(&house, "s@b.test").await.end_codes(), [250]);
    assert_eq!(mx.heard("STARTTLS"), 0);
    assert!(!mx.message().tls);
}

#[tokio::test]
async fn starttls_is_not_said_where_it_is_not_offered() {
    let (house, mx, _dns) = single(
        39,
        Script::default(),
        rules("rule = [{ domains = ['a.test'], tls = 'encrypt' }]"),
    )
    .await;
    assert_eq!(deliver(&house, "s@b.test").await.rcpt[0].code, 451);
    mx.idle().await;
    assert_eq!(verbs(&mx, 0), ["EHLO", "QUIT"]);
}

#[tokio::test]
async fn a_rule_for_one_sender_is_for_nobody_else() {
    let rules_of = "rule = [{ domains = ['a.test'], senders = ['bank.test'], tls = 'encrypt' }]";
    let (house, mx, _dns) = single(40, Script::default(), rules(rules_of)).await;
    for (sender, code) in [
        ("s@bank.test", 451),
        ("s@BANK.test", 451),
        ("s@other.test", 250),
        ("s@sub.bank.test", 250),
        ("", 250),
    ] {
        let sent = deliver(&house, sender).await;
        assert_eq!(
            sent.end.first().unwrap_or(&sent.rcpt[0]).code,
            code,
            "{sender}"
        );
    }
    let froms: Vec<_> = mx
        .messages()
        .into_iter()
        .map(|message| message.from)
        .collect();
    assert_eq!(froms, ["s@other.test", "s@sub.bank.test", ""]);
}

#[tokio::test]
async fn a_route_goes_to_its_own_host_and_port_and_the_mx_is_left_alone() {
    let ca = Ca::new("Test CA");
    let gateway = Mx::start("127.2.41.2", 0, Script::with_tls(ca.server("gateway.test"))).await;
    let mx = Mx::start("127.2.41.1", 0, Script::default()).await;
    let zone = "a.test MX 10 mx.a.test\nmx.a.test A 127.2.41.1\ngateway.test A 127.2.41.2";
    let dns = Dns::start(zone).await;
    let rules = format!(
        "rule = [{{ domains = ['a.test'], tls = 'secure', match = ['hostname'], route = 'gateway.test:{}' }}]",
        gateway.port()
    );
    let house = trusting(&ca, &dns, mx.port(), &rules).await;
    let sent = deliver(&house, "s@b.test").await;
    assert!(
        sent.end[0].text().ends_with("[gateway.test TLSv1.3 pkix]"),
        "{}",
        sent.end[0]
    );
    assert_ne!(gateway.port(), mx.port());
    assert_eq!(gateway.message().recipients, ["r@a.test"]);
    assert_eq!(mx.connections(), 0);
}

#[tokio::test]
async fn a_rule_for_mx_hosts_holds_for_every_domain_that_they_serve() {
    let mx = Mx::start("127.2.42.1", 0, Script::default()).await;
    let zone = "\
        a.test MX 10 in.eu.hosting.test\n b.test MX 10 mx.b.test\n\
        in.eu.hosting.test A 127.2.42.1\n mx.b.test A 127.2.42.1";
    let dns = Dns::start(zone).await;
    let house = House::with_rules(
        &dns,
        mx.port(),
        "rule = [{ mx = ['*.hosting.test'], tls = 'encrypt' }]",
    )
    .await;
    let mut mta = house.lmtp_client().await;
    let sent = mta
        .deliver("s@c.test", &["r@a.test", "r@b.test"], BODY)
        .await;
    assert_eq!(
        (sent.rcpt[0].code, sent.rcpt[0].enhanced()),
        (451, Some("4.7.4"))
    );
    assert_eq!(sent.end_codes(), [250]);
    assert_eq!(mx.message().recipients, ["r@b.test"]);
    mta.quit().await;
}

/// A script whose capabilities in the clear and under TLS differ.
fn two_faced(before: &[&str], under_tls: &[&str]) -> Script {
    Script {
        capabilities: capabilities(before),
        capabilities_tls: Some(capabilities(under_tls)),
        ..Script::with_tls(Ca::new("Test CA").server("mx.a.test"))
    }
}

/// One message with SIZE and DSN parameters, as one BDAT chunk; what the MX heard of it.
async fn heard_of(house: &House, mx: &Mx) -> Vec<String> {
    let mut mta = house.smtp_client().await;
    assert_eq!(
        mta.command("MAIL FROM:<s@b.test> SIZE=10 RET=HDRS")
            .await
            .code,
        250
    );
    assert_eq!(
        mta.command("RCPT TO:<r@a.test> NOTIFY=NEVER").await.code,
        250
    );
    assert_eq!(mta.bdat(b"wax\r\n", Chunk::Last).await.code, 250);
    mta.quit().await;
    let heard = mx.record().commands;
    let under_tls = heard.iter().filter(|command| command.tls);
    under_tls
        .map(|command| command.line.clone())
        .skip(1)
        .take(3)
        .collect()
}

#[tokio::test]
async fn what_is_offered_only_under_tls_is_used() {
    let (house, mx, _dns) = single(
        43,
        two_faced(&[], &["SIZE", "DSN", "CHUNKING"]),
        Setup::default(),
    )
    .await;
    assert_eq!(
        heard_of(&house, &mx).await,
        [
            "MAIL FROM:<s@b.test> SIZE=10 RET=HDRS",
            "RCPT TO:<r@a.test> NOTIFY=NEVER",
            "BDAT 5 LAST"
        ]
    );
}

#[tokio::test]
async fn what_was_offered_only_in_the_clear_is_forgotten() {
    let (house, mx, _dns) = single(
        44,
        two_faced(&["SIZE", "DSN", "CHUNKING"], &[]),
        Setup::default(),
    )
    .await;
    assert_eq!(
        heard_of(&house, &mx).await,
        ["MAIL FROM:<s@b.test>", "RCPT TO:<r@a.test>", "DATA"]
    );
}
