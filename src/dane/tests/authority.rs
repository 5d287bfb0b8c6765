//! Usage 2: from the server to the authority, and the name.

use rcgen::{GeneralSubtree, NameConstraints};

use super::*;

const NONE: &str = "no certificate matches";
const BROKEN: &str = "not trusted: a signature in the chain is wrong";
const EXPIRED: &str = "expired or not yet valid";
const NO_CA: &str = "invalid: the authority's certificate is not a CA's";

/// The verdict of each selector and matching type on one authority; all the same.
fn each(authority: &[u8], chain: &[Certificate]) -> String {
    let of = |(selector, matching)| verdict([tlsa((2, selector, matching), authority)], chain);
    let verdicts = COMBINATIONS.map(of);
    assert!(
        verdicts.iter().all(|verdict| *verdict == verdicts[0]),
        "{verdicts:?}"
    );
    verdicts[0].clone()
}

fn is_mismatch(verdict: &str) -> bool {
    !verdict.starts_with(|c: char| c.is_ascii_digit()) && verdict != "record"
}

#[test]
fn each_certificate_above_the_server_can_be_the_authority() {
    let chain = Chain::new();
    assert_eq!(each(&chain.middle.der, &chain.shown), "1");
    assert_eq!(each(&chain.middle.der, &chain.shown[..2]), "1");
    assert_eq!(each(&chain.root.der, &chain.shown), "2");
    let [leaf, middle, root] = chain.shown.clone().try_into().unwrap();
    assert_eq!(
        each(&root, &[leaf.clone(), root.clone(), middle.clone()]),
        "1",
        "in any order"
    );
    assert_eq!(
        each(
            &root,
            &[leaf, root.clone(), middle.clone(), root.clone(), middle]
        ),
        "1"
    );
    let other = Chain::new().root.der;
    for (selector, matching) in COMBINATIONS {
        let record = tlsa((2, selector, matching), &other);
        assert!(is_mismatch(&verdict([record], &chain.shown)));
    }
}

#[test]
fn only_a_record_with_all_of_it_stands_for_an_authority_that_is_not_sent() {
    let chain = Chain::new();
    for (selector, matching) in COMBINATIONS {
        for (authority, shown) in [
            (&chain.root, &chain.shown[..2]),
            (&chain.middle, &chain.shown[..1]),
        ] {
            let record = tlsa((2, selector, matching), &authority.der);
            let expected = if matching == 0 { "record" } else { NONE };
            assert_eq!(
                verdict([record], shown),
                expected,
                "2 {selector} {matching}"
            );
        }
        let gap = [tlsa((2, selector, matching), &chain.root.der)];
        assert!(
            is_mismatch(&verdict(gap, &chain.shown[..1])),
            "no intermediate, no path"
        );
    }
}

#[test]
fn a_server_is_not_its_own_authority() {
    let own = Made::new(leaf_params("mx.a.test"), KeyPair::generate().unwrap(), None);
    let both = Made::new(
        {
            let mut params = ca_params("mx.a.test");
            params.subject_alt_names = leaf_params("mx.a.test").subject_alt_names;
            params
        },
        KeyPair::generate().unwrap(),
        None,
    );
    for made in [own, both] {
        let der = made.der;
        assert_eq!(each(&der, std::slice::from_ref(&der)), NONE);
        assert_eq!(each(&der, &[der.clone(), der.clone()]), NONE, "sent twice");
    }
    let chain = Chain::new();
    assert_eq!(each(&chain.shown[0], &chain.shown), NONE);
}

#[test]
fn a_forged_certificate_below_the_right_authority_is_refused() {
    let chain = Chain::new();
    // The same names, other keys: the digest of the authority is right, and no signature is.
    let forged = Chain::new();
    let shown = |leaf: &Certificate, rest: &[&Made]| {
        let rest = rest.iter().map(|made| made.der.clone());
        std::iter::once(leaf.clone())
            .chain(rest)
            .collect::<Vec<_>>()
    };
    let leaf = &forged.shown[0];
    for rest in [
        &[&chain.middle, &chain.root][..],
        &[&forged.middle, &chain.root],
        &[&forged.middle, &chain.middle, &chain.root],
        &[&forged.middle, &forged.root, &chain.root],
    ] {
        assert_eq!(each(&chain.root.der, &shown(leaf, rest)), BROKEN);
    }
    for (selector, matching) in [(0, 0), (1, 0)] {
        let record = tlsa((2, selector, matching), &chain.root.der);
        assert_eq!(verdict([record], &forged.shown[..2]), BROKEN);
    }
    let stranger = ca("stranger", None);
    let beside = [
        super::leaf(leaf_params("mx.a.test"), Some(&stranger)),
        chain.root.der.clone(),
    ];
    let told = "not trusted: no chain leads to the authority";
    assert_eq!(each(&chain.root.der, &beside), told);
}

#[test]
fn dates_count_for_the_server_and_for_the_authority() {
    let late = Chain::of(expired(leaf_params("mx.a.test")));
    assert_eq!(each(&late.root.der, &late.shown), EXPIRED);
    let ee = tlsa((3, 1, 1), &late.shown[0]);
    assert_eq!(
        verdict([tlsa((2, 0, 1), &late.root.der), ee], &late.shown),
        "0",
        "not under 3"
    );
    let mut early = leaf_params("mx.a.test");
    early.not_before = date_time_ymd(2090, 1, 1);
    let early = Chain::of(early);
    assert_eq!(each(&early.root.der, &early.shown), EXPIRED);

    let root = Made::new(
        expired(ca_params("old")),
        KeyPair::generate().unwrap(),
        None,
    );
    let shown = [
        leaf(leaf_params("mx.a.test"), Some(&root)),
        root.der.clone(),
    ];
    assert_eq!(each(&root.der, &shown), EXPIRED);
    assert_eq!(verdict([tlsa((2, 0, 0), &root.der)], &shown[..1]), EXPIRED);
    let key = [tlsa((2, 1, 0), &root.der)];
    assert_eq!(
        verdict(key, &shown[..1]),
        "record",
        "a bare key has no date"
    );
}

#[test]
fn an_authority_has_to_be_a_ca() {
    let root = ca("root", None);
    let server = Made::new(
        leaf_params("other.test"),
        KeyPair::generate().unwrap(),
        Some(&root),
    );
    let shown = [
        leaf(leaf_params("mx.a.test"), Some(&server)),
        server.der.clone(),
        root.der.clone(),
    ];
    assert_eq!(each(&server.der, &shown), NO_CA);
    let told = each(&root.der, &shown);
    assert!(
        told.starts_with("invalid: ") && told.contains("EndEntityUsedAsCa"),
        "{told}"
    );
    let mut params = ca_params("denies it");
    params.is_ca = IsCa::ExplicitNoCa;
    let denies = Made::new(params, KeyPair::generate().unwrap(), None);
    let below = [
        leaf(leaf_params("mx.a.test"), Some(&denies)),
        denies.der.clone(),
    ];
    assert_eq!(each(&denies.der, &below), NO_CA);
    let as_ca = Chain::of(ca_params("mx.a.test"));
    assert!(
        is_mismatch(&each(&as_ca.root.der, &as_ca.shown)),
        "a CA is no server"
    );
}

#[test]
fn an_authority_of_version_1_is_one() {
    let key = KeyPair::generate().unwrap();
    let params = ca_params("root");
    let der = x509::odd::version_1(&params.self_signed(&key).unwrap(), &key);
    let root = Made {
        der: der.into(),
        issuer: Issuer::new(params, key),
    };
    let shown = [
        leaf(leaf_params("mx.a.test"), Some(&root)),
        root.der.clone(),
    ];
    assert_eq!(each(&root.der, &shown), "1");
}

#[test]
fn an_authority_may_limit_how_many_stand_below_it() {
    let mut params = ca_params("root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = Made::new(params, KeyPair::generate().unwrap(), None);
    let middle = ca("middle", Some(&root));
    let near = [
        leaf(leaf_params("mx.a.test"), Some(&root)),
        root.der.clone(),
    ];
    assert_eq!(each(&root.der, &near), "1");
    let far = [
        leaf(leaf_params("mx.a.test"), Some(&middle)),
        middle.der,
        root.der.clone(),
    ];
    assert!(is_mismatch(&each(&root.der, &far)));
}

#[test]
fn an_authority_may_be_limited_to_names() {
    let mut params = ca_params("root");
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("b.test".to_owned())],
        excluded_subtrees: vec![],
    });
    let root = Made::new(params, KeyPair::generate().unwrap(), None);
    for params in [leaf_params("mx.a.test"), common_name("mx.a.test")] {
        let shown = [leaf(params, Some(&root)), root.der.clone()];
        assert!(is_mismatch(&each(&root.der, &shown)));
    }
}

fn common_name(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn with_both(common: &str, alternative: &str) -> CertificateParams {
    let mut params = common_name(common);
    params.subject_alt_names = leaf_params(alternative).subject_alt_names;
    params
}

#[test]
fn the_name_is_one_of_those_looked_for() {
    for (params, why) in [
        (leaf_params("mx.a.test"), "the base domain"),
        (leaf_params("a.test"), "the next-hop domain"),
        (leaf_params("MX.A.test"), "in any case"),
        (leaf_params("*.a.test"), "a wildcard"),
        (common_name("mx.a.test"), "a CN and no DNS-ID"),
        (common_name("*.a.test"), "a wildcard there"),
        (
            with_both("mx.a.test", "192.0.2.1"),
            "an address is no DNS-ID",
        ),
        (
            with_both("elsewhere.test", "mx.a.test"),
            "the DNS-ID counts",
        ),
    ] {
        let chain = Chain::of(params);
        assert_eq!(each(&chain.root.der, &chain.shown), "2", "{why}");
    }
    let told = "for another name, not mx.a.test or a.test";
    for (params, why) in [
        (leaf_params("mx.b.test"), "another name"),
        (leaf_params("*.mx.a.test"), "a wildcard for one label more"),
        (leaf_params("m*.a.test"), "a wildcard in a label"),
        (leaf_params("*.test"), "a wildcard for a top-level domain"),
        (
            with_both("mx.a.test", "mx.b.test"),
            "a DNS-ID silences the CN",
        ),
        (common_name("mx.b.test"), "another CN"),
        (common_name("*.test"), "too wide there as well"),
        (CertificateParams::default(), "no name"),
    ] {
        let chain = Chain::of(params);
        assert_eq!(each(&chain.root.der, &chain.shown), told, "{why}");
        let ee = [tlsa((3, 1, 1), &chain.shown[0])];
        assert_eq!(
            verdict(ee, &chain.shown),
            "0",
            "usage 3 asks for no name: {why}"
        );
    }
}

#[test]
fn no_name_to_look_for_is_never_found() {
    let chain = Chain::new();
    let record = set([tlsa((2, 0, 1), &chain.root.der)]);
    let verdict = verify(&record, &[], &chain.shown, NOW).unwrap_err();
    assert!(matches!(verdict.kind(), MismatchKind::HostMismatch { .. }));
}

#[test]
fn the_closest_record_speaks_for_all() {
    let chain = Chain::of(leaf_params("mx.b.test"));
    let old = Made::new(
        expired(ca_params("old")),
        KeyPair::generate().unwrap(),
        None,
    );
    let far = ca("far", None);
    let mut shown = chain.shown.clone();
    shown.extend([old.der.clone(), far.der.clone()]);
    let [name, late, lost] = [&chain.root, &old, &far].map(|made| tlsa((2, 0, 1), &made.der));
    let none = tlsa((3, 1, 1), &chain.root.der);
    let told = |records: &[&Tlsa]| {
        verdict(
            records
                .iter()
                .map(|&record| record.clone())
                .collect::<Vec<_>>(),
            &shown,
        )
    };
    assert!(told(&[&none, &lost, &late, &name]).starts_with("for another name"));
    assert_eq!(told(&[&none, &lost, &late]), EXPIRED);
    assert!(told(&[&none, &lost]).starts_with("not trusted"));
    assert_eq!(told(&[&none]), NONE);
}

#[test]
fn a_hostile_chain_costs_little() {
    // Every certificate could be the issuer of every other, and none leads anywhere.
    let same = || ca("same", None);
    let crowd: Vec<Made> = (0..40).map(|_| same()).collect();
    let pair = |n: usize| {
        Made::new(
            ca_params("same"),
            KeyPair::generate().unwrap(),
            Some(&crowd[n]),
        )
    };
    let leaf = leaf(leaf_params("mx.a.test"), Some(&crowd[0]));
    let crossed = (1..40).map(pair).map(|made| made.der);
    let shown: Vec<Certificate> = std::iter::once(leaf).chain(crossed).collect();
    let mut records: Vec<Tlsa> = (0..50).map(|_| tlsa((2, 1, 0), &same().der)).collect();
    records.extend((0..50).map(|n| tlsa((2, n % 2, 1), &shown[1 + usize::from(n) % 20])));
    let mismatch = judge(records, &shown).unwrap_err();
    let is_given_up = |evidence: &&Evidence| evidence.why.to_string().contains("too many");
    assert_eq!(
        mismatch.evidence().iter().filter(is_given_up).count(),
        50 - 32
    );
}

#[test]
fn one_of_many_bare_keys_is_enough() {
    let chain = Chain::new();
    let others = (0..24).map(|n| tlsa((2, n % 2, 0), &ca("root", None).der));
    let mut records: Vec<Tlsa> = others.collect();
    records.push(tlsa((2, 1, 0), &chain.root.der));
    assert_eq!(verdict(records, &chain.shown[..2]), "record");
}

#[test]
fn what_is_too_deep_in_the_chain_is_not_seen() {
    let chain = Chain::new();
    let mut shown = chain.shown.clone();
    for _ in 0..20 {
        shown.insert(2, chain.middle.der.clone());
    }
    assert_eq!(verdict([tlsa((2, 0, 1), &chain.root.der)], &shown), NONE);
    assert_eq!(verdict([tlsa((2, 0, 1), &chain.middle.der)], &shown), "1");
}
