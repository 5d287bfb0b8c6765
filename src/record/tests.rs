use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::dane;
use crate::dns::{Security, Tlsa};
use crate::mtasts::{Fetched, policy};
use crate::name::MailHost;
use crate::policy::authorize::{Authentication, Peer};
use crate::policy::decide::Decision;
use crate::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, MtaSts, NoDane};
use crate::policy::failure::Fault;
use crate::policy::handshake::{Handshake, Resumption, TlsVersion, WhyPlaintext};
use crate::policy::outcome::{End, Ingress};
use crate::policy::requirement::{Demand, Mode, Requirement};
use crate::policy::verdict::{Candidate, Plan, Policy, Verdict, Way};
use crate::smtp::reply::Reply;

/// 2026-11-23T14:33:42Z
const NOW: UnixTime = UnixTime(1_795_444_422);

fn host(name: &str) -> MailHost {
    MailHost::Named(name.parse().unwrap())
}

fn requirement() -> Requirement {
    Requirement {
        demand: Demand::Encryption,
        tested: None,
        policy: Policy::Dane,
        mode: Mode::Enforce,
        min_version: TlsVersion::Tls12,
        server_name: None,
        watch: None,
    }
}

fn peer() -> Peer {
    Peer {
        host: host("mx.a.example"),
        address: "192.0.2.1".parse().unwrap(),
    }
}

fn facts() -> Facts {
    let text = "version: STSv1\nmode: testing\nmx: *.a.example\nmax_age: 86400\n";
    Facts {
        next_hop: "a.example".parse().unwrap(),
        expanded: None,
        security: Security::Secure,
        hosts: Hosts::Known(vec![HostFacts {
            host: host("mx.a.example"),
            preference: 10,
            known: None,
            addresses: Addresses::Known(vec![peer().address]),
            dane: Dane::Absent(NoDane::InsecureHost),
        }]),
        mta_sts: MtaSts::Policy(Arc::new(Fetched {
            id: "20261101".parse().unwrap(),
            policy: policy::parse(text.as_bytes()).unwrap(),
            text: text.into(),
            at: NOW,
        })),
    }
}

fn decision() -> Decision {
    let way = Way {
        addresses: vec![peer().address],
        requirement: Arc::new(requirement()),
    };
    Decision {
        rule: None,
        facts: facts(),
        verdict: Verdict::Deliver(Plan {
            candidates: vec![Candidate {
                host: host("mx.a.example"),
                preference: 10,
                policy: Policy::Dane,
                way: Ok(way),
            }],
            port: 25,
        }),
    }
}

fn link() -> Link {
    Link {
        host: peer().host,
        address: peer().address,
        requirement: Arc::new(requirement()),
        seal: Seal::Tls {
            version: TlsVersion::Tls13,
            cipher: "TLS13_AES_256_GCM_SHA384",
            key_exchange: "X25519MLKEM768",
            authentication: Authentication::Dane,
        },
        handshake: Some(Arc::new(Handshake {
            version: TlsVersion::Tls13,
            cipher: "TLS13_AES_256_GCM_SHA384",
            key_exchange: "X25519MLKEM768",
            resumption: Resumption::Full,
            chain: vec![b"wax".to_vec().into()],
        })),
        tlsa: Some(dane::Match {
            tlsa: Tlsa {
                usage: 3,
                selector: 1,
                matching: 1,
                data: vec![0xab; 32],
            },
            depth: Some(0),
        }),
        would_block: None,
        tested: Some(Ok(())),
    }
}

/// A message that was delivered under TLS, whose reply names a mailbox.
pub(crate) fn delivered() -> Outcome {
    let attempt = |result| Attempted {
        peer: peer(),
        result,
    };
    Outcome {
        id: "01kb5cw8r0v4q8zj2m6tn3x9fy".parse().unwrap(),
        listener: Ingress::Lmtp,
        destination: "a.example".parse().unwrap(),
        sender: Some("s.example".parse().unwrap()),
        policy: Policy::Dane,
        decision: Some(Arc::new(decision())),
        attempts: vec![
            attempt(AttemptResult::Refused(Reply::new(
                451,
                "4.7.1",
                "joe@s.example is grey",
            ))),
            attempt(AttemptResult::Ready),
        ],
        link: Some(link().into()),
        recipients: 2,
        octets: 1234,
        elapsed: Duration::from_millis(1500),
        end: End::Delivered(Reply::new(250, "2.0.0", "queued for joe@a.example")),
    }
}

/// The field names are a promise, and what they hold is another. Whoever changes a line there has to ask whether
/// [`VERSION`] changes.
fn as_promised() -> Value {
    serde_json::from_str(include_str!("../../tests/data/record.json")).unwrap()
}

#[test]
fn a_record_is_as_promised_and_reads_what_it_writes() {
    let record = Record::of(&delivered(), NOW);
    let value = serde_json::to_value(&record).unwrap();
    assert_eq!(value, as_promised());
    assert!(!value.to_string().contains("joe"), "{value}");
    let read: Record = serde_json::from_value(value).unwrap();
    assert_eq!(read, record);
}

#[test]
fn a_reader_of_today_takes_a_line_of_tomorrow() {
    let mut value = as_promised();
    value["weather"] = json!("fine");
    assert!(serde_json::from_value::<Record>(value).is_ok());
}

#[test]
fn what_was_kept_back_says_why() {
    let outcome = Outcome {
        end: End::Failed(peer().failure(Fault::StarttlsNotSupported)),
        link: None,
        ..delivered()
    };
    let record = Record::of(&outcome, NOW);
    assert_eq!(record.result, "blocked");
    assert_eq!(record.reply.as_deref(), Some("451 4.7.4"));
    assert_eq!(record.reason.as_deref(), Some("starttls-not-supported"));
    let why = "mx.a.example[192.0.2.1]: TLS is required, but STARTTLS is not offered";
    assert_eq!(record.why.as_deref(), Some(why));
}

#[test]
fn a_connection_in_the_clear_says_why() {
    let mut outcome = delivered();
    outcome.link = Some(
        Link {
            seal: Seal::Open(WhyPlaintext::Refused(454)),
            handshake: None,
            tlsa: None,
            ..link()
        }
        .into(),
    );
    let connection = Record::of(&outcome, NOW).connection.unwrap();
    assert_eq!(connection.encryption, "plaintext");
    let why = "STARTTLS is offered and then refused with 454";
    assert_eq!(connection.plaintext_because.as_deref(), Some(why));
    assert_eq!(connection.tls, None);
}

#[test]
fn the_story_is_told_in_the_words_of_check() {
    let record = Record::of(&delivered(), NOW);
    assert_eq!(record.story(), include_str!("../../tests/data/story.txt"));
}

#[test]
fn a_story_moves_no_terminal() {
    let mut record = Record::of(&delivered(), NOW);
    record.why = Some("\u{1b}[2Jgone\r".to_owned());
    assert!(
        record
            .story()
            .contains("\u{fffd}[2Jgone\u{fffd} (by word of DANE)")
    );
}
