//! What is known in, what follows out: rules, the decision, TLSA records, the answer for Postfix.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use tokio::runtime::Runtime;
use waxseal::app::{gate, told};
use waxseal::config::Config;
use waxseal::dane::{TlsaSet, verify};
use waxseal::dns::{Answer, Found, Security, Tlsa};
use waxseal::name::{Destination, Host, MailHost};
use waxseal::policy::decide::{Question, decide};
use waxseal::policy::downgrade::{Guard, Response};
use waxseal::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, MtaSts, NoMtaSts};
use waxseal::policy::handshake::{Fingerprint, TlsVersion};
use waxseal::policy::postfix::{Answer as MapAnswer, Attributes};
use waxseal::policy::requirement::{Mode, Roots};
use waxseal::policy::rules::{
    Hits, Level, MtaStsUse, Origin, Pattern, Query, Rule, Rules, SenderScope, ServerName,
};
use waxseal::time::UnixTime;

use crate::support::ca::{Ca, Identity, Leaf, Signer};
use crate::support::zone::Dns;

const NOW: UnixTime = UnixTime(1_800_000_000);
const RULES: usize = 100_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    rules(criterion);
    decision(criterion);
    tlsa(criterion);
    answer(criterion);
}

fn rule(number: usize) -> Rule {
    let domain = format!("d{number}.partner.example").parse().unwrap();
    Rule {
        pattern: Pattern::Exact(Destination::Domain(domain)),
        sender: SenderScope::Anyone,
        level: Level::Encrypt,
        min_version: TlsVersion::Tls12,
        mta_sts: MtaStsUse::Followed,
        server_name: ServerName::Hostname,
        route: None,
        mode: Mode::Enforce,
        reason: None,
        expires: None,
        origin: Origin {
            file: "partners.toml".into(),
            line: number,
        },
        hits: Hits::default(),
    }
}

/// One rule among very many, and none.
fn rules(criterion: &mut Criterion) {
    let rules = Rules::new((0..RULES).map(rule).collect(), NOW).unwrap();
    for (name, domain, found) in [
        ("rules, hit", "d77777.partner.example", true),
        ("rules, miss", "mail.somebody.else.example", false),
    ] {
        let destination: Destination = domain.parse().unwrap();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let query = Query {
                    destination: black_box(&destination),
                    sender: None,
                    now: NOW,
                };
                assert_eq!(rules.for_domain(&query).is_some(), found);
            });
        });
    }
}

/// A signed domain with two hosts, of which each has TLSA records.
fn decision(criterion: &mut Criterion) {
    let identity = Ca::new("Public").server("mx1.partner.example");
    let set = Arc::new(set_of(&identity, 3));
    let host = |name: &str| HostFacts {
        host: MailHost::Named(name.parse().unwrap()),
        preference: 10,
        addresses: Addresses::Known(vec!["192.0.2.1".parse().unwrap()]),
        dane: Dane::Published(Arc::clone(&set)),
        known: None,
    };
    let destination: Destination = "partner.example".parse().unwrap();
    let facts = Facts {
        next_hop: destination.clone(),
        expanded: None,
        security: Security::Secure,
        hosts: Hosts::Known(vec![
            host("mx1.partner.example"),
            host("mx2.partner.example"),
        ]),
        mta_sts: MtaSts::Absent(NoMtaSts::NotAsked),
    };
    let roots = Arc::new(Roots {
        source: "none".to_owned(),
        anchors: Vec::new(),
    });
    criterion.bench_function("decide", |bencher| {
        bencher.iter(|| {
            decide(black_box(&Question {
                destination: &destination,
                rule: None,
                facts: &facts,
                port: 25,
                roots: &roots,
                guard: Guard {
                    response: Response::Warn,
                    hold: Duration::ZERO,
                },
            }))
        });
    });
}

fn set_of(identity: &Identity, usage: u8) -> TlsaSet {
    let certificate = if usage == 3 {
        identity.chain.first()
    } else {
        identity.chain.last()
    };
    let digest = Fingerprint::of_public_key(certificate.unwrap()).unwrap();
    let record = Tlsa {
        usage,
        selector: 1,
        matching: 1,
        data: digest.0.to_vec(),
    };
    let proven = Answer {
        security: Security::Secure,
        expanded: None,
        found: Found::Records(vec![record]),
    };
    TlsaSet::new(
        "mx1.partner.example".parse().unwrap(),
        25,
        proven.secure().unwrap(),
    )
}

/// The server's own key, and the key of its authority.
fn tlsa(criterion: &mut Criterion) {
    let identity = Ca::new("Public").issue(Leaf {
        signer: Signer::CaSent,
        ..Leaf::for_host("mx1.partner.example")
    });
    let names: Vec<Host> = vec!["mx1.partner.example".parse().unwrap()];
    for (name, usage) in [("tlsa 3 1 1", 3), ("tlsa 2 1 1", 2)] {
        let set = set_of(&identity, usage);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| verify(&set, &names, black_box(&identity.chain), NOW).unwrap());
        });
    }
}

/// What Postfix is told about a domain whose records are in the cache.
fn answer(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("policies");
    std::fs::create_dir(&folder).unwrap();
    let rule = "[[rule]]\ndomains = ['partner.example']\ntls = 'encrypt'\n";
    std::fs::write(folder.join("rules.toml"), rule).unwrap();
    let dns = runtime.block_on(Dns::start(
        "$TTL 86400\npartner.example. MX 10 mx1.partner.example.\nmx1.partner.example. A 192.0.2.1\n",
    ));
    let settings = format!(
        "[dns]\nservers = ['{}']\ndnssec = 'off'\n[store]\npath = ':memory:'\n",
        dns.address()
    );
    let config = Config::parse(&settings, &home.path().join("waxseal.toml")).unwrap();
    let gate = runtime.block_on(gate(&config)).unwrap();
    criterion.bench_function("answer for Postfix, cached", |bencher| {
        bencher.iter(|| {
            let told = runtime.block_on(told(&gate, "partner.example", Attributes::Withheld));
            assert_eq!(*told.answer, MapAnswer::Policy("encrypt".to_owned()));
        });
    });
}
