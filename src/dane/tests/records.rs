//! Which records count, and usage 3.

use super::*;

fn raw(fields: Fields, data: &[u8]) -> Tlsa {
    let (usage, selector, matching) = fields;
    Tlsa {
        usage,
        selector,
        matching,
        data: data.to_vec(),
    }
}

fn usability_of(fields: Fields, data: &[u8]) -> Result<(), Unusable> {
    set([raw(fields, data)]).records()[0].usability
}

#[test]
fn a_record_is_usable_or_says_why_not() {
    let chain = Chain::new();
    let der = chain.shown[0].as_ref();
    let key = x509::public_key(der).unwrap();
    let length = |wanted, found| Unusable::Length { wanted, found };
    for usage in [2, 3] {
        for (selector, matching) in COMBINATIONS {
            let good = tlsa((usage, selector, matching), der);
            assert!(set([good.clone()]).is_usable(), "{good}");
        }
        for (selector, matching, data, why) in [
            (2, 1, &[0; 32][..], Unusable::Selector(2)),
            (255, 0, der, Unusable::Selector(255)),
            (0, 3, &[0; 32], Unusable::Matching(3)),
            (1, 255, &[0; 64], Unusable::Matching(255)),
            (0, 1, &[], length(32, 0)),
            (1, 1, &[0; 31], length(32, 31)),
            (1, 1, &[0; 64], length(32, 64)),
            (1, 2, &[0; 32], length(64, 32)),
            (0, 2, &[0; 65], length(64, 65)),
            (0, 0, &[], Unusable::NotDer),
            (0, 0, &[0; 32], Unusable::NotDer),
            (0, 0, key, Unusable::NotDer),
            (1, 0, der, Unusable::NotDer),
            (0, 0, &der[..der.len() - 1], Unusable::NotDer),
            (0, 0, &[der, &[0]].concat(), Unusable::NotDer),
            (1, 0, &[key, &[0]].concat(), Unusable::NotDer),
            (1, 0, &key[..key.len() - 1], Unusable::NotDer),
        ] {
            let fields = (usage, selector, matching);
            assert_eq!(usability_of(fields, data), Err(why), "{fields:?}");
            assert!(!set([raw(fields, data)]).is_usable());
        }
    }
    for usage in [0, 1, 4, 255] {
        let found = usability_of((usage, 1, 1), &[0; 32]);
        assert_eq!(found, Err(Unusable::Usage(usage)));
    }
}

#[test]
fn a_set_knows_its_name() {
    let set = set([]);
    assert_eq!(set.owner(), "_25._tcp.mx.a.test");
    assert_eq!(set.base().as_str(), "mx.a.test");
    assert!(!set.is_usable());
}

#[test]
fn only_the_strongest_digest_of_a_usage_and_selector_counts() {
    let (chain, other) = (Chain::new(), Chain::new());
    let [right, wrong] = [&chain, &other].map(|chain| chain.shown[0].as_ref());
    let of = |records: &[(Fields, &[u8])]| {
        let records: Vec<Tlsa> = records.iter().map(|(f, der)| tlsa(*f, der)).collect();
        verdict(records, &chain.shown[..1])
    };
    let none = "no certificate matches";
    for (records, expected, why) in [
        (
            &[((3, 1, 2), wrong), ((3, 1, 1), right)][..],
            none,
            "SHA-512 decides",
        ),
        (
            &[((3, 1, 1), right), ((3, 1, 2), wrong)],
            none,
            "whatever the order",
        ),
        (
            &[((3, 1, 1), wrong), ((3, 1, 2), right)],
            "0",
            "SHA-512 decides",
        ),
        (
            &[((3, 0, 2), wrong), ((3, 1, 1), right)],
            "0",
            "of another selector",
        ),
        (
            &[((2, 1, 2), wrong), ((3, 1, 1), right)],
            "0",
            "of another usage",
        ),
        (
            &[((3, 1, 2), wrong), ((3, 1, 0), right)],
            "0",
            "type 0 always counts",
        ),
        (
            &[((3, 1, 0), wrong), ((3, 1, 1), right)],
            "0",
            "and weakens nothing",
        ),
        (&[((3, 1, 1), wrong), ((3, 1, 1), right)], "0", "a rollover"),
        (&[((3, 1, 2), wrong), ((3, 1, 2), right)], "0", "a rollover"),
    ] {
        assert_eq!(of(records), expected, "{records:?}: {why}");
    }
    let weak = set([tlsa((3, 1, 2), wrong), tlsa((3, 1, 1), right)]);
    let [sha256, sha512] = weak.records() else {
        panic!("{weak:?}")
    };
    assert_eq!(sha256.usability, Err(Unusable::Weaker));
    assert_eq!(sha512.usability, Ok(()));
    let broken = [raw((3, 1, 2), &[0; 63]), tlsa((3, 1, 1), right)];
    assert_eq!(
        verdict(broken, &chain.shown),
        "0",
        "an unusable digest is not strong"
    );
}

#[test]
fn usage_3_takes_each_selector_and_matching_type() {
    let (chain, other) = (Chain::new(), Chain::new());
    for (selector, matching) in COMBINATIONS {
        let of = |der: &[u8]| verdict([tlsa((3, selector, matching), der)], &chain.shown);
        assert_eq!(of(&chain.shown[0]), "0");
        assert_eq!(of(&other.shown[0]), "no certificate matches");
        assert_eq!(
            of(&chain.middle.der),
            "no certificate matches",
            "not the leaf"
        );
    }
}

#[test]
fn usage_3_asks_for_no_name_date_or_issuer() {
    let stranger = ca("stranger", None);
    for leaf in [
        leaf(expired(leaf_params("mx.a.test")), Some(&stranger)),
        leaf(leaf_params("elsewhere.test"), Some(&stranger)),
        leaf(CertificateParams::default(), None),
        ca("a CA as a server", None).der,
    ] {
        for (selector, matching) in COMBINATIONS {
            let record = tlsa((3, selector, matching), &leaf);
            assert_eq!(verdict([record], std::slice::from_ref(&leaf)), "0");
        }
    }
}

#[test]
fn usage_3_takes_certificates_that_no_strict_parser_takes() {
    for (what, der) in x509::odd::certificates(&KeyPair::generate().unwrap()) {
        let chain = [Certificate::from(der)];
        assert!(
            webpki::EndEntityCert::try_from(&chain[0]).is_err(),
            "{what}"
        );
        for (selector, matching) in COMBINATIONS {
            let record = tlsa((3, selector, matching), &chain[0]);
            assert_eq!(verdict([record], &chain), "0", "{what}");
        }
    }
    let rubbish = [Certificate::from(vec![0x30, 0x03, 1, 2, 3])];
    let record = tlsa((3, 0, 1), &rubbish[0]);
    assert_eq!(
        verdict([record], &rubbish),
        "0",
        "the digest is of the octets"
    );
}

#[test]
fn many_records_are_read_and_too_many_are_not() {
    let chain = Chain::new();
    let mut records: Vec<Tlsa> = (0..99u8).map(|n| raw((2, 1, 1), &[n; 32])).collect();
    let right = tlsa((3, 1, 1), &chain.shown[0]);
    // A record that is there twice counts once.
    records.extend(records.clone());
    records.push(right.clone());
    assert_eq!(verdict(records.clone(), &chain.shown), "0");
    assert_eq!(set(records.clone()).records().len(), 100);
    records.insert(0, raw((2, 1, 1), &[0xff; 32]));
    assert_eq!(
        verdict(records.clone(), &chain.shown),
        "no certificate matches"
    );
    assert_eq!(set(records).records().len(), 100);
    let order = set([right.clone(), raw((0, 0, 1), &[1; 32]), right.clone()]);
    let usages = order.records().iter().map(|record| record.tlsa.usage);
    assert_eq!(usages.collect::<Vec<_>>(), [0, 3], "an order of their own");
}

#[test]
fn a_match_is_short() {
    let chain = Chain::new();
    let record = raw((3, 1, 1), &[0x8c; 32]);
    let found = Match {
        tlsa: record,
        depth: Some(0),
    };
    assert_eq!(found.to_string(), "3 1 1 8c8c8c8c8c8c8c8c..");
    let best = judge(
        [
            tlsa((2, 0, 1), &chain.root.der),
            tlsa((3, 1, 1), &chain.shown[0]),
        ],
        &chain.shown,
    );
    assert_eq!(best.unwrap().tlsa.usage, 3, "the cheap ones first");
}

#[test]
fn a_mismatch_names_each_record_and_stays_short() {
    let chain = Chain::of(leaf_params("elsewhere.test"));
    let long = |n: u8| raw((3, 1, 1), &[n; 32]);
    let mismatch = judge(
        [
            long(0xaa),
            raw((1, 0, 1), &[0xbb; 32]),
            tlsa((2, 0, 1), &chain.root.der),
        ],
        &chain.shown,
    )
    .unwrap_err();
    let told = mismatch.to_string();
    let root = Brief(&tlsa((2, 0, 1), &chain.root.der)).to_string();
    assert_eq!(
        told,
        format!(
            "no TLSA record matches: {root} (for another name, not mx.a.test or a.test); \
             3 1 1 aaaaaaaaaaaaaaaa.. (no certificate matches); \
             1 0 1 bbbbbbbbbbbbbbbb.. (unusable: certificate usage 1 is not for SMTP)"
        )
    );
    assert_eq!(mismatch.evidence().len(), 3);
    assert_eq!(
        mismatch.evidence()[2].why,
        Why::Unusable(Unusable::Usage(1))
    );
    let wanted = "mx.a.test or a.test".to_owned();
    assert_eq!(mismatch.kind(), MismatchKind::HostMismatch { wanted });

    let records: Vec<Tlsa> = (0..100).map(long).collect();
    let told = judge(records, &chain.shown).unwrap_err().to_string();
    assert!(told.ends_with("; and 97 more"), "{told}");
    let label = "n".repeat(60);
    let name: Host = format!("{label}.{label}.{label}.test").parse().unwrap();
    let roots = [
        tlsa((2, 0, 1), &chain.root.der),
        tlsa((2, 1, 1), &chain.root.der),
    ];
    let more = (0..98).map(|n| raw((0, 0, 1), &[n; 32]));
    let records: Vec<Tlsa> = roots.into_iter().chain(more).collect();
    let told = verify(&set(records), &[name.clone(), name], &chain.shown, NOW).unwrap_err();
    assert!(told.to_string().len() < 300, "{told}");
}

#[test]
fn nothing_matches_nothing() {
    let chain = Chain::new();
    assert_eq!(verdict([], &chain.shown), "no certificate matches");
    let records = [
        tlsa((3, 1, 1), &chain.shown[0]),
        tlsa((2, 0, 0), &chain.root.der),
    ];
    let told = "invalid: the server sent no certificate";
    assert_eq!(verdict(records, &[]), told);
    let unusable = [raw((0, 0, 1), &[0; 32])];
    assert_eq!(verdict(unusable, &chain.shown), "no certificate matches");
}
