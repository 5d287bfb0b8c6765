//! Every level against every kind of MX: what the MTA is told, and what is counted.
//! The expectations are `tests/data/levels.table`; `paths` has what needs more than one MX or a look behind.

mod paths;

use futures_util::future::join_all;

use crate::support::ca::{Ca, Leaf, Period, Signer};
use crate::support::golden;
use crate::support::house::{House, Setup};
use crate::support::mx::{Act, Mx, Script, StartTls, Tls, Versions, reply};
use crate::support::tally::Tally;
use crate::support::zone::Dns;

/// The kinds of MX, and one script for each.
fn kinds(ca: &Ca) -> [(&'static str, Script); 11] {
    let leaf = || Leaf::for_host("mx.a.test");
    let offering = |leaf| StartTls::with(ca.issue(leaf));
    let speaking = |versions| {
        let identity = ca.issue(leaf());
        StartTls::Offered(Tls {
            versions,
            ..Tls::with(identity)
        })
    };
    let no_tls = Act::Send(b"\x15\x03\x03\x00\x02\x02\x28".to_vec());
    [
        ("no TLS", StartTls::Absent),
        ("good", offering(leaf())),
        (
            "self-signed",
            offering(Leaf {
                signer: Signer::Itself,
                ..leaf()
            }),
        ),
        (
            "expired",
            offering(Leaf {
                period: Period::Expired,
                ..leaf()
            }),
        ),
        ("other name", offering(Leaf::for_host("mx.b.test"))),
        ("handshake breaks", StartTls::Breaks(no_tls)),
        (
            "refused 454",
            StartTls::Answers(reply(454, "4.7.0 not today")),
        ),
        (
            "refused 502",
            StartTls::Answers(reply(502, "5.5.1 not known")),
        ),
        ("stripped", StartTls::Stripped(Tls::with(ca.issue(leaf())))),
        ("TLS 1.2 only", speaking(Versions::Only12)),
        ("TLS 1.3 only", speaking(Versions::Only13)),
    ]
    .map(|(kind, starttls)| {
        (
            kind,
            Script {
                starttls,
                ..Script::default()
            },
        )
    })
}

/// Each level, as the keys of its rule; `PRINT` stands for the fingerprint of the good certificate.
const LEVELS: [&str; 14] = [
    "",
    "tls = 'none'",
    "tls = 'may'",
    "tls = 'standard'",
    "tls = 'standard', floor = 'encrypt'",
    "tls = 'encrypt'",
    "tls = 'encrypt', min_version = '1.3'",
    "tls = 'dane-only'",
    "tls = 'secure', match = ['hostname']",
    "tls = 'fingerprint', fingerprints = ['PRINT']",
    "tls = 'encrypt', mode = 'observe'",
    "tls = 'dane-only', mode = 'observe'",
    "tls = 'secure', match = ['hostname'], mode = 'observe'",
    "tls = 'fingerprint', fingerprints = ['PRINT'], mode = 'observe'",
];

const HEAD: &str = "\
# What comes of a message: each level of a rule against each kind of MX. Behind the kind: what the MTA is told at
# RCPT or at the end of the data, and how many connections the MX saw; below it the counters that went up by one:
# deliveries by authentication, encryption and policy, blocked and would_block by policy and reason.
# tests/suite/levels.rs writes this text and compares.
";

#[tokio::test]
async fn every_level_meets_every_kind_of_mx_as_the_table_says() {
    let ca = Ca::new("Test CA");
    let kinds = kinds(&ca);
    let good = match &kinds[1].1.starttls {
        StartTls::Offered(tls) => format!("sha256:{}", tls.identity.sha256()),
        _ => unreachable!("the good one offers TLS"),
    };
    let levels = LEVELS.iter().enumerate().map(|(at, level)| {
        let rule = level.replace("PRINT", &good);
        let (ca, kinds) = (&ca, &kinds);
        async move {
            let title = if level.is_empty() {
                "without a rule"
            } else {
                level
            };
            format!("\n== {title}\n{}", of_level(ca, at + 1, &rule, kinds).await)
        }
    });
    let actual = join_all(levels).await.concat();
    golden::compare("levels.table", &format!("{HEAD}{actual}"));
}

/// One level against all kinds.
async fn of_level(ca: &Ca, number: usize, rule: &str, kinds: &[(&str, Script)]) -> String {
    let ip = format!("127.2.{number}.1");
    let mx = Mx::start(&ip, 0, Script::default()).await;
    let dns = Dns::start(&format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}")).await;
    let rules = if rule.is_empty() {
        String::new()
    } else {
        format!("rule = [{{ domains = ['a.test'], {rule} }}]")
    };
    let house = trusting(ca, &dns, mx.port(), &rules).await;
    let mut text = String::new();
    for (kind, script) in kinds {
        mx.play(script.clone());
        let fate = of_kind(&house, &mx).await;
        text.extend([*kind, ": ", fate.as_str()]);
    }
    text
}

/// A house whose only root is `ca`, and where each connection begins from nothing.
async fn trusting(ca: &Ca, dns: &Dns, mx_port: u16, rules: &str) -> House {
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), ca.pem()).unwrap();
    let config = format!(
        "tls = {{ roots = 'none', ca_files = ['{}'], resume_for = '0s' }}",
        roots.path().display()
    );
    let setup = Setup {
        config: &config,
        rules,
        ..Setup::default()
    };
    House::start(dns, mx_port, setup).await
}

/// One message; the MTA's lot, and what was counted.
async fn of_kind(house: &House, mx: &Mx) -> String {
    let before = Tally::of(house).await;
    let seen = mx.record();
    let mut mta = house.smtp_client().await;
    let sent = mta
        .deliver("s@b.test", &["r@a.test"], b"Subject: wax\r\n\r\nhello\r\n")
        .await;
    mta.quit().await;
    let fate = sent.end.last().unwrap_or(&sent.rcpt[0]).to_string();
    let connections = mx.connections() - seen.connections;
    let moved = before.since(house).await;
    assert_nothing_reached_an_unauthorized_mx(mx, seen.commands.len(), sent.code());
    format!("{fate} ({connections})\n   {moved}\n")
}

/// Without a proof there is no envelope: MAIL FROM goes with a delivery and only with one.
fn assert_nothing_reached_an_unauthorized_mx(mx: &Mx, before: usize, code: u16) {
    let mails = mx
        .lines()
        .split_off(before)
        .into_iter()
        .filter(|line| line.starts_with("MAIL"));
    assert_eq!(mails.count(), usize::from(code == 250), "{:#?}", mx.lines());
}
