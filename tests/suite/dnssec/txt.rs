//! TXT records, and answers that have to be fresh.

use hickory_resolver::proto::rr::RecordType;
use waxseal::dns::{Found, Freshness, LookupError, Resolver};
use waxseal::net::resolver::DnsResolver;

use super::{proven, records};
use crate::support::zone::{Dns, Fault};

const OWNER: &str = "_mta-sts.a.test";

async fn txt(resolver: &DnsResolver, freshness: Freshness) -> String {
    let mut texts = records(resolver.txt(OWNER, freshness).await);
    assert_eq!(texts.len(), 1);
    String::from_utf8(texts.remove(0)).unwrap()
}

fn asked(dns: &Dns) -> usize {
    dns.asked(OWNER, RecordType::TXT)
}

#[tokio::test]
async fn the_strings_of_one_record_are_joined_and_records_are_not() {
    let zone = r#"
        _mta-sts.a.test TXT "v=STSv1; i" "d=2026;"
        _mta-sts.a.test TXT "another" "" " one"
    "#;
    let (_dns, resolver) = proven(zone).await;
    let mut texts = records(resolver.txt(OWNER, Freshness::Cached).await);
    texts.sort();
    assert_eq!(
        texts,
        [b"another one".to_vec(), b"v=STSv1; id=2026;".to_vec()]
    );
}

#[tokio::test]
async fn an_alias_is_followed_to_the_text() {
    let zone = "_mta-sts.a.test CNAME b.test\nb.test TXT \"v=STSv1; id=1;\"";
    let (_dns, resolver) = proven(zone).await;
    assert_eq!(txt(&resolver, Freshness::Cached).await, "v=STSv1; id=1;");
}

#[tokio::test]
async fn a_fresh_answer_goes_past_the_cache_and_replaces_what_is_in_it() {
    let (dns, resolver) = proven("_mta-sts.a.test TXT old").await;
    for _ in 0..2 {
        assert_eq!(txt(&resolver, Freshness::Cached).await, "old");
    }
    dns.replace("_mta-sts.a.test TXT new");
    assert_eq!(txt(&resolver, Freshness::Cached).await, "old");
    assert_eq!(asked(&dns), 1);
    assert_eq!(txt(&resolver, Freshness::Fresh).await, "new");
    assert_eq!(txt(&resolver, Freshness::Cached).await, "new");
    assert_eq!(asked(&dns), 2);
}

#[tokio::test]
async fn a_fresh_absence_replaces_the_answer_too() {
    let (dns, resolver) = proven("_mta-sts.a.test TXT old").await;
    assert_eq!(txt(&resolver, Freshness::Cached).await, "old");
    dns.replace("");
    for freshness in [Freshness::Fresh, Freshness::Cached] {
        let answer = resolver.txt(OWNER, freshness).await.unwrap();
        assert_eq!(answer.found, Found::NxDomain);
    }
    assert_eq!(asked(&dns), 2);
}

#[tokio::test]
async fn a_fresh_look_up_that_fails_is_a_failure_and_leaves_the_cached_answer() {
    let (dns, resolver) = proven("_mta-sts.a.test TXT old").await;
    assert_eq!(txt(&resolver, Freshness::Cached).await, "old");
    dns.fail(OWNER, Fault::Refused);
    let failure = resolver.txt(OWNER, Freshness::Fresh).await;
    assert_eq!(failure, Err(LookupError::Refused));
    assert_eq!(txt(&resolver, Freshness::Cached).await, "old");
}
