//! The log lines about mail: one per leg, one per attempt that failed, one per refusal.
//!
//! They name listeners, domains, hosts and addresses, and never a mailbox: of a reply only its codes
//! are logged, because its text often repeats the recipient (RFC 5321 §4.2).

use tracing::{info, warn};

use crate::mtasts::FetchError;
use crate::name::{Domain, Host};
use crate::policy::act::Act;
use crate::policy::authorize::Peer;
use crate::policy::downgrade::{Kind, Known, Turn};
use crate::policy::failure::{Failure, Fault};
use crate::policy::outcome::{End, Event, Link, MAP_LISTENER, MapEvent, Observer, Outcome, Seal};
use crate::policy::refusal::Refusal;
use crate::time::UnixTime;

/// Writes the log lines about mail.
#[derive(Debug, Clone, Copy, Default)]
pub struct Journal;

impl Observer for Journal {
    fn record(&self, event: Event<'_>) {
        match event {
            Event::Outcome(outcome) => leg(outcome),
            Event::Attempt(peer, Some(failure)) => attempt(peer, failure),
            Event::Refused(listener, refusal) => refused(listener.label(), refusal),
            Event::MtaStsFetch {
                domain,
                result: Err(error),
                remembered,
            } => not_fetched(domain, error, remembered),
            Event::Act(act) => acted(act),
            Event::Map(MapEvent::Refused(refusal)) => refused(MAP_LISTENER, refusal),
            Event::Downgrade { host, turn, known } => downgrade(host, turn, known),
            Event::PassedThrough(listener, why) => {
                let (listener, reason) = (listener.label(), why.label());
                info!(listener, reason, "passed a connection through untouched");
            }
            // Numbers, which the metrics keep.
            Event::SessionOpened(_)
            | Event::SessionClosed(_)
            | Event::Lookup { .. }
            | Event::TlsaLookup(_)
            | Event::MtaStsLookup(_)
            | Event::MtaStsFetch { result: Ok(()), .. }
            | Event::Waited(_)
            | Event::Connected(_)
            | Event::Handshake(..)
            | Event::Attempt(_, None)
            | Event::Map(_)
            | Event::Pool(_) => {}
        }
    }
}

/// Start, stop and reload have their lines where they happen.
fn acted(act: &Act) {
    let Some(domain) = act.deed.domain() else {
        return;
    };
    let (by, deed) = (act.by, act.deed.word());
    match &act.result {
        Ok(what) => info!(%by, deed, %domain, "{what}"),
        Err(why) => warn!(%by, deed, %domain, "{why}"),
    }
}

/// Without a policy in memory mail leaves as if there were none; with one it may be an attack, or a broken site.
fn not_fetched(domain: &Domain, error: &FetchError, remembered: Option<UnixTime>) {
    let reason = error.result_type();
    let still = remembered.map_or(String::new(), |until| {
        format!("; the one that is remembered counts until {until}")
    });
    warn!(%domain, reason, "the MTA-STS policy cannot be fetched{still}: {error}");
}

/// A host that shows less than before may be attacked, or have changed its mind.
fn downgrade(host: &Host, turn: Turn, known: &Known) {
    let best = known.best.word();
    match turn {
        Turn::Lost(kind) => {
            let missing = match kind {
                Kind::Starttls => "STARTTLS is gone or does not work any more",
                Kind::Authentication => "nothing proves any more who it is, and nobody asks",
            };
            warn!(%host, kind = kind.label(), best, "DOWNGRADE: the host has shown {} before, and now {missing}; ask its postmaster, and look at it with `waxseal host show {host}`", known.best);
        }
        Turn::Regained => info!(%host, best, "the host shows again what it has shown before"),
        Turn::Accepted => info!(
            %host,
            best,
            "the host has shown less for so long that it does not count as a downgrade any more"
        ),
    }
}

fn leg(outcome: &Outcome) {
    let link = outcome.link.as_deref();
    let tls = link.and_then(tls_of);
    info!(
        id = %outcome.id,
        listener = outcome.listener.label(),
        result = outcome.end.word(),
        domain = %outcome.destination,
        sender = outcome.sender.as_ref().map(tracing::field::display),
        host = link.map(|link| tracing::field::display(&link.host)),
        address = link.map(|link| tracing::field::display(link.address)),
        policy = outcome.policy.label(),
        rule = outcome.rule().map(|rule| tracing::field::display(&rule.origin)),
        encryption = link.map(|link| link.seal.encryption()),
        authentication = link.map(|link| link.seal.authentication().label()),
        mta_sts_testing = link.and_then(|link| link.tested.as_ref()).map(tested),
        tlsa = link.and_then(|link| link.tlsa.as_ref()).map(tracing::field::display),
        tls = tls.as_ref().map(|tls| tls.version.as_str()),
        cipher = tls.as_ref().map(|tls| tls.cipher),
        key_exchange = tls.as_ref().map(|tls| tls.key_exchange),
        reply = outcome.end.status(),
        why = outcome.end.failure().map(Failure::to_string),
        recipients = outcome.recipients,
        bytes = outcome.octets,
        elapsed = outcome.elapsed.as_secs_f64(),
    );
    if let (End::Delivered(_), Some(link)) = (&outcome.end, link) {
        if let Some(failure) = &link.would_block {
            would_have_blocked(outcome, failure);
        }
        if let Some(Err(failure)) = &link.tested {
            would_have_failed(outcome, failure);
        }
    }
}

/// What came of the test of an MTA-STS policy, in one word.
fn tested(result: &Result<(), Failure>) -> &'static str {
    match result {
        Ok(()) => "passed",
        Err(_) => "failed",
    }
}

fn would_have_blocked(outcome: &Outcome, failure: &Failure) {
    warn!(
        id = %outcome.id,
        domain = %outcome.destination,
        rule = outcome.rule().map(|rule| tracing::field::display(&rule.origin)),
        reason = failure.reason(),
        tlsa = tlsa_of(failure),
        "delivered, but the rule would have blocked this in mode enforce: {failure}"
    );
}

fn would_have_failed(outcome: &Outcome, failure: &Failure) {
    warn!(
        id = %outcome.id,
        domain = %outcome.destination,
        reason = failure.reason(),
        "delivered, but the domain's MTA-STS policy would have forbidden this in mode enforce instead of testing: {failure}"
    );
}

struct TlsFields {
    version: String,
    cipher: &'static str,
    key_exchange: &'static str,
}

fn tls_of(link: &Link) -> Option<TlsFields> {
    match link.seal {
        Seal::Open(_) => None,
        Seal::Tls {
            version,
            cipher,
            key_exchange,
            ..
        } => Some(TlsFields {
            version: version.to_string(),
            cipher,
            key_exchange,
        }),
    }
}

fn attempt(peer: &Peer, failure: &Failure) {
    let (reason, tlsa) = (failure.reason(), tlsa_of(failure));
    // A failed attempt names its host and address already.
    if matches!(failure, Failure::Attempt { .. }) {
        info!(reason, tlsa, "{failure}");
    } else {
        info!(reason, "{}[{}]: {failure}", peer.host, peer.address);
    }
}

/// The TLSA records of which none matched, and why: more of them than a reply has room for.
fn tlsa_of(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Attempt {
            fault: Fault::Tlsa(mismatch),
            ..
        } => Some(mismatch.records()),
        _ => None,
    }
}

/// Where the operator has something to look at, it is a warning.
fn refused(listener: &str, refusal: Refusal) {
    let reason = refusal.label();
    match refusal {
        Refusal::NotAllowed
        | Refusal::Overloaded
        | Refusal::BareNewline
        | Refusal::LineTooLong
        | Refusal::StarttlsInjection
        | Refusal::NotSmtp
        | Refusal::Loop
        | Refusal::NotRedirected
        | Refusal::WrongPort
        | Refusal::Unauthenticated
        | Refusal::BadRequest => warn!(listener, reason, "turned an MTA away"),
        Refusal::Draining | Refusal::Idle | Refusal::TooBig => {
            info!(listener, reason, "turned an MTA away");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, Once};
    use std::time::Duration;

    use super::*;
    use crate::dane::{Evidence, Mismatch, MismatchKind};
    use crate::dns::Security;
    use crate::policy::authorize::Authentication;
    use crate::policy::decide::Decision;
    use crate::policy::downgrade::Shown;
    use crate::policy::facts::{Facts, Hosts, MtaSts, NoMtaSts};
    use crate::policy::failure::Unreached;
    use crate::policy::handshake::{TlsVersion, WhyPlaintext};
    use crate::policy::outcome::Ingress;
    use crate::policy::requirement::{Demand, Mode, Requirement};
    use crate::policy::rules::{
        Hits, Level, MtaStsUse, Origin, Pattern, Rule, SenderScope, ServerName,
    };
    use crate::policy::verdict::{Plan, Policy, Verdict};
    use crate::smtp::reply::Reply;

    const ID: &str = "01kb5cw8r0v4q8zj2m6tn3x9fy";

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `events` leave, without their time.
    fn lines(events: &[Event<'_>]) -> String {
        // tracing may take a line for one that nobody wants, if another thread comes upon it first just when
        // this subscriber appears. So there is always somebody who wants all of them.
        static SOMEBODY: Once = Once::new();
        SOMEBODY.call_once(|| {
            let sink = tracing_subscriber::fmt().with_writer(io::sink);
            let _ = tracing::subscriber::set_global_default(sink.finish());
        });
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for event in events {
                Journal.record(*event);
            }
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    /// By the rule at `50.toml:3`.
    fn decision() -> Decision {
        let rule = Rule {
            pattern: Pattern::Any,
            sender: SenderScope::Anyone,
            level: Level::Encrypt,
            min_version: TlsVersion::Tls12,
            mta_sts: MtaStsUse::default(),
            server_name: ServerName::default(),
            route: None,
            mode: Mode::Enforce,
            reason: None,
            expires: None,
            origin: Origin {
                file: "50.toml".into(),
                line: 3,
            },
            hits: Hits::default(),
        };
        Decision {
            rule: Some(Arc::new(rule)),
            facts: Facts {
                next_hop: "a.example".parse().unwrap(),
                expanded: None,
                security: Security::Insecure,
                hosts: Hosts::Known(Vec::new()),
                mta_sts: MtaSts::Absent(NoMtaSts::NotAsked),
            },
            verdict: Verdict::Deliver(Plan {
                candidates: Vec::new(),
                port: 25,
            }),
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            id: ID.parse().unwrap(),
            listener: Ingress::Lmtp,
            destination: "a.example".parse().unwrap(),
            sender: Some("s.example".parse().unwrap()),
            policy: Policy::Rule,
            decision: Some(Arc::new(decision())),
            attempts: Vec::new(),
            link: Some(Arc::new(Link {
                host: crate::name::MailHost::Named("mx.a.example".parse().unwrap()),
                address: "192.0.2.1".parse().unwrap(),
                requirement: Arc::new(Requirement {
                    demand: Demand::Encryption,
                    tested: None,
                    policy: Policy::Rule,
                    mode: Mode::Enforce,
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
                    authentication: Authentication::Pkix,
                },
                would_block: None,
                tested: None,
            })),
            recipients: 2,
            octets: 1234,
            elapsed: Duration::from_millis(1500),
            end: End::Delivered(Reply::new(250, "2.0.0", "queued for joe@a.example")),
        }
    }

    fn peer() -> Peer {
        Peer {
            host: crate::name::MailHost::Named("mx.a.example".parse().unwrap()),
            address: "192.0.2.1".parse().unwrap(),
        }
    }

    #[test]
    fn a_leg_is_one_line_without_any_mailbox() {
        assert_eq!(
            lines(&[Event::Outcome(&outcome().into())]).trim(),
            "INFO id=01kb5cw8r0v4q8zj2m6tn3x9fy listener=\"lmtp\" result=\"delivered\" domain=a.example sender=s.example \
             host=mx.a.example address=192.0.2.1 policy=\"rule\" rule=50.toml:3 \
             encryption=\"tls\" authentication=\"pkix\" tls=\"TLSv1.3\" \
             cipher=\"TLS_AES_256_GCM_SHA384\" key_exchange=\"X25519MLKEM768\" \
             reply=\"250 2.0.0\" recipients=2 bytes=1234 elapsed=1.5"
        );
    }

    #[test]
    fn a_leg_says_which_tlsa_record_matched() {
        let mut outcome = outcome();
        let record = crate::dns::Tlsa {
            usage: 3,
            selector: 1,
            matching: 1,
            data: vec![0xab; 32],
        };
        link_of(&mut outcome).tlsa = Some(crate::dane::Match {
            tlsa: record,
            depth: Some(0),
        });
        let line = lines(&[Event::Outcome(&outcome.clone().into())]);
        assert!(line.contains(" tlsa=3 1 1 abababababababab.. "), "{line}");
    }

    #[test]
    fn an_attempt_says_of_each_tlsa_record_why_it_did_not_match() {
        let evidence = (0..5).map(|octet| Evidence {
            tlsa: crate::dns::Tlsa {
                usage: 3,
                selector: 1,
                matching: 1,
                data: vec![octet; 32],
            },
            why: MismatchKind::NoMatch.into(),
        });
        let failure = peer().failure(Fault::Tlsa(Mismatch::new(evidence.collect())));
        let line = lines(&[Event::Attempt(&peer(), Some(&failure))]);
        let last = "; 3 1 1 0404040404040404.. (no certificate matches)\"";
        assert!(line.trim().ends_with(last), "{line}");
    }

    #[test]
    fn a_downgrade_is_a_warning_and_its_end_is_told() {
        let host = "mx.a.example".parse().unwrap();
        let known = Known {
            best: Shown::Tls,
            lost: None,
        };
        let line = |turn| {
            let known = &known;
            let host = &host;
            lines(&[Event::Downgrade { host, turn, known }])
        };
        assert_eq!(
            line(Turn::Lost(Kind::Starttls)).trim(),
            "WARN DOWNGRADE: the host has shown TLS before, and now STARTTLS is gone or does not work any more; \
             ask its postmaster, and look at it with `waxseal host show mx.a.example` \
             host=mx.a.example kind=\"starttls\" best=\"tls\""
        );
        assert_eq!(
            line(Turn::Regained).trim(),
            "INFO the host shows again what it has shown before host=mx.a.example best=\"tls\""
        );
        assert!(line(Turn::Accepted).starts_with(" INFO the host has shown less for so long"));
    }

    fn link_of(outcome: &mut Outcome) -> &mut Link {
        Arc::make_mut(outcome.link.as_mut().unwrap())
    }

    #[test]
    fn a_blocked_leg_says_why() {
        let outcome = Outcome {
            link: None,
            decision: None,
            sender: None,
            end: End::Failed(peer().failure(Fault::StarttlsNotSupported)),
            ..outcome()
        };
        assert_eq!(
            lines(&[Event::Outcome(&outcome.clone().into())]).trim(),
            "INFO id=01kb5cw8r0v4q8zj2m6tn3x9fy listener=\"lmtp\" result=\"blocked\" domain=a.example policy=\"rule\" \
             reply=\"451 4.7.4\" why=\"mx.a.example[192.0.2.1]: TLS is required, but STARTTLS is not offered\" \
             recipients=2 bytes=1234 elapsed=1.5"
        );
    }

    #[test]
    fn what_would_have_been_blocked_is_a_warning_of_its_own() {
        let mut outcome = outcome();
        let link = link_of(&mut outcome);
        link.seal = Seal::Open(WhyPlaintext::NotOffered);
        link.would_block = Some(peer().failure(Fault::StarttlsNotSupported));
        let lines = lines(&[Event::Outcome(&outcome.clone().into())]);
        assert!(
            lines.contains("encryption=\"plaintext\" authentication=\"none\" reply="),
            "{lines}"
        );
        let warning = lines.lines().nth(1).unwrap();
        assert!(
            warning
                .trim()
                .starts_with("WARN delivered, but the rule would have blocked"),
            "{lines}"
        );
        assert!(
            warning.ends_with("id=01kb5cw8r0v4q8zj2m6tn3x9fy domain=a.example rule=50.toml:3 reason=\"starttls-not-supported\""),
            "{lines}"
        );
    }

    #[test]
    fn what_a_tested_policy_would_have_forbidden_is_a_warning_of_its_own() {
        let mut outcome = outcome();
        let link = link_of(&mut outcome);
        link.tested = Some(Ok(()));
        let passed = lines(&[Event::Outcome(&outcome.clone().into())]);
        assert_eq!(passed.lines().count(), 1, "{passed}");
        assert!(passed.contains(" mta_sts_testing=\"passed\" "), "{passed}");
        let link = link_of(&mut outcome);
        link.tested = Some(Err(peer().failure(Fault::StarttlsNotSupported)));
        let failed = lines(&[Event::Outcome(&outcome.clone().into())]);
        assert!(failed.contains(" mta_sts_testing=\"failed\" "), "{failed}");
        let warning = failed.lines().nth(1).unwrap();
        assert!(
            warning.contains("MTA-STS policy would have forbidden"),
            "{warning}"
        );
        assert!(
            warning.ends_with("reason=\"starttls-not-supported\""),
            "{warning}"
        );
    }

    #[test]
    fn a_policy_that_cannot_be_fetched_is_told() {
        let domain = "a.example".parse().unwrap();
        let error = FetchError::Status(404);
        let fetch = |result, remembered| Event::MtaStsFetch {
            domain: &domain,
            result,
            remembered,
        };
        let events = [
            fetch(Ok(()), None),
            fetch(Err(&error), None),
            fetch(Err(&error), Some(UnixTime(0))),
        ];
        assert_eq!(
            lines(&events),
            " WARN the MTA-STS policy cannot be fetched: HTTP status 404 instead of 200 \
             domain=a.example reason=\"sts-policy-fetch-error\"\n \
             WARN the MTA-STS policy cannot be fetched; the one that is remembered counts until \
             1970-01-01T00:00:00Z: HTTP status 404 instead of 200 \
             domain=a.example reason=\"sts-policy-fetch-error\"\n"
        );
    }

    #[test]
    fn attempts_and_refusals_are_logged_when_they_fail() {
        let failure = peer().failure(Fault::Unreachable(Unreached::Refused));
        let lines = lines(&[
            Event::Attempt(&peer(), None),
            Event::Attempt(&peer(), Some(&failure)),
            Event::Refused(Ingress::Relay, Refusal::NotAllowed),
            Event::SessionOpened(Ingress::Relay),
        ]);
        let lines: Vec<_> = lines.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "INFO mx.a.example[192.0.2.1]: cannot connect: connection refused reason=\"unreachable\"",
                "WARN turned an MTA away listener=\"relay\" reason=\"not-allowed\"",
            ]
        );
    }
}
