//! waxseal's resolver in a lab of real name servers: `tests/interop/dnssec/run` sets it up and runs this.
//!
//! The lab is a folder, named by `WAXSEAL_DNSSEC_LAB`. `cases.tsv` has a question a line and what is true of
//! it, by construction of the zones: `S`, `I` or `B`/`F` for secure, insecure, and bogus or failed, with `+` for
//! records, `nd` for NODATA, `nx` for NXDOMAIN. `attacks.tsv` has questions that an attacker on the path answers.
//! `servers.tsv` names the upstreams. `anchor.zone` holds the key of the root.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must say so and stop"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hickory_resolver::proto::rr::{RData, RecordType};
use waxseal::dns::{Answer, Found, LookupError, Security};
use waxseal::net::resolver::{
    Anchor, DaneNeed, DnsResolver, DnsSettings, DnssecMode, Health, InForce, Path,
};

/// Questions under way at the same time.
const AT_ONCE: usize = 16;

/// A lab that is running.
struct Lab {
    folder: PathBuf,
    servers: HashMap<String, SocketAddr>,
}

/// One question and the truth.
#[derive(Clone)]
struct Case {
    name: String,
    kind: RecordType,
    truth: String,
    note: String,
}

impl Lab {
    fn here() -> Self {
        let folder = std::env::var_os("WAXSEAL_DNSSEC_LAB")
            .expect("tests/interop/dnssec/run sets WAXSEAL_DNSSEC_LAB");
        let mut lab = Self {
            folder: folder.into(),
            servers: HashMap::new(),
        };
        for line in lab.read("servers.tsv").lines() {
            let (name, address) = line.split_once('\t').unwrap();
            lab.servers
                .insert(name.to_owned(), address.parse().unwrap());
        }
        lab
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap()
    }

    fn cases(&self, file: &str) -> Vec<Case> {
        let text = self.read(file);
        let case = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            Case {
                name: fields[1].to_owned(),
                kind: fields[2].parse().unwrap(),
                truth: fields[3].to_owned(),
                note: fields.get(4).copied().unwrap_or_default().to_owned(),
            }
        };
        text.lines().map(case).collect()
    }

    /// A resolver that asks one of the lab's servers, and what its probe showed.
    async fn resolver(&self, server: &str, dnssec: DnssecMode) -> (DnsResolver, Health) {
        let settings = DnsSettings {
            servers: vec![self.servers[server]],
            timeout: Duration::from_secs(8),
            attempts: 1,
            cache_entries: 10_000,
            failed_for: Duration::ZERO,
            dnssec,
            path: Path::Trusted,
            anchor: self.read("anchor.zone").parse::<Anchor>().unwrap(),
            dane: DaneNeed::Opportunistic,
        };
        let resolver = DnsResolver::new(&settings).unwrap();
        let health = resolver.probe().await;
        (resolver, health)
    }
}

/// The answer in the words of the truth.
fn verdict(answer: &Result<Answer<RData>, LookupError>) -> String {
    let Ok(answer) = answer else {
        return "E".to_owned();
    };
    let security = match answer.security {
        Security::Secure => "S",
        Security::Insecure => "I",
    };
    let found = match answer.found {
        Found::Records(_) => "+",
        Found::NoData => "nd",
        Found::NxDomain => "nx",
    };
    format!("{security}{found}")
}

async fn ask(resolver: &DnsResolver, case: &Case) -> Result<Answer<RData>, LookupError> {
    resolver
        .ask(&case.name, case.kind, |data| Some(data.clone()))
        .await
}

/// Where the resolver and the truth differ.
async fn deviations(resolver: &DnsResolver, cases: &[Case]) -> Vec<String> {
    let told = stream::iter(cases).map(|case| async move {
        let answer = ask(resolver, case).await;
        let truth = match case.truth.as_str() {
            "B" | "F" => "E",
            truth => truth,
        };
        let told = verdict(&answer);
        (told != truth).then(|| {
            format!(
                "{} {}: {told}, but {truth} is true ({}); {:?}",
                case.name,
                case.kind,
                case.note,
                answer.as_ref().err()
            )
        })
    });
    told.buffered(AT_ONCE)
        .filter_map(|deviation| async { deviation })
        .collect()
        .await
}

#[tokio::test]
#[ignore = "needs the lab of tests/interop/dnssec/run"]
async fn a_validating_resolver_is_believed_in_every_case() {
    let lab = Lab::here();
    let (resolver, health) = lab.resolver("validating", DnssecMode::TrustAd).await;
    assert_eq!(health.in_force, InForce::TrustAd, "{health}");
    let deviations = deviations(&resolver, &lab.cases("cases.tsv")).await;
    assert!(deviations.is_empty(), "{deviations:#?}");
}

/// Ed448 is no algorithm of aws-lc-rs: zones that have no other are insecure, as RFC 4035 §5.2 says of an unknown
/// one. Nothing else may differ; these five do.
fn unless_ed448(deviations: Vec<String>) -> Vec<String> {
    let (ed448, other): (Vec<String>, Vec<String>) = deviations
        .into_iter()
        .partition(|deviation| deviation.contains("ed448.sec."));
    assert_eq!(ed448.len(), 5, "{ed448:#?}");
    other
}

#[tokio::test]
#[ignore = "needs the lab of tests/interop/dnssec/run"]
async fn own_validation_agrees_with_the_truth_but_for_ed448() {
    let lab = Lab::here();
    for server in ["plain", "validating"] {
        let (resolver, health) = lab.resolver(server, DnssecMode::Validate).await;
        assert_eq!(health.in_force, InForce::Validate, "{health}");
        let deviations = unless_ed448(deviations(&resolver, &lab.cases("cases.tsv")).await);
        assert!(deviations.is_empty(), "by {server}: {deviations:#?}");
    }
}

/// A message that an attacker answers must wait, or get the truth: a forgery is neither data nor absence.
#[tokio::test]
#[ignore = "needs the lab of tests/interop/dnssec/run"]
async fn own_validation_refuses_every_forgery() {
    let lab = Lab::here();
    let attacks = lab.cases("attacks.tsv");
    assert!(attacks.len() >= 15, "{}", attacks.len());
    let mut accepted = Vec::new();
    for attack in attacks {
        // `truth` holds the server whose answers are forged.
        let (resolver, health) = lab.resolver(&attack.truth, DnssecMode::Validate).await;
        assert_eq!(health.in_force, InForce::Validate, "{health}");
        match ask(&resolver, &attack).await {
            Err(_) => {}
            // RFC 6672 §3.4: only the signed DNAME counts, so that a forged CNAME beside it does no harm.
            Ok(answer) if attack.note.contains("DNAME") => {
                assert_eq!(answer.security, Security::Secure, "{answer:?}");
                let address = RData::A("127.53.5.8".parse().unwrap());
                assert_eq!(answer.found, Found::Records(vec![address]));
            }
            Ok(answer) => accepted.push(format!("{} {}: {answer:?}", attack.name, attack.note)),
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

/// What `dnssec = "auto"` makes of each kind of name server.
#[tokio::test]
#[ignore = "needs the lab of tests/interop/dnssec/run"]
async fn auto_finds_out_what_each_kind_of_server_is_good_for() {
    let lab = Lab::here();
    for (server, wanted) in [
        ("validating", InForce::TrustAd),
        ("plain", InForce::Validate),
        ("stripping", InForce::Unavailable),
        // Without EDNS there are no signatures, but the AD bit there is.
        ("no-edns", InForce::TrustAd),
        ("ad-only", InForce::TrustAd),
        ("one-hop", InForce::Validate),
    ] {
        let (resolver, health) = lab.resolver(server, DnssecMode::Auto).await;
        assert_eq!(health.in_force, wanted, "{server}: {health}");
        // Whatever the server is, mail for a domain that is not signed gets through.
        let case = Case {
            name: "ins.sec.".to_owned(),
            kind: RecordType::MX,
            truth: String::new(),
            note: String::new(),
        };
        let answer = ask(&resolver, &case).await;
        assert_eq!(verdict(&answer), "I+", "{server}: {answer:?}");
    }
}

/// Servers that answer oddly, but truly.
#[tokio::test]
#[ignore = "needs the lab of tests/interop/dnssec/run"]
async fn odd_servers_that_tell_the_truth_are_understood() {
    let lab = Lab::here();
    let cases = lab.cases("cases.tsv");
    for server in ["ad-only", "no-edns"] {
        let (resolver, _) = lab.resolver(server, DnssecMode::TrustAd).await;
        let deviations = deviations(&resolver, &cases).await;
        assert!(deviations.is_empty(), "by {server}: {deviations:#?}");
    }
}

/// A server that answers one alias at a time leaves out the proofs of wildcards and the DNAMEs: what lacks its
/// proof is bogus, and all else is as it should be.
#[tokio::test]
#[ignore = "needs the lab of tests/interop/dnssec/run"]
async fn one_alias_at_a_time_is_followed() {
    let lab = Lab::here();
    let (resolver, _) = lab.resolver("one-hop", DnssecMode::Validate).await;
    let unproven = |deviation: &String| {
        deviation.contains(": E, ")
            && (deviation.contains("wildcard CNAME") || deviation.contains("DNAME"))
    };
    let mut deviations = unless_ed448(deviations(&resolver, &lab.cases("cases.tsv")).await);
    deviations.retain(|deviation| !unproven(deviation));
    assert!(deviations.is_empty(), "{deviations:#?}");
}
