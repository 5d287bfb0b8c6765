//! Where the web server is looked for, and which addresses are never dialled.

use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use waxseal::dns::{Family, LookupError};
use waxseal::mtasts::FetchError;
use waxseal::net::dial::Dialer;

use super::{HOST, World, text};
use crate::support::net::{firewalled, loopback};
use crate::support::sts_host::{Site, StsHost};
use crate::support::zone::Fault;

/// Addresses that only the operator can open, IPv4 and IPv6.
const SPECIAL: [&str; 20] = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fc00::1",
    "fe80::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2001:0:7f00:1::1",
];

fn record(address: &str) -> String {
    let kind = if address.contains(':') { "AAAA" } else { "A" };
    format!("{HOST} {kind} {address}")
}

fn forbidden() -> FetchError {
    FetchError::ForbiddenAddress(HOST.to_owned())
}

#[tokio::test]
async fn a_special_address_is_never_dialled() {
    let mut world = World::new().await;
    world.dialer = Dialer::default();
    let own = world.host.ip();
    let octets: Vec<u8> = own.split('.').map(|octet| octet.parse().unwrap()).collect();
    let [a, b, c, d] = octets[..] else {
        panic!("{own} is not IPv4");
    };
    let disguised = [
        format!("::ffff:{own}"),
        format!("64:ff9b::{own}"),
        format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
    ];
    let special = SPECIAL.iter().map(ToString::to_string);
    for address in special.chain([own]).chain(disguised) {
        world.dns.replace(&record(&address));
        assert_eq!(world.refusal().await, forbidden(), "{address}");
    }
    let all: Vec<String> = SPECIAL.iter().map(|address| record(address)).collect();
    world.dns.replace(&all.join("\n"));
    assert_eq!(world.refusal().await, forbidden());
    assert_eq!(world.host.connections(), 0);
}

#[tokio::test]
async fn an_own_listener_is_never_dialled_even_where_its_network_is_listed() {
    let mut world = World::new().await;
    world.dialer.own_listeners = vec![world.host.address()];
    assert_eq!(world.refusal().await, forbidden());
    assert_eq!(world.host.connections(), 0);
}

#[tokio::test]
async fn among_several_addresses_only_the_good_ones_are_dialled() {
    let mut world = World::new().await;
    let site = Site::policy(world.ca.server(HOST), &text());
    let forbidden = StsHost::start(&loopback(), world.host.port(), site).await;
    let records = [forbidden.ip(), "::1".to_owned(), world.host.ip()].map(|ip| record(&ip));
    world.dns.replace(&records.join("\n"));
    let good = format!("{}/32", world.host.ip());
    world.dialer.allow_networks = vec![good.parse().unwrap()];
    world.fetch().await.unwrap();
    assert_eq!((forbidden.connections(), world.host.connections()), (0, 1));
}

#[tokio::test]
async fn the_next_address_is_dialled_where_one_does_not_answer() {
    let mut world = World::new().await;
    world.settings.timeout = Duration::from_secs(6);
    let silent = firewalled(&loopback(), world.host.port()).await;
    for dead in [loopback(), silent.address.ip().to_string()] {
        let records = [dead, world.host.ip()].map(|ip| record(&ip));
        world.dns.replace(&records.join("\n"));
        world.fetch().await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_web_server_is_unreachable() {
    let world = World::new().await;
    world.dns.replace(&record(&loopback()));
    let refused = FetchError::Unreachable("connection refused".to_owned());
    assert_eq!(world.refusal().await, refused);
}

#[tokio::test]
async fn a_failed_look_up_is_no_absence() {
    let world = World::new().await;
    world.dns.fail(HOST, Fault::ServFail);
    let failed = world.refusal().await;
    let of = |question: &str, error| FetchError::Dns(format!("{question} of {HOST}"), error);
    assert!(
        [
            of("A", LookupError::ServFail),
            of("AAAA", LookupError::ServFail)
        ]
        .contains(&failed),
        "{failed:?}"
    );
    world.dns.heal();
    world.dns.fail_type(HOST, RecordType::A, Fault::Refused);
    assert_eq!(world.refusal().await, of("A", LookupError::Refused));
    assert_eq!(world.host.connections(), 0);
}

#[tokio::test]
async fn one_family_is_enough() {
    let world = World::new().await;
    world.dns.fail_type(HOST, RecordType::AAAA, Fault::ServFail);
    world.fetch().await.unwrap();
}

#[tokio::test]
async fn a_name_without_address_is_told_from_a_failure() {
    let world = World::new().await;
    for zone in ["", "mta-sts.a.test TXT nothing"] {
        world.dns.replace(zone);
        let absent = FetchError::NoAddress(HOST.to_owned());
        assert_eq!(world.refusal().await, absent, "{zone}");
    }
}

#[tokio::test]
async fn the_time_runs_from_the_look_up_on() {
    let mut world = World::new().await;
    world.settings.timeout = Duration::from_millis(300);
    world.dns.fail(HOST, Fault::Drop);
    assert_eq!(world.refusal().await, FetchError::TimedOut);
}

#[tokio::test]
async fn a_family_that_is_not_used_is_not_asked_for() {
    let mut world = World::new().await;
    world.settings.families = &[Family::Ipv4];
    world.fetch().await.unwrap();
    assert_eq!(world.dns.asked(HOST, RecordType::AAAA), 0);
    world.settings.families = &[Family::Ipv6];
    let absent = FetchError::NoAddress(HOST.to_owned());
    assert_eq!(world.refusal().await, absent);
}

#[tokio::test]
async fn a_domain_whose_web_server_can_have_no_name_has_no_policy() {
    let world = World::new().await;
    let label = "a".repeat(60);
    let long = format!("{label}.{label}.{label}.{label}.test");
    for domain in ["1.2.3", "127.0.0.1", "a.0x7f", "xn--a.test", "-.-.-", &long] {
        world.fetch_for(domain).await.unwrap_err();
    }
    assert_eq!(world.host.connections(), 0);
}
