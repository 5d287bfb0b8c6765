use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::dane;
use crate::dns::LookupError;
use crate::dns::{Answer, Found, Security, Tlsa};
use crate::name::MailHost;
use crate::policy::authorize::{Authentication, Peer};
use crate::policy::cap::{Capped, Rate};
use crate::policy::downgrade::{Downgrade, Known, Shown};
use crate::policy::failure::{CertificateFault, Phase, Unreached};
use crate::policy::handshake::{TlsVersion, WhyPlaintext};
use crate::policy::outcome::Seal;
use crate::policy::requirement::{Demand, Requirement};
use crate::smtp::reply::Reply;
use crate::usage::Usage;

mod hour;

fn peer() -> Peer {
    Peer {
        host: MailHost::Named("mx.a.example".parse().unwrap()),
        address: "192.0.2.1".parse().unwrap(),
    }
}

fn sealed() -> Link {
    Link {
        host: peer().host,
        address: peer().address,
        requirement: Arc::new(Requirement {
            demand: Demand::Encryption,
            tested: None,
            policy: Policy::Rule,
            mode: crate::policy::requirement::Mode::Enforce,
            min_version: TlsVersion::Tls12,
            server_name: None,
            watch: None,
        }),
        handshake: None,
        tlsa: None,
        seal: Seal::Tls {
            version: TlsVersion::Tls13,
            cipher: "TLS_AES_256_GCM_SHA384",
            key_exchange: "X25519MLKEM768",
            authentication: Authentication::Fingerprint,
        },
        would_block: None,
        tested: None,
    }
}

fn outcome() -> Outcome {
    Outcome {
        id: "01kb5cw8r0v4q8zj2m6tn3x9fy".parse().unwrap(),
        listener: Ingress::Lmtp,
        destination: "a.example".parse().unwrap(),
        sender: None,
        policy: Policy::Rule,
        decision: None,
        attempts: Vec::new(),
        link: Some(sealed().into()),
        recipients: 3,
        octets: 1000,
        elapsed: Duration::from_secs(2),
        end: End::Delivered(Reply::new(250, "2.0.0", "ok")),
    }
}

/// What is not zero from the beginning.
const NEVER_ZERO: [&str; 2] = [
    "waxseal_build_info",
    "waxseal_config_last_reload_successful",
];

/// The lines of the metrics that `events` moved away from zero, without histograms and the process.
fn moved(events: &[Event<'_>]) -> Vec<String> {
    let metrics = Metrics::new().unwrap();
    for event in events {
        metrics.record(*event);
    }
    let text = metrics.render().unwrap();
    text.lines()
        .filter(|line| line.starts_with("waxseal_") && !line.ends_with(" 0"))
        .filter(|line| !line.contains("_seconds"))
        .filter(|line| !NEVER_ZERO.iter().any(|name| line.starts_with(name)))
        .map(|line| line.trim_start_matches("waxseal_").to_owned())
        .collect()
}

#[test]
fn what_a_tested_policy_would_have_forbidden_is_counted_beside_the_delivery() {
    let mut outcome = outcome();
    let failure = peer().failure(Fault::StarttlsNotSupported);
    Arc::make_mut(outcome.link.as_mut().unwrap()).tested = Some(Err(failure));
    let moved = moved(&[Event::Outcome(&outcome.clone().into())]);
    assert_eq!(moved.len(), 4, "{moved:?}");
    let would_block =
        "would_block_total{policy=\"mta-sts\",reason=\"starttls-not-supported\"} 1".to_owned();
    assert!(moved.contains(&would_block), "{moved:?}");
}

#[test]
fn fetches_and_look_ups_of_policies_are_counted() {
    let domain = "a.example".parse().unwrap();
    let error = FetchError::Tls("expired".to_owned());
    let fetch = |result| Event::MtaStsFetch {
        domain: &domain,
        result,
        remembered: None,
    };
    assert_eq!(
        moved(&[
            fetch(Ok(())),
            fetch(Err(&error)),
            Event::MtaStsLookup(LookupResult::Found),
        ]),
        [
            "mta_sts_fetches_total{result=\"ok\"} 1",
            "mta_sts_fetches_total{result=\"sts-webpki-invalid\"} 1",
            "policy_lookups_total{result=\"found\",source=\"mta-sts\"} 1",
        ]
    );
}

#[test]
fn policies_are_counted_by_mode_and_by_the_age_of_their_failure() {
    let metrics = Metrics::new().unwrap();
    let stats = Stats {
        by_mode: [(Mode::Enforce, 3), (Mode::Testing, 2), (Mode::None, 1)],
        oldest_failure: Some(UnixTime(1000)),
    };
    metrics.policies(&stats, UnixTime(1600));
    metrics.store(true);
    let text = metrics.render().unwrap();
    for line in [
        "waxseal_mta_sts_policies{mode=\"enforce\"} 3",
        "waxseal_mta_sts_policies{mode=\"testing\"} 2",
        "waxseal_mta_sts_policies{mode=\"none\"} 1",
        "waxseal_mta_sts_oldest_refresh_failure_seconds 600",
        "waxseal_store_ok 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_delivery_is_counted_by_how_it_left() {
    assert_eq!(
        moved(&[Event::Outcome(&outcome().into())]),
        [
            "deliveries_total{authentication=\"fingerprint\",encryption=\"tls\",policy=\"rule\"} 1",
            "message_bytes_total{encryption=\"tls\"} 1000",
            "recipients_total{authentication=\"fingerprint\",encryption=\"tls\",policy=\"rule\"} 3",
        ]
    );
}

#[test]
fn what_enforce_mode_would_have_blocked_is_counted_beside_the_delivery() {
    let mut outcome = outcome();
    outcome.link = Some(
        Link {
            tlsa: None,
            seal: Seal::Open(WhyPlaintext::NotOffered),
            would_block: Some(peer().failure(Fault::StarttlsNotSupported)),
            ..sealed()
        }
        .into(),
    );
    let moved = moved(&[Event::Outcome(&outcome.clone().into())]);
    assert_eq!(
        moved[0],
        "deliveries_total{authentication=\"none\",encryption=\"plaintext\",policy=\"rule\"} 1"
    );
    assert_eq!(
        moved.last().unwrap(),
        "would_block_total{policy=\"rule\",reason=\"starttls-not-supported\"} 1"
    );
}

#[test]
fn blocked_failed_and_rejected_are_told_apart() {
    let ended = |end| Outcome {
        link: None,
        end,
        ..outcome()
    };
    let mismatch = peer().failure(Fault::Certificate(CertificateFault::FingerprintMismatch));
    let outcomes = [
        ended(End::Failed(mismatch)),
        ended(End::Failed(Failure::Dns {
            question: "MX of a.example".to_owned(),
            error: LookupError::ServFail,
        })),
        ended(End::Rejected(Reply::new(550, "5.1.1", "no"))),
        ended(End::Rejected(Reply::new(421, "4.3.2", "later"))),
        ended(End::Abandoned),
    ]
    .map(Arc::new);
    assert_eq!(
        moved(&outcomes.each_ref().map(Event::Outcome)),
        [
            "blocked_total{policy=\"rule\",reason=\"fingerprint-mismatch\"} 1",
            "failures_total{reason=\"dns-failed\"} 1",
            "rejected_total{class=\"4xx\"} 1",
            "rejected_total{class=\"5xx\"} 1",
        ]
    );
}

#[test]
fn sessions_attempts_and_handshakes_are_counted() {
    let handshake = Handshake {
        version: TlsVersion::Tls13,
        cipher: "TLS_AES_128_GCM_SHA256",
        key_exchange: "X25519",
        resumption: Resumption::Full,
        chain: Vec::new(),
    };
    let failure = peer().failure(Fault::OwnListener);
    let second = Duration::from_secs(1);
    assert_eq!(
        moved(&[
            Event::SessionOpened(Ingress::Relay),
            Event::SessionOpened(Ingress::Relay),
            Event::SessionClosed(Ingress::Relay),
            Event::Refused(Ingress::Lmtp, Refusal::TooBig),
            Event::Lookup {
                result: LookupResult::Found,
                elapsed: Some(second),
            },
            Event::Waited(second),
            Event::Connected(second),
            Event::Handshake(&handshake, second),
            Event::Attempt(&peer(), None),
            Event::Attempt(&peer(), Some(&failure)),
        ]),
        [
            "attempts_total{result=\"own-listener\"} 1",
            "attempts_total{result=\"ready\"} 1",
            "policy_lookups_total{result=\"found\",source=\"mx\"} 1",
            "refused_total{listener=\"lmtp\",reason=\"too-big\"} 1",
            "sessions{listener=\"relay\"} 1",
            "sessions_total{listener=\"relay\"} 2",
            "tls_handshakes_total{cipher=\"TLS_AES_128_GCM_SHA256\",key_exchange=\"X25519\",resumed=\"no\",version=\"TLSv1.3\"} 1",
        ]
    );
}

#[test]
fn a_downgrade_is_counted_when_it_begins() {
    let host = "mx.a.example".parse().unwrap();
    let known = Known {
        best: Shown::Tls,
        lost: None,
    };
    let event = |turn| Event::Downgrade {
        host: &host,
        turn,
        known: &known,
    };
    assert_eq!(
        moved(&[
            event(Turn::Lost(Kind::Starttls)),
            event(Turn::Regained),
            event(Turn::Lost(Kind::Authentication)),
            event(Turn::Accepted),
        ]),
        [
            "downgrades_total{kind=\"authentication\"} 1",
            "downgrades_total{kind=\"starttls\"} 1",
        ]
    );
}

#[test]
fn what_is_known_beforehand_starts_at_zero() {
    let text = Metrics::new().unwrap().render().unwrap();
    for line in [
        "waxseal_deliveries_total{authentication=\"none\",encryption=\"plaintext\",policy=\"opportunistic\"} 0",
        "waxseal_blocked_total{policy=\"rule\",reason=\"dane-required\"} 0",
        "waxseal_attempts_total{result=\"null-mx\"} 0",
        "waxseal_config_reloads_total{result=\"failed\"} 0",
        "waxseal_sessions{listener=\"lmtp\"} 0",
        "# HELP waxseal_deliveries_total Messages that an MX accepted",
        concat!(
            "waxseal_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("\nprocess_resident_memory_bytes "));
    // A reason is either the policy's or another's.
    assert!(!text.contains("waxseal_failures_total{reason=\"dane-required\"}"));
}

#[test]
fn a_reload_is_counted_and_what_is_in_force_is_dated() {
    let metrics = Metrics::new().unwrap();
    metrics.in_force(7, UnixTime(1000));
    metrics.reloaded(Reloaded::Failed);
    let text = metrics.render().unwrap();
    assert!(text.contains("waxseal_config_last_reload_timestamp_seconds 1000\n"));
    assert!(text.contains("waxseal_config_reloads_total{result=\"failed\"} 1\n"));
    assert!(text.contains("waxseal_config_reloads_total{result=\"ok\"} 0\n"));
    assert!(text.contains("waxseal_rules 7\n"));
    assert!(text.contains("waxseal_config_last_reload_successful 0\n"));
    metrics.reloaded(Reloaded::Ok);
    let text = metrics.render().unwrap();
    assert!(text.contains("waxseal_config_last_reload_successful 1\n"));
}

#[test]
fn caches_are_counted_by_what_they_answered() {
    let metrics = Metrics::new().unwrap();
    let usage = Usage::default();
    for _ in 0..2 {
        usage.hit();
        usage.miss();
        usage.miss();
        metrics.caches([usage.taken(Cached::Dns, 3)]);
    }
    metrics.caches([usage.taken(Cached::Dns, 1)]);
    let text = metrics.render().unwrap();
    for line in [
        "waxseal_cache_entries{cache=\"dns\"} 1",
        "waxseal_cache_hits_total{cache=\"dns\"} 2",
        "waxseal_cache_misses_total{cache=\"dns\"} 4",
        "waxseal_cache_hits_total{cache=\"hosts\"} 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

/// The lines of the metrics about single domains that are not zero.
fn of_domains(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render().unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("waxseal_domain_"))
        .filter(|line| !line.ends_with(" 0"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn only_listed_domains_have_metrics_of_their_own() {
    let metrics = Metrics::new().unwrap();
    let listed: Vec<Domain> = vec!["a.example".parse().unwrap()];
    let to = |destination: &str| Outcome {
        destination: destination.parse().unwrap(),
        ..outcome()
    };
    let blocked = Outcome {
        end: End::Failed(peer().failure(Fault::StarttlsNotSupported)),
        ..outcome()
    };
    metrics.record(Event::Outcome(&outcome().into()));
    metrics.list(&listed);
    assert!(of_domains(&metrics).is_empty());
    for outcome in [outcome(), to("b.example"), to("[192.0.2.1]"), blocked] {
        metrics.record(Event::Outcome(&outcome.into()));
    }
    let counted = [
        "blocked_total{domain=\"a.example\",reason=\"starttls-not-supported\"} 1",
        "deliveries_total{authentication=\"fingerprint\",domain=\"a.example\",encryption=\"tls\"} 1",
    ];
    assert_eq!(of_domains(&metrics), counted);
    metrics.list(&listed);
    assert_eq!(of_domains(&metrics), counted, "the same list");
    metrics.list(&["b.example".parse().unwrap()]);
    assert!(of_domains(&metrics).is_empty());
    assert!(!metrics.render().unwrap().contains("a.example"));
}

/// What a host shows that has another key than its TLSA record.
fn mismatch() -> dane::Mismatch {
    let records = Found::Records(vec![Tlsa {
        usage: 3,
        selector: 0,
        matching: 1,
        data: vec![0; 32],
    }]);
    let answer = Answer {
        security: Security::Secure,
        expanded: None,
        found: records,
    };
    let base = "mx.a.example".parse().unwrap();
    let set = dane::TlsaSet::new(base, 25, answer.secure().unwrap());
    dane::verify(&set, &[], &[b"no certificate".to_vec().into()], UnixTime(0)).unwrap_err()
}

#[test]
fn the_reasons_of_blocked_mail_are_those_that_are_about_policy() {
    let certificates = [
        CertificateFault::HostMismatch {
            wanted: String::new(),
        },
        CertificateFault::Expired,
        CertificateFault::NotTrusted(String::new()),
        CertificateFault::Invalid(String::new()),
        CertificateFault::FingerprintMismatch,
    ];
    let mut faults: Vec<Fault> = certificates.map(Fault::Certificate).into();
    faults.extend([
        Fault::ForbiddenAddress,
        Fault::OwnListener,
        Fault::Unreachable(Unreached::Refused),
        Fault::NoSocket(String::new()),
        Fault::TimedOut(Phase::Mail),
        Fault::ConnectionLost(Phase::Mail),
        Fault::Protocol(Phase::Mail, String::new()),
        Fault::TurnedAway(Phase::Mail, 554),
        Fault::StarttlsNotSupported,
        Fault::StarttlsRefused(454),
        Fault::StarttlsInjection,
        Fault::Handshake(String::new()),
        Fault::TlsTooOld {
            agreed: TlsVersion::Tls12,
            least: TlsVersion::Tls13,
        },
        Fault::Tlsa(mismatch()),
        Fault::Downgraded(Downgrade {
            kind: Kind::Starttls,
            best: Shown::Tls,
            until: UnixTime(0),
        }),
        Fault::Capped(Capped::Connections(1, String::new())),
        Fault::Capped(Capped::Messages(
            Rate {
                count: 1,
                per: Duration::from_secs(1),
            },
            String::new(),
        )),
    ]);
    assert_eq!(faults.len(), Fault::REASONS.len());
    for fault in faults {
        let failure = peer().failure(fault);
        assert_eq!(
            failure.is_about_policy(),
            Failure::POLICY_REASONS.contains(&failure.reason()),
            "{failure}"
        );
    }
}

#[test]
fn the_order_of_the_labels_is_that_of_the_declaration() {
    for (index, one) in Authentication::ALL.into_iter().enumerate() {
        assert_eq!(one as usize, index);
    }
    for (index, one) in Policy::ALL.into_iter().enumerate() {
        assert_eq!(one as usize, index);
    }
}

/// The names of all metrics of waxseal's own.
fn declared() -> BTreeSet<String> {
    let metrics = Metrics::new().unwrap();
    metrics
        .handshakes
        .with_label_values(&["", "", "", ""])
        .inc();
    metrics.list(&["a.example".parse().unwrap()]);
    let text = metrics.render().unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| name.starts_with("waxseal_"))
        .map(str::to_owned)
        .collect()
}

/// The words of a text that look like them. What Prometheus records has a colon in its name.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c))
        .filter(|word| word.starts_with("waxseal_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_readme_names_every_metric_and_no_other() {
    assert_eq!(named(include_str!("../../README.md")), declared());
}

#[test]
fn dashboards_and_alerts_name_no_metric_that_is_gone() {
    let declared = declared();
    let mut seen = BTreeSet::new();
    for folder in ["dashboards", "prometheus"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("grafana")
            .join(folder);
        for file in folder.read_dir().unwrap() {
            let path = file.unwrap().path();
            for name in named(&std::fs::read_to_string(&path).unwrap()) {
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|part| name.strip_suffix(part))
                    .unwrap_or(&name);
                assert!(declared.contains(family), "{}: {name}", path.display());
                seen.insert(family.to_owned());
            }
        }
    }
    assert!(!seen.is_empty());
}
