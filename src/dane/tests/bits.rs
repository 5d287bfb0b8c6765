//! One wrong bit, and nothing matches.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

static CHAIN: LazyLock<Chain> = LazyLock::new(Chain::new);

fn flip(octets: &mut [u8], at: Index) {
    let bit = at.index(octets.len() * 8);
    octets[bit / 8] ^= 1 << (bit % 8);
}

fn flipped(der: &Certificate, at: Index) -> Certificate {
    let mut octets = der.to_vec();
    flip(&mut octets, at);
    octets.into()
}

fn fields(usage: u8) -> impl Strategy<Value = Fields> {
    prop::sample::select(&COMBINATIONS[..]).prop_map(move |(s, m)| (usage, s, m))
}

fn each_bit(octets: &[u8], check: impl Fn(Vec<u8>)) {
    for bit in 0..octets.len() * 8 {
        let mut flipped = octets.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(flipped);
    }
}

#[test]
fn each_in_a_bare_key() {
    let record = tlsa((2, 1, 0), &CHAIN.root.der);
    each_bit(&record.data, |data| {
        let record = Tlsa { data, ..record };
        assert!(judge([record], &CHAIN.shown[..2]).is_err());
    });
}

#[test]
fn each_in_a_certificate_below_an_authority() {
    let record = tlsa((2, 1, 1), &CHAIN.middle.der);
    each_bit(&CHAIN.shown[0], |leaf| {
        let shown = [leaf.into(), CHAIN.middle.der.clone()];
        assert!(judge([record.clone()], &shown).is_err());
    });
}

proptest! {
    #[test]
    fn in_the_record(fields in prop_oneof![fields(2), fields(3)], depth in 1..3usize, at: Index) {
        // A bit of an authority's certificate beside its name and key is for DNSSEC to protect.
        prop_assume!(fields != (2, 0, 0));
        let depth = if fields.0 == 3 { 0 } else { depth };
        let mut record = tlsa(fields, &CHAIN.shown[depth]);
        prop_assert!(judge([record.clone()], &CHAIN.shown).is_ok());
        flip(&mut record.data, at);
        prop_assert!(judge([record], &CHAIN.shown).is_err());
    }

    #[test]
    fn in_the_certificate_of_usage_3(matching in 0..3u8, at: Index) {
        let record = tlsa((3, 0, matching), &CHAIN.shown[0]);
        prop_assert!(judge([record], &[flipped(&CHAIN.shown[0], at)]).is_err());
    }

    #[test]
    fn in_the_key_of_usage_3(matching in 0..3u8, at: Index) {
        let record = tlsa((3, 1, matching), &CHAIN.shown[0]);
        let mut octets = CHAIN.shown[0].to_vec();
        let key = x509::public_key(&octets).unwrap();
        let start = key.as_ptr() as usize - octets.as_ptr() as usize;
        let end = start + key.len();
        flip(&mut octets[start..end], at);
        prop_assert!(judge([record], &[octets.into()]).is_err());
    }

    #[test]
    fn in_the_certificate_below_an_authority(fields in fields(2), depth in 1..3usize, at: Index) {
        let record = tlsa(fields, &CHAIN.shown[depth]);
        let mut shown = CHAIN.shown.clone();
        shown[0] = flipped(&shown[0], at);
        prop_assert!(judge([record], &shown).is_err());
    }

    #[test]
    fn between_it_and_the_authority(fields in fields(2), at: Index) {
        let record = tlsa(fields, &CHAIN.root.der);
        let mut shown = CHAIN.shown.clone();
        shown[1] = flipped(&shown[1], at);
        prop_assert!(judge([record], &shown).is_err());
    }

    #[test]
    fn in_an_authority_that_a_digest_stands_for(matching in 1..3u8, depth in 1..3usize, at: Index) {
        let record = tlsa((2, 0, matching), &CHAIN.shown[depth]);
        let mut shown = CHAIN.shown.clone();
        shown[depth] = flipped(&shown[depth], at);
        prop_assert!(judge([record], &shown).is_err());
    }

    #[test]
    fn rubbish_matches_nothing(
        records in prop::collection::vec((2..4u8, 0..3u8, 0..4u8, prop::collection::vec(any::<u8>(), 0..80)), 0..9),
        chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4),
    ) {
        let tlsa = |(usage, selector, matching, data)| Tlsa { usage, selector, matching, data };
        let records: Vec<Tlsa> = records.into_iter().map(tlsa).collect();
        let chain: Vec<Certificate> = chain.into_iter().map(Certificate::from).collect();
        prop_assert!(judge(records, &chain).is_err());
    }
}
