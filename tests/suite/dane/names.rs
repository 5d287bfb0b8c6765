//! The name and the port that the TLSA records of a host are looked up by, as servers see them.

use hickory_resolver::proto::rr::RecordType;

use crate::support::ca::Ca;
use crate::support::house::{House, Setup};
use crate::support::mx::{Mx, Script};
use crate::support::net::loopback;
use crate::support::zone::{Dns, Fault};

/// A port that nobody listens at, as that of all MX.
const ELSEWHERE: u16 = 1;

/// A host that owns what `record` pins.
struct Host {
    mx: Mx,
    ip: String,
    port: u16,
    record: String,
}

impl Host {
    async fn named(name: &str) -> Self {
        let identity = Ca::new("Test CA").server(name);
        let (ip, record) = (loopback(), identity.dane_ee());
        let mx = Mx::start(&ip, 0, Script::with_tls(identity)).await;
        let port = mx.port();
        Self {
            mx,
            ip,
            port,
            record,
        }
    }
}

async fn house(dns: &Dns, port: u16, rules: &str) -> House {
    let config = "dns = { dnssec = 'trust-ad' }";
    let setup = Setup {
        config,
        rules,
        ..Setup::default()
    };
    House::start(dns, port, setup).await
}

async fn deliver(house: &House) -> String {
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], b"wax\r\n").await;
    mta.quit().await;
    sent.end.last().unwrap_or(&sent.rcpt[0]).to_string()
}

/// RFC 7672 §8.1, and §2.2.3 for which name that is.
#[tokio::test]
async fn sni_is_the_base_domain() {
    for (owner, sni) in [("host.c.test", "host.c.test"), ("mx.a.test", "mx.a.test")] {
        let host = Host::named("any.test").await;
        let Host {
            ip, port, record, ..
        } = &host;
        let dns = Dns::start(&format!(
            "a.test MX 10 mx.a.test\nmx.a.test CNAME host.c.test\nhost.c.test A {ip}\n\
             _{port}._tcp.{owner} TLSA {record}"
        ))
        .await;
        dns.secure(".");
        let house = house(&dns, *port, "").await;
        let reply = deliver(&house).await;
        assert!(reply.ends_with("[mx.a.test TLSv1.3 dane]"), "{reply}");
        let seen = &host.mx.record().handshakes[0];
        assert_eq!(seen.sni.as_deref(), Some(sni));
    }
}

#[tokio::test]
async fn a_route_has_the_records_of_its_own_port() {
    let host = Host::named("gateway.test").await;
    let Host {
        ip, port, record, ..
    } = &host;
    let wrong = "3 1 1 ".to_owned() + &"00".repeat(32);
    let dns = Dns::start(&format!(
        "a.test MX 10 mx.a.test\ngateway.test A {ip}\n_{port}._tcp.gateway.test TLSA {record}\n\
         _{ELSEWHERE}._tcp.gateway.test TLSA {wrong}"
    ))
    .await;
    dns.secure(".");
    let rule = format!(
        "rule = [{{ domains = ['a.test'], tls = 'dane-only', route = 'gateway.test:{port}' }}]"
    );
    let house = house(&dns, ELSEWHERE, &rule).await;
    let reply = deliver(&house).await;
    assert!(reply.ends_with("[gateway.test TLSv1.3 dane]"), "{reply}");
    let other = format!("_{ELSEWHERE}._tcp.gateway.test");
    assert_eq!(dns.asked(&other, RecordType::TLSA), 0);
}

/// Whether the alias is signed decides whether there may be TLSA records: not to know is to wait.
#[tokio::test]
async fn an_alias_that_cannot_be_asked_for_is_no_absence() {
    let host = Host::named("host.b.test").await;
    let Host { ip, port, .. } = &host;
    let dns = Dns::start(&format!(
        "a.test MX 10 mx.a.test\nmx.a.test CNAME host.b.test\nhost.b.test A {ip}"
    ))
    .await;
    dns.secure_name(".");
    dns.secure("a.test");
    dns.fail_type("mx.a.test", RecordType::CNAME, Fault::ServFail);
    let house = house(&dns, *port, "").await;
    let reply = deliver(&house).await;
    let why = "451 4.7.5 mx.a.test: DNS look-up of CNAME of mx.a.test failed: SERVFAIL";
    assert!(reply.starts_with(why), "{reply}");
    assert_eq!(host.mx.connections(), 0);
}

/// RFC 7672 §2.2.1: name servers that know no TLSA records, and answer with an error, harm no host that is not signed.
#[tokio::test]
async fn of_a_host_that_is_not_signed_no_tlsa_records_are_asked_for() {
    let host = Host::named("mx.b.test").await;
    let Host { ip, port, .. } = &host;
    let dns = Dns::start(&format!("a.test MX 10 mx.b.test\nmx.b.test A {ip}")).await;
    dns.secure_name(".");
    dns.secure("a.test");
    let house = house(&dns, *port, "").await;
    let reply = deliver(&house).await;
    assert!(reply.ends_with("[mx.b.test TLSv1.3 none]"), "{reply}");
    let owner = format!("_{port}._tcp.mx.b.test");
    assert_eq!(dns.asked(&owner, RecordType::TLSA), 0);
}
