//! Which name or fingerprint proves who a server is.

use super::{Case, address, below, name, pkix, prints, reply};
use crate::support::ca::{Ca, Identity, Leaf, Period, Signer};

#[test]
fn the_reference_decides_which_name_counts() {
    let ca = Ca::new("Test CA");
    for (san, reference, matches) in [
        ("*.a.test", name("a.test"), false),
        ("*.a.test", name("x.mx.a.test"), false),
        ("*.a.test", name("mx.a.test"), true),
        ("mx.a.test", name("a.test"), false),
        ("mx.a.test", below("a.test"), true),
        ("MX.A.test", below("a.test"), true),
        ("x.mx.a.test", below("a.test"), true),
        ("*.a.test", below("a.test"), true),
        ("*.mx.a.test", below("a.test"), true),
        ("a.test", below("a.test"), false),
        ("mx.ba.test", below("a.test"), false),
        ("*.test", below("a.test"), false),
        ("192.0.2.1", address("192.0.2.1"), true),
        ("192.0.2.1", address("192.0.2.2"), false),
        ("2001:db8::1", address("2001:db8::1"), true),
        ("mx.a.test", address("192.0.2.1"), false),
        ("192.0.2.1", below("2.1"), false),
    ] {
        let case = Case::new(
            ca.server(san).chain,
            pkix(&ca, std::slice::from_ref(&reference)),
        );
        let expected = if matches {
            "pkix"
        } else {
            "certificate-host-mismatch"
        };
        assert_eq!(case.word(), expected, "{san} for {reference}");
    }
}

#[test]
fn one_reference_of_several_is_enough_and_none_never_is() {
    let ca = Ca::new("Test CA");
    let chain = ca.server("mx.a.test").chain;
    let several = [name("b.test"), address("192.0.2.1"), below("a.test")];
    assert_eq!(Case::new(chain.clone(), pkix(&ca, &several)).word(), "pkix");
    let case = Case::new(chain.clone(), pkix(&ca, &several[..2]));
    let told = reply(&case.judge().unwrap_err());
    assert!(told.ends_with("not for b.test or 192.0.2.1"), "{told}");
    assert_eq!(
        Case::new(chain, pkix(&ca, &[])).word(),
        "certificate-host-mismatch"
    );
}

#[test]
fn a_fingerprint_is_of_the_certificate_or_of_its_key() {
    let ca = Ca::new("Test CA");
    let of = |identity: &Identity, prints_of: &[&str]| {
        Case::new(identity.chain.clone(), prints(prints_of)).word()
    };
    let good = ca.issue(Leaf {
        signer: Signer::CaSent,
        ..Leaf::for_host("mx.a.test")
    });
    let (certificate, key) = (good.sha256(), good.public_key_sha256());
    let root = crate::support::ca::sha256(&ca.certificate());
    let zero = "00".repeat(32);
    assert_eq!(of(&good, &[&zero, &certificate]), "fingerprint");
    assert_eq!(of(&good, &[&zero, &key]), "fingerprint");
    assert_eq!(of(&good, &[&zero]), "fingerprint-mismatch");
    assert_eq!(
        of(&good, &[&root]),
        "fingerprint-mismatch",
        "only the leaf counts"
    );
    let other = ca.server("mx.a.test");
    assert_eq!(of(&other, &[&certificate, &key]), "fingerprint-mismatch");
}

#[test]
fn a_fingerprint_stands_for_name_expiry_and_trust() {
    let stranger = Ca::new("Stranger");
    let worst = stranger.issue(Leaf {
        signer: Signer::Itself,
        period: Period::Expired,
        ..Leaf::for_host("elsewhere.test")
    });
    let case = Case::new(worst.chain.clone(), prints(&[&worst.sha256()]));
    assert_eq!(case.word(), "fingerprint");
    let no_chain = Case::new(vec![], prints(&[&worst.sha256()]));
    assert_eq!(no_chain.word(), "certificate-invalid");
}
