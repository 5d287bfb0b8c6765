//! The resolver and its name servers: probes, what follows from them, and what is asked how often.

mod txt;
mod validate;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::proto::rr::RecordType;
use waxseal::dns::{Answer, Dnssec, Family, Found, LookupError, Resolver, Security};
use waxseal::net::resolver::{
    Anchor, DaneNeed, DnsResolver, DnsSettings, DnssecMode, Health, InForce, Path, Probe,
};

use crate::support::ca::Ca;
use crate::support::house::{House, Setup};
use crate::support::http;
use crate::support::mx::{Mx, Script};
use crate::support::net::loopback;
use crate::support::world::is;
use crate::support::zone::{Dns, Fault, Transport};

fn settings(servers: &[SocketAddr]) -> DnsSettings {
    DnsSettings {
        servers: servers.to_vec(),
        // Long, because the machine may be busy; see `impatient`.
        timeout: Duration::from_secs(10),
        attempts: 1,
        cache_entries: 1000,
        failed_for: Duration::ZERO,
        dnssec: DnssecMode::TrustAd,
        path: Path::LoopbackOnly,
        anchor: Anchor::Iana,
        dane: DaneNeed::Opportunistic,
    }
}

/// For servers that are silent.
fn impatient(settings: DnsSettings) -> DnsSettings {
    DnsSettings {
        timeout: Duration::from_millis(500),
        ..settings
    }
}

async fn probed(settings: &DnsSettings) -> (DnsResolver, Health) {
    let resolver = DnsResolver::new(settings).unwrap();
    let health = resolver.probe().await;
    (resolver, health)
}

/// A server that proves everything, and a resolver that believes it.
async fn proven(zone: &str) -> (Dns, DnsResolver) {
    let dns = Dns::start(zone).await;
    dns.secure(".");
    let (resolver, _) = probed(&settings(&[dns.address()])).await;
    (dns, resolver)
}

fn records<T>(answer: Result<Answer<T>, LookupError>) -> Vec<T> {
    match answer.unwrap().found {
        Found::Records(records) => records,
        Found::NoData | Found::NxDomain => panic!("no records"),
    }
}

#[tokio::test]
async fn twenty_tlsa_records_come_over_tcp() {
    let data = "ab".repeat(60);
    let zone = (10..30).fold(String::new(), |mut zone, number| {
        writeln!(zone, "_25._tcp.mx.a.test TLSA 3 1 1 {data}{number}").unwrap();
        zone
    });
    let (dns, resolver) = proven(&zone).await;
    let answer = resolver.tlsa(&"mx.a.test".parse().unwrap(), 25).await;
    assert_eq!(answer.as_ref().unwrap().security, Security::Secure);
    assert_eq!(records(answer).len(), 20);
    assert_eq!(
        dns.transports("_25._tcp.mx.a.test", RecordType::TLSA),
        [Transport::Udp, Transport::Tcp]
    );
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let (dns, resolver) = proven("_25._tcp.mx.a.test TLSA 3 1 1 ab").await;
    dns.fail("_25._tcp.mx.a.test", Fault::Truncated);
    let answer = resolver.tlsa(&"mx.a.test".parse().unwrap(), 25).await;
    assert_eq!(answer, Err(LookupError::Broken));
}

#[tokio::test]
async fn a_thousand_who_ask_the_same_make_one_query() {
    let (dns, resolver) = proven("a.test MX 10 mx.a.test").await;
    let domain = "a.test".parse().unwrap();
    let all = join_all((0..1000).map(|_| resolver.mx(&domain))).await;
    assert!(all.into_iter().all(|answer| records(answer).len() == 1));
    records(resolver.mx(&domain).await);
    assert_eq!(dns.asked("a.test", RecordType::MX), 1);
}

#[tokio::test]
async fn an_absence_is_kept_and_a_failure_is_not() {
    let (dns, resolver) = proven("a.test MX 10 mx.a.test").await;
    dns.fail("b.test", Fault::Refused);
    let (none, broken) = ("mx.a.test".parse().unwrap(), "b.test".parse().unwrap());
    for _ in 0..3 {
        let answer = resolver.tlsa(&none, 25).await.unwrap();
        assert_eq!(answer.found, Found::NxDomain);
        let failure = resolver.addresses(&broken, Family::Ipv4).await;
        assert_eq!(failure, Err(LookupError::Refused));
    }
    assert_eq!(dns.asked("_25._tcp.mx.a.test", RecordType::TLSA), 1);
    assert_eq!(dns.asked("b.test", RecordType::A), 3);
}

#[tokio::test]
async fn an_answer_is_as_secure_as_its_weakest_alias() {
    let dns = Dns::start("a.test CNAME b.plain\nb.plain CNAME c.test\nc.test A 192.0.2.1").await;
    dns.secure_name(".");
    dns.secure("test");
    let (resolver, _) = probed(&settings(&[dns.address()])).await;
    let of = async |name: &str| {
        let host = name.parse().unwrap();
        resolver.addresses(&host, Family::Ipv4).await.unwrap()
    };
    assert_eq!(of("a.test").await.security, Security::Insecure);
    assert_eq!(of("a.test").await.expanded.unwrap().as_str(), "c.test");
    assert_eq!(of("c.test").await.security, Security::Secure);
    assert_eq!(of("c.test").await.expanded, None);
    // The alias itself is signed, which only a question of its own shows.
    let alias = resolver.alias(&"a.test".parse().unwrap()).await.unwrap();
    assert_eq!(alias.security, Security::Secure);
}

#[tokio::test]
async fn aliases_in_a_circle_are_a_failure() {
    let (_dns, resolver) = proven("a.test CNAME b.test\nb.test CNAME a.test").await;
    let host = "a.test".parse().unwrap();
    let answer = resolver.addresses(&host, Family::Ipv4).await;
    assert_eq!(answer, Err(LookupError::Broken));
}

#[tokio::test]
async fn a_bogus_answer_is_told_from_a_broken_server() {
    let (dns, resolver) = proven("a.test A 192.0.2.1\nb.test A 192.0.2.1").await;
    dns.fail("a.test", Fault::Bogus);
    dns.fail("b.test", Fault::ServFail);
    for (name, error) in [
        ("a.test", LookupError::Bogus),
        ("b.test", LookupError::ServFail),
    ] {
        let host = name.parse().unwrap();
        let answer = resolver.addresses(&host, Family::Ipv4).await;
        assert_eq!(answer, Err(error));
    }
}

#[tokio::test]
async fn only_servers_that_prove_their_answers_are_asked() {
    let zone = "a.test MX 10 mx.a.test";
    let (good, bad) = (Dns::start(zone).await, Dns::start(zone).await);
    good.secure(".");
    let (resolver, health) = probed(&settings(&[bad.address(), good.address()])).await;
    assert_eq!(health.in_force, InForce::TrustAd);
    let probes: Vec<Probe> = health.probes.iter().map(|(.., probe)| *probe).collect();
    assert_eq!(probes, [Probe::Failed, Probe::Passed]);
    let answer = resolver.mx(&"a.test".parse().unwrap()).await.unwrap();
    assert_eq!(answer.security, Security::Secure);
    assert_eq!(bad.asked("a.test", RecordType::MX), 0);
}

#[tokio::test]
async fn the_next_server_answers_where_the_first_is_silent() {
    let zone = "a.test MX 10 mx.a.test";
    let (first, second) = (Dns::start(zone).await, Dns::start(zone).await);
    first.secure(".");
    second.secure(".");
    let both = settings(&[first.address(), second.address()]);
    let (resolver, _) = probed(&impatient(both)).await;
    first.fail("a.test", Fault::Drop);
    let answer = resolver.mx(&"a.test".parse().unwrap()).await.unwrap();
    assert_eq!(answer.security, Security::Secure);
}

#[tokio::test]
async fn without_proofs_every_answer_is_insecure_and_new_ones_count_after_a_probe() {
    let dns = Dns::start("a.test MX 10 mx.a.test").await;
    let domain = "a.test".parse().unwrap();
    let (resolver, health) = probed(&settings(&[dns.address()])).await;
    assert_eq!(health.in_force, InForce::Unavailable);
    assert_eq!(resolver.dnssec(), Dnssec::Off);
    let security = async || resolver.mx(&domain).await.unwrap().security;
    assert_eq!(security().await, Security::Insecure);
    dns.secure(".");
    // The answer in the cache is as insecure as it was.
    assert_eq!(security().await, Security::Insecure);
    assert_eq!(resolver.probe().await.in_force, InForce::TrustAd);
    assert_eq!(resolver.dnssec(), Dnssec::Works);
    assert_eq!(security().await, Security::Secure);
}

#[tokio::test]
async fn before_any_server_has_answered_nothing_is_known() {
    let dns = Dns::start("a.test MX 10 mx.a.test").await;
    dns.fail_type("", RecordType::NS, Fault::Drop);
    let domain = "a.test".parse().unwrap();
    for (dane, error) in [
        (DaneNeed::Opportunistic, LookupError::Timeout),
        (DaneNeed::Required, LookupError::NoDnssec),
    ] {
        let settings = DnsSettings {
            dane,
            ..impatient(settings(&[dns.address()]))
        };
        let (resolver, health) = probed(&settings).await;
        assert_eq!(health.in_force, InForce::Waiting);
        assert_eq!(resolver.mx(&domain).await, Err(error));
    }
    assert_eq!(dns.asked("a.test", RecordType::MX), 0);
}

#[tokio::test]
async fn ad_is_not_believed_from_afar_unless_somebody_vouches_for_the_path() {
    let far = settings(&["192.0.2.1:53".parse().unwrap()]);
    let error = DnsResolver::new(&far).unwrap_err().to_string();
    assert!(error.contains("trusted_path = true"), "{error}");
    let vouched = DnsSettings {
        path: Path::Trusted,
        ..far
    };
    assert!(DnsResolver::new(&vouched).is_ok());
}

/// A house whose one MX has a TLSA record that matches, if somebody proves it.
async fn house(dane: &str) -> (Dns, Mx, House) {
    let ip = loopback();
    let identity = Ca::new("Test CA").server("mx.a.test");
    let record = identity.dane_ee();
    let mx = Mx::start(&ip, 0, Script::with_tls(identity)).await;
    let port = mx.port();
    let dns = Dns::start(&format!(
        "a.test MX 10 mx.a.test\nmx.a.test A {ip}\n_{port}._tcp.mx.a.test TLSA {record}"
    ))
    .await;
    let setup = Setup {
        config: &format!("dns = {{ dnssec = 'trust-ad', dane = '{dane}', failed_for = '0s' }}"),
        ..Setup::default()
    };
    let house = House::start(&dns, port, setup).await;
    (dns, mx, house)
}

async fn send(house: &House) -> String {
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], b"wax\r\n").await;
    mta.quit().await;
    sent.end.last().unwrap_or(&sent.rcpt[0]).to_string()
}

async fn readyz(house: &House) -> String {
    http::get(house.admin(), "/readyz").await.body
}

#[tokio::test]
async fn without_dnssec_dane_is_off_and_says_so_until_a_reload_finds_it() {
    let (dns, _mx, house) = house("opportunistic").await;
    assert!(is(house.metric("waxseal_dnssec_ok").await, 0));
    let ready = readyz(&house).await;
    assert!(ready.contains(r#""in_force":"unavailable""#), "{ready}");
    assert!(ready.contains("is not proven"), "{ready}");
    assert!(send(&house).await.ends_with("TLSv1.3 none]"));
    dns.secure(".");
    house.reload().await.unwrap();
    assert!(is(house.metric("waxseal_dnssec_ok").await, 1));
    let ready = readyz(&house).await;
    assert!(ready.contains(r#""in_force":"trust-ad""#), "{ready}");
    assert!(send(&house).await.ends_with("TLSv1.3 dane]"));
    let found = r#"waxseal_policy_lookups_total{result="found",source="dane"}"#;
    assert!(is(house.metric(found).await, 1));
}

#[tokio::test]
async fn where_dane_is_required_mail_waits_for_dnssec() {
    let (dns, mx, house) = house("required").await;
    let reply = send(&house).await;
    assert!(reply.starts_with("451 4.4.3 "), "{reply}");
    assert!(reply.contains("dane = \"required\""), "{reply}");
    assert_eq!(mx.connections(), 0);
    let blocked = r#"waxseal_blocked_total{policy="dane",reason="dnssec-invalid"}"#;
    assert!(is(house.metric(blocked).await, 1));
    dns.secure(".");
    house.reload().await.unwrap();
    assert!(send(&house).await.ends_with("TLSv1.3 dane]"));
}
