//! `support::zone` answers as a recursive resolver does; hickory's resolver is the client.

use std::{net::Ipv4Addr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::{Edns, Message, Query, ResponseCode},
        rr::{Name, RData, RecordType},
    },
};
use tokio::net::UdpSocket;

use crate::support::{
    within,
    zone::{Dns, Fault, Transport},
};

const ZONE: &str = r#"
    example.test            MX     10 mx1.example.test
    example.test            MX     20 mx2.example.test
    mx1.example.test        A      127.0.1.1
    mx1.example.test        AAAA   ::1
    mx2.example.test        CNAME  real.provider.test
    real.provider.test      A      127.0.1.2
    dangling.test           CNAME  gone.test
    _mta-sts.example.test   TXT    "v=STSv1; id=20260101;"
    _25._tcp.mx1.example.test TLSA 3 1 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    null.test               MX     0 .
"#;

fn resolver(dns: &Dns) -> TokioResolver {
    let [mut udp, mut tcp] = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    udp.port = dns.address().port();
    tcp.port = dns.address().port();
    let server = NameServerConfig::new(dns.address().ip(), true, vec![udp, tcp]);
    let mut options = ResolverOpts::default();
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = Duration::from_millis(500);
    options.attempts = 0;
    options.cache_size = 0;
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .unwrap()
}

async fn look_up(dns: &Dns, name: &str, record_type: RecordType) -> Result<Vec<RData>, NetError> {
    let lookup = within("a lookup", resolver(dns).lookup(name, record_type)).await?;
    Ok(lookup
        .answers()
        .iter()
        .map(|record| record.data.clone())
        .collect())
}

/// The code of a negative answer, and whether a SOA came with it.
async fn absence(dns: &Dns, name: &str, record_type: RecordType) -> (ResponseCode, bool) {
    match look_up(dns, name, record_type).await {
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            (none.response_code, none.soa.is_some())
        }
        other => panic!("{name} {record_type}: {other:?}"),
    }
}

/// One query as it goes over the wire, for what a resolver does not show.
async fn ask(
    dns: &Dns,
    name: &str,
    record_type: RecordType,
    change: impl FnOnce(&mut Message),
) -> Message {
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    change(&mut query);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket
        .send_to(&query.to_vec().unwrap(), dns.address())
        .await
        .unwrap();
    let mut buffer = [0; 4096];
    let length = within("a DNS answer", socket.recv(&mut buffer))
        .await
        .unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

#[tokio::test]
async fn records_of_all_kinds_are_found() {
    let dns = Dns::start(ZONE).await;
    assert_eq!(
        look_up(&dns, "example.test.", RecordType::MX)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        look_up(&dns, "mx1.example.test.", RecordType::AAAA)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        look_up(&dns, "_25._tcp.mx1.example.test.", RecordType::TLSA)
            .await
            .unwrap()
            .len(),
        1
    );
    let addresses = look_up(&dns, "MX1.example.TEST.", RecordType::A)
        .await
        .unwrap();
    assert_eq!(addresses, [RData::A(Ipv4Addr::new(127, 0, 1, 1).into())]);
    let text = look_up(&dns, "_mta-sts.example.test.", RecordType::TXT)
        .await
        .unwrap();
    assert_eq!(text[0].to_string(), "v=STSv1; id=20260101;");
    let null = look_up(&dns, "null.test.", RecordType::MX).await.unwrap();
    assert!(matches!(&null[..], [RData::MX(mx)] if mx.exchange.is_root()));
}

#[tokio::test]
async fn aliases_are_followed_within_the_answer() {
    let dns = Dns::start(ZONE).await;
    let answer = look_up(&dns, "mx2.example.test.", RecordType::A)
        .await
        .unwrap();
    assert!(
        matches!(&answer[..], [RData::CNAME(_), RData::A(_)]),
        "{answer:?}"
    );
    assert_eq!(
        dns.queries(),
        [("mx2.example.test".to_owned(), RecordType::A)]
    );
    assert_eq!(
        absence(&dns, "dangling.test.", RecordType::A).await,
        (ResponseCode::NXDomain, true)
    );
}

#[tokio::test]
async fn an_alias_loop_ends() {
    let dns = Dns::start("a.test CNAME b.test\nb.test CNAME a.test").await;
    let answer = ask(&dns, "a.test.", RecordType::A, |_| {}).await;
    assert!(answer.answers.len() > 2);
}

#[tokio::test]
async fn no_such_name_differs_from_no_such_data() {
    let dns = Dns::start(ZONE).await;
    assert_eq!(
        absence(&dns, "nothing.test.", RecordType::MX).await,
        (ResponseCode::NXDomain, true)
    );
    assert_eq!(
        absence(&dns, "mx1.example.test.", RecordType::MX).await,
        (ResponseCode::NoError, true)
    );
    assert_eq!(
        absence(&dns, "_tcp.mx1.example.test.", RecordType::A).await,
        (ResponseCode::NoError, true)
    );
}

#[tokio::test]
async fn faults_strike_a_name_or_one_of_its_types() {
    let dns = Dns::start(ZONE).await;
    dns.fail_type("example.test", RecordType::MX, Fault::ServFail);
    dns.fail("mx1.example.test", Fault::Refused);
    for (name, record_type, code) in [
        ("example.test.", RecordType::MX, ResponseCode::ServFail),
        ("example.test.", RecordType::A, ResponseCode::NoError),
        ("mx1.example.test.", RecordType::A, ResponseCode::Refused),
        ("mx1.example.test.", RecordType::AAAA, ResponseCode::Refused),
    ] {
        let answer = ask(&dns, name, record_type, |_| {}).await;
        assert_eq!(answer.metadata.response_code, code, "{name} {record_type}");
    }
    dns.heal();
    assert_eq!(
        look_up(&dns, "example.test.", RecordType::MX)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_dropped_query_times_out() {
    let dns = Dns::start(ZONE).await;
    dns.fail("example.test", Fault::Drop);
    let answer = look_up(&dns, "example.test.", RecordType::MX).await;
    assert!(matches!(answer, Err(NetError::Timeout)), "{answer:?}");
    assert!(dns.asked("example.test", RecordType::MX) > 0);
}

#[tokio::test]
async fn a_big_answer_comes_by_tcp() {
    let text = (1..=200).map(|n| format!("big.test A 127.1.0.{n}\n"));
    let dns = Dns::start(&text.collect::<Vec<_>>().concat()).await;
    let answer = look_up(&dns, "big.test.", RecordType::A).await.unwrap();
    assert_eq!(answer.len(), 200);
    assert_eq!(
        dns.transports("big.test", RecordType::A),
        [Transport::Udp, Transport::Tcp]
    );
}

#[tokio::test]
async fn a_zone_is_replaced_while_it_is_served() {
    let dns = Dns::start(ZONE).await;
    dns.replace("example.test MX 5 other.test");
    assert_eq!(
        look_up(&dns, "example.test.", RecordType::MX)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        absence(&dns, "mx1.example.test.", RecordType::A).await,
        (ResponseCode::NXDomain, true)
    );
}

#[tokio::test]
async fn only_secure_names_carry_ad_and_only_when_asked() {
    let dns = Dns::start(ZONE).await;
    dns.secure("example.test");
    let ask_ad = |message: &mut Message| message.metadata.authentic_data = true;
    let ask_do = |message: &mut Message| {
        message
            .edns
            .get_or_insert_with(Edns::new)
            .set_dnssec_ok(true);
    };
    let ad = |message: Message| message.metadata.authentic_data;
    assert!(ad(ask(&dns, "example.test.", RecordType::MX, ask_ad).await));
    assert!(ad(ask(
        &dns,
        "none.example.test.",
        RecordType::TLSA,
        ask_do
    )
    .await));
    assert!(!ad(ask(&dns, "example.test.", RecordType::MX, |_| {}).await));
    let insecure_target = ask(&dns, "mx2.example.test.", RecordType::A, ask_ad).await;
    assert!(!ad(insecure_target));
}

#[tokio::test]
async fn a_bogus_name_answers_only_when_checking_is_disabled() {
    let dns = Dns::start(ZONE).await;
    dns.fail("example.test", Fault::Bogus);
    let checked = ask(&dns, "example.test.", RecordType::MX, |_| {}).await;
    assert_eq!(checked.metadata.response_code, ResponseCode::ServFail);
    let disable = |message: &mut Message| message.metadata.checking_disabled = true;
    let unchecked = ask(&dns, "example.test.", RecordType::MX, disable).await;
    assert_eq!(unchecked.answers.len(), 2);
}
