//! The judge: `policy::authorize` on chains with one fault each; `identity` has which name
//! or fingerprint proves it, `doubt` what speaks against a channel that is authorized.

mod doubt;
mod identity;

use rustls::pki_types::CertificateDer;
use waxseal::name::MailHost;
use waxseal::policy::authorize::{Authentication, Authorized, Peer, authorize};
use waxseal::policy::facts::NoDane;
use waxseal::policy::failure::Failure;
use waxseal::policy::handshake::{
    Channel, Fingerprint, Handshake, Resumption, TlsVersion, WhyPlaintext,
};
use waxseal::policy::requirement::{Demand, Mode, Reference, Requirement};
use waxseal::policy::verdict::Policy;
use waxseal::time::UnixTime;

use crate::support::ca::{Ca, Identity, KeyType, Leaf, Period, Role, Signer};

/// 2027-01-01T00:00:00Z
const NOW: UnixTime = UnixTime(1_798_761_600);

/// A court: by default a good certificate for `mx.a.test` under TLS 1.3, held against that name.
struct Case {
    chain: Vec<CertificateDer<'static>>,
    demand: Demand,
    version: TlsVersion,
    min_version: TlsVersion,
    mode: Mode,
}

impl Case {
    fn new(chain: Vec<CertificateDer<'static>>, demand: Demand) -> Self {
        Self {
            chain,
            demand,
            version: TlsVersion::Tls13,
            min_version: TlsVersion::Tls12,
            mode: Mode::Enforce,
        }
    }

    fn requirement(&self) -> Requirement {
        Requirement {
            tested: None,
            demand: self.demand.clone(),
            policy: Policy::Rule,
            mode: self.mode,
            min_version: self.min_version,
            server_name: None,
            watch: None,
        }
    }

    fn judge(&self) -> Result<Authorized, Failure> {
        self.judge_by(&self.requirement())
    }

    fn judge_by(&self, requirement: &Requirement) -> Result<Authorized, Failure> {
        let handshake = Handshake {
            version: self.version,
            cipher: "TLS13_AES_256_GCM_SHA384",
            key_exchange: "X25519",
            resumption: Resumption::Full,
            chain: self.chain.clone(),
        };
        authorize(requirement, Channel::Tls(&handshake), &peer(), NOW)
    }

    fn in_plaintext(&self, why: WhyPlaintext) -> Result<Authorized, Failure> {
        authorize(&self.requirement(), Channel::Plaintext(why), &peer(), NOW)
    }

    /// The metric word of the proof, or of the failure.
    fn word(&self) -> &'static str {
        word(&self.judge())
    }
}

fn word(result: &Result<Authorized, Failure>) -> &'static str {
    match result {
        Ok(proof) => proof.authentication().label(),
        Err(failure) => failure.reason(),
    }
}

fn peer() -> Peer {
    Peer {
        host: MailHost::Named("mx.a.test".parse().unwrap()),
        address: "192.0.2.1".parse().unwrap(),
    }
}

fn pkix(ca: &Ca, references: &[Reference]) -> Demand {
    Demand::Pkix {
        references: references.to_vec(),
        roots: ca.roots(),
    }
}

fn name(name: &str) -> Reference {
    Reference::Name(name.parse().unwrap())
}

fn below(name: &str) -> Reference {
    Reference::Below(name.parse().unwrap())
}

fn address(address: &str) -> Reference {
    Reference::Address(address.parse().unwrap())
}

fn prints(prints: &[&str]) -> Demand {
    let parse = |print: &&str| Fingerprint::parse(&format!("sha256:{print}")).unwrap();
    Demand::Fingerprint(prints.iter().map(parse).collect())
}

fn reply(failure: &Failure) -> String {
    let mut wire = Vec::new();
    failure.reply().write_to(&mut wire);
    String::from_utf8(wire).unwrap().trim_end().to_owned()
}

/// What is wrong with a certificate, the reason (RFC 8460 §4.3 where it has a word), and the beginning of the
/// reply behind `451 4.7.5 mx.a.test[192.0.2.1]: `.
type FaultRow = (&'static str, Leaf, &'static str, &'static str);

fn faults() -> Vec<FaultRow> {
    [faults_of_time_and_name(), faults_of_trust()].concat()
}

fn faults_of_time_and_name() -> Vec<FaultRow> {
    let valid = |period| Leaf {
        period,
        ..Leaf::for_host("mx.a.test")
    };
    let expired = |fault, leaf| {
        let text = "the certificate has expired or is not yet valid";
        (fault, leaf, "certificate-expired", text)
    };
    let mismatch = |fault, leaf| {
        let text = "the certificate is for another name, not for mx.a.test";
        (fault, leaf, "certificate-host-mismatch", text)
    };
    let no_san = Leaf {
        common_name: Some("mx.a.test".into()),
        ..Leaf::default()
    };
    vec![
        expired("expired", valid(Period::Expired)),
        expired("not yet valid", valid(Period::NotYet)),
        mismatch("wrong name", Leaf::for_host("mx.b.test")),
        (
            "no SAN, the name in the subject alone",
            no_san,
            "certificate-host-mismatch",
            "the certificate is for another name, not for mx.a.test; it has no DNS name in subjectAltName, and a common name in its subject does not count",
        ),
        mismatch("IP SAN", Leaf::for_host("192.0.2.1")),
        mismatch("wildcard a label too high", Leaf::for_host("*.test")),
    ]
}

fn faults_of_trust() -> Vec<FaultRow> {
    let good = || Leaf::for_host("mx.a.test");
    let untrusted = |fault, leaf, text| (fault, leaf, "certificate-not-trusted", text);
    let signed = |fault, signer, text| untrusted(fault, Leaf { signer, ..good() }, text);
    let unknown = "the certificate is not trusted: no CA that is trusted has issued it, or the server does not send an intermediate certificate";
    let no_server = Leaf {
        role: Role::ClientOnly,
        ..good()
    };
    vec![
        signed("self-signed", Signer::Itself, unknown),
        signed(
            "intermediate not sent",
            Signer::IntermediateNotSent,
            unknown,
        ),
        signed(
            "stranger CA of the same name",
            Signer::Stranger,
            "the certificate is not trusted: a signature in its chain is wrong",
        ),
        untrusted(
            "CA as leaf",
            Leaf {
                role: Role::Ca,
                ..good()
            },
            "the certificate is not trusted: it is that of a CA, or self-signed as one",
        ),
        (
            "client-only EKU",
            no_server,
            "certificate-invalid",
            "the certificate is invalid: it is not meant for servers",
        ),
    ]
}

#[test]
fn each_fault_has_its_reason_and_its_reply() {
    let ca = Ca::new("Test CA");
    for (fault, leaf, reason, text) in faults() {
        let case = Case::new(ca.issue(leaf).chain, pkix(&ca, &[name("mx.a.test")]));
        let failure = case.judge().expect_err(fault);
        let reply = reply(&failure);
        assert_eq!(failure.reason(), reason, "{fault}: {reply}");
        let expected = format!("451 4.7.5 mx.a.test[192.0.2.1]: {text}");
        assert!(reply.starts_with(&expected), "{fault}: {reply}");
        assert!(failure.is_about_policy(), "{fault}");
    }
}

#[test]
fn a_good_chain_is_authenticated_however_it_is_sent() {
    let ca = Ca::new("Test CA");
    let good = || Leaf::for_host("mx.a.test");
    let signed = |signer| Leaf { signer, ..good() };
    let keyed = |key_type| Leaf { key_type, ..good() };
    for leaf in [
        good(),
        signed(Signer::CaSent),
        signed(Signer::Intermediate),
        keyed(KeyType::P384),
        keyed(KeyType::Ed25519),
        Leaf::for_host("MX.A.TEST"),
        Leaf::for_host("*.a.test"),
        Leaf {
            names: vec!["x.test".into(), "mx.a.test".into()],
            ..good()
        },
    ] {
        let case = Case::new(
            ca.issue(leaf.clone()).chain,
            pkix(&ca, &[name("mx.a.test")]),
        );
        assert_eq!(case.word(), "pkix", "{leaf:?}");
    }
}

#[test]
fn a_chain_is_not_trusted_for_its_company() {
    let ca = Ca::new("Test CA");
    let stranger = Ca::new("Stranger");
    let root_alone = Case::new(vec![ca.certificate()], pkix(&ca, &[name("mx.a.test")]));
    assert_eq!(root_alone.word(), "certificate-not-trusted");
    let mut good_behind_bad = stranger.server("mx.a.test").chain;
    good_behind_bad.extend(ca.server("mx.a.test").chain);
    let case = Case::new(good_behind_bad, pkix(&ca, &[name("mx.a.test")]));
    assert_eq!(case.word(), "certificate-not-trusted");
    let leaf_as_ca = Case::new(
        [
            stranger.server("mx.a.test").chain,
            vec![stranger.certificate()],
        ]
        .concat(),
        pkix(&ca, &[name("mx.a.test")]),
    );
    assert_eq!(leaf_as_ca.word(), "certificate-not-trusted");
}

/// Every demand that wants TLS.
fn demands(ca: &Ca, identity: &Identity) -> [Demand; 3] {
    let fingerprint = prints(&[&identity.sha256()]);
    [
        Demand::Encryption,
        pkix(ca, &[name("mx.a.test")]),
        fingerprint,
    ]
}

#[test]
fn an_older_version_than_asked_for_fails_whatever_the_certificate() {
    let ca = Ca::new("Test CA");
    let identity = ca.server("mx.a.test");
    for demand in demands(&ca, &identity) {
        let at = |version, min_version| Case {
            version,
            min_version,
            ..Case::new(identity.chain.clone(), demand.clone())
        };
        let too_old = at(TlsVersion::Tls12, TlsVersion::Tls13)
            .judge()
            .unwrap_err();
        assert_eq!(
            (reply(&too_old).as_str(), too_old.reason()),
            (
                "451 4.7.5 mx.a.test[192.0.2.1]: TLSv1.3 is required, but the server agreed only to TLSv1.2",
                "tls-too-old"
            )
        );
        assert!(at(TlsVersion::Tls12, TlsVersion::Tls12).judge().is_ok());
        assert!(at(TlsVersion::Tls13, TlsVersion::Tls13).judge().is_ok());
    }
}

#[test]
fn plaintext_satisfies_nobody_who_wants_tls() {
    let ca = Ca::new("Test CA");
    let identity = ca.server("mx.a.test");
    for demand in demands(&ca, &identity) {
        let case = Case::new(identity.chain.clone(), demand);
        for (why, reason) in [
            (WhyPlaintext::NotOffered, "starttls-not-supported"),
            (WhyPlaintext::Refused(454), "starttls-refused"),
            (WhyPlaintext::HandshakeFailed, "validation-failure"),
        ] {
            assert_eq!(word(&case.in_plaintext(why)), reason, "{:?}", case.demand);
        }
    }
    for demand in [Demand::Plaintext, Demand::Opportunistic] {
        let case = Case::new(identity.chain.clone(), demand);
        assert_eq!(word(&case.in_plaintext(WhyPlaintext::NotOffered)), "none");
        assert_eq!(case.word(), "none", "nobody asked who it is");
    }
}

#[test]
fn observing_delivers_and_tells_what_would_have_blocked() {
    let ca = Ca::new("Test CA");
    for (fault, leaf, reason, _) in faults() {
        let enforce = Case::new(ca.issue(leaf).chain, pkix(&ca, &[name("mx.a.test")]));
        let observe = Case {
            mode: Mode::Observe,
            ..enforce
        };
        let proof = observe.judge().expect(fault);
        assert_eq!(proof.authentication(), Authentication::None, "{fault}");
        assert_eq!(
            proof.would_block().map(Failure::reason),
            Some(reason),
            "{fault}"
        );
    }
    let good = Case::new(
        ca.server("mx.a.test").chain,
        pkix(&ca, &[name("mx.a.test")]),
    );
    let proof = Case {
        mode: Mode::Observe,
        ..good
    }
    .judge()
    .unwrap();
    assert_eq!(
        (proof.authentication(), proof.would_block()),
        (Authentication::Pkix, None)
    );
}

#[test]
fn what_nothing_can_satisfy_is_never_satisfied() {
    let failure = Failure::DaneRequired {
        host: peer().host,
        why: NoDane::NoRecords,
    };
    let identity = Ca::new("Test CA").server("mx.a.test");
    let case = Case::new(identity.chain, Demand::Unsatisfiable(failure.clone()));
    assert_eq!(case.judge().unwrap_err(), failure);
    let observed = Case {
        mode: Mode::Observe,
        ..case
    }
    .judge()
    .unwrap();
    assert_eq!(observed.would_block(), Some(&failure));
}

/// All single-bit faults, not a sample of them: a certificate has only some thousand bits.
#[test]
fn no_flipped_bit_of_the_leaf_stays_authenticated() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf {
        signer: Signer::Intermediate,
        ..Leaf::for_host("mx.a.test")
    });
    let demands = [
        pkix(&ca, &[name("mx.a.test")]),
        prints(&[&identity.sha256()]),
    ];
    for demand in demands {
        let mut case = Case::new(identity.chain.clone(), demand);
        assert!(case.judge().is_ok(), "unharmed");
        for bit in 0..identity.chain[0].len() * 8 {
            let mut leaf = identity.chain[0].to_vec();
            leaf[bit / 8] ^= 1 << (bit % 8);
            case.chain[0] = leaf.into();
            assert!(case.judge().is_err(), "bit {bit} under {:?}", case.demand);
        }
    }
}
