//! `waxseal simulate`: a log in, what its destinations would meet out.

use tempfile::TempDir;
use waxseal::app;
use waxseal::check::Depth;
use waxseal::config::Config;
use waxseal::simulate::{self, Effort, Kind, Simulation};

use crate::support::ca::Ca;
use crate::support::golden;
use crate::support::mx::{Mx, Script};
use crate::support::zone::Dns;

const RULES: &str = "\
[[rule]]
domains = ['*']
tls = 'may'

[[rule]]
domains = ['sealed.test']
tls = 'secure'
match = ['hostname']

[[rule]]
domains = ['tls.test', 'open.test']
tls = 'encrypt'

[[rule]]
domains = ['bare.test']
tls = 'none'
";

/// Two messages to each, one of which left in plaintext.
const LOG: &str = "\
Nov 24 10:00:00 m postfix/smtp[1]: Untrusted TLS connection established to mx.sealed.test[192.0.2.1]:25: TLSv1.3 with cipher x
Nov 24 10:00:00 m postfix/smtp[1]: 4QcR1z3zX1: to=<u@sealed.test>, relay=mx.sealed.test[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
Nov 24 10:00:01 m postfix/smtp[1]: 4QcR1z3zX2: to=<u@open.test>, relay=mx.open.test[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
Nov 24 10:00:01 m postfix/smtp[1]: 4QcR1z3zX3: to=<u@open.test>, relay=mx.open.test[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
2026-11-24 10:00:00 1vNVd3-0007Pj-2C => u@tls.test R=r T=t H=mx.tls.test [192.0.2.1] X=TLS1.3:x:256 CV=yes C=\"250 ok\"
2026-11-24 10:00:00 1vNVd3-0007Pj-2D => u@bare.test R=r T=t H=mx.bare.test [192.0.2.1] C=\"250 ok\"
2026-11-24 10:00:00 1vNVd3-0007Pj-2E => u@offered.test R=r T=t H=mx.offered.test [192.0.2.1] C=\"250 ok\"
2026-11-24 10:00:00 1vNVd3-0007Pj-2F ** u@gone.test R=r T=t H=mx.gone.test [192.0.2.1]: SMTP error
";

struct World {
    _mx: [Mx; 5],
    _dns: Dns,
    folder: TempDir,
}

impl World {
    /// MX hosts at `127.2.<net>.1` and further.
    async fn start(net: u8) -> Self {
        let ca = Ca::new("Test CA");
        let domains = ["sealed", "tls", "open", "bare", "offered"];
        let ips: [String; 5] = std::array::from_fn(|at| format!("127.2.{net}.{}", at + 1));
        let mut zone = String::new();
        for (domain, ip) in domains.iter().zip(&ips) {
            zone += &[
                format!("{domain}.test MX 10 mx.{domain}.test"),
                format!("mx.{domain}.test A {ip}\n"),
            ]
            .join("\n");
        }
        let mut at = ips.iter();
        let mx = domains.map(|domain| {
            let script = match domain {
                "open" => Script::default(),
                _ => Script::with_tls(ca.server(&format!("mx.{domain}.test"))),
            };
            (at.next().unwrap().as_str(), script)
        });
        let mx = Mx::together(mx).await;
        let dns = Dns::start(&zone).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/a.toml"), RULES).unwrap();
        let config = format!(
            r#"
            policies = "policies"
            store = {{ path = ":memory:" }}
            dns = {{ servers = ["{}"], timeout = "1s", attempts = 1, dnssec = "off" }}
            mx = {{ port = {}, allow_networks = ["127.0.0.0/8"] }}
            tls = {{ roots = "none", ca_files = ["ca.pem"] }}
            "#,
            dns.address(),
            mx[0].port()
        );
        std::fs::write(folder.path().join("waxseal.toml"), config).unwrap();
        Self {
            _mx: mx,
            _dns: dns,
            folder,
        }
    }

    async fn simulate(&self, depth: Depth) -> Simulation {
        let config = Config::load(Some(&self.folder.path().join("waxseal.toml"))).unwrap();
        let gate = app::gate(&config).await.unwrap();
        let tally = simulate::read(Kind::Log, LOG.as_bytes()).unwrap();
        let effort = Effort { depth, jobs: 3 };
        simulate::run(&gate, tally, effort, || ()).await
    }
}

#[tokio::test]
async fn a_log_is_weighed_by_the_rules() {
    let world = World::start(130).await;
    let facts = world.simulate(Depth::Facts).await;
    golden::compare("simulate.facts", &facts.text());
    let connected = world.simulate(Depth::Connect).await;
    let text = connected.text().replace("127.2.130.", "127.2.0.");
    golden::compare("simulate.connect", &text);
}

#[tokio::test]
async fn programs_get_the_same() {
    let world = World::start(131).await;
    let simulation = world.simulate(Depth::Facts).await;
    let json: serde_json::Value = serde_json::from_str(&simulation.json()).unwrap();
    assert_eq!(json["would_block"], 2);
    assert_eq!(json["fates"][0]["fate"], "sealed");
    assert_eq!(json["domains"][0]["domain"], "open.test");
    let csv = simulation.csv().unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "domain,messages,unsent,fate,authentication,policy,rule,reason,why,log_plaintext,log_unproven,log_proven,would_block",
            "open.test,2,0,encrypted,none,rule,a.toml:10,,,2,0,0,2"
        ]
    );
    assert_eq!(lines.len(), 7);
    for text in [simulation.text(), simulation.json(), csv] {
        assert!(!text.contains('@'), "a mail address in {text}");
    }
}
