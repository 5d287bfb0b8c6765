//! Which MX gets the message: what DNS says, in which order, and what happens when it says nothing.

mod next_mx;

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use crate::support::house::{House, Setup};
use crate::support::mx::{Mx, Script, last_reply};
use crate::support::net::{free_port_on, loopback};
use crate::support::world::{BODY, World, fate, status};
use crate::support::zone::{Dns, Fault, Transport};
use hickory_resolver::proto::rr::RecordType;

fn both_ok<'a>(one: &'a str, two: &'a str) -> [(&'a str, Script); 2] {
    [(one, Script::default()), (two, Script::default())]
}

#[tokio::test]
async fn the_lowest_preference_is_first() {
    let zone = "a.test MX 20 two.a.test
        a.test MX 5 one.a.test
        one.a.test A 127.1.2.1
        two.a.test A 127.1.2.2";
    let world = World::in_zone(zone, both_ok("127.1.2.1", "127.1.2.2"), "").await;
    for _ in 0..5 {
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
    assert_eq!(world.mx[0].messages().len(), 5);
    assert_eq!(world.mx[1].connections(), 0);
}

#[tokio::test]
async fn equal_preferences_share_the_mail() {
    let zone = "a.test MX 10 one.a.test
        a.test MX 10 two.a.test
        one.a.test A 127.1.2.3
        two.a.test A 127.1.2.4";
    let world = World::in_zone(zone, both_ok("127.1.2.3", "127.1.2.4"), "").await;
    for _ in 0..40 {
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
    let [one, two] = world.mx.each_ref().map(|mx| mx.messages().len());
    // Forty times heads is a chance of one in a million millions.
    assert!(one > 0 && two > 0 && one + two == 40, "{one} + {two}");
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_host() {
    let zone = "a.test A 127.1.2.5";
    let world = World::in_zone(zone, [("127.1.2.5", Script::default())], "").await;
    let reply = world.send("r@a.test").await;
    assert!(reply.text().ends_with("[a.test plaintext]"), "{reply}");
    world.mx[0].message();
}

#[tokio::test]
async fn a_mail_host_may_be_an_alias() {
    let zone = "a.test MX 10 mx.a.test
        mx.a.test CNAME real.provider.test
        real.provider.test A 127.1.2.6
        alias.test CNAME a.test";
    let world = World::in_zone(zone, [("127.1.2.6", Script::default())], "").await;
    for domain in ["a.test", "alias.test"] {
        let reply = world.send(&format!("r@{domain}")).await;
        assert!(reply.text().ends_with("[mx.a.test plaintext]"), "{reply}");
    }
}

#[tokio::test]
async fn what_dns_does_not_say_is_told_apart() {
    let zone = "null.test MX 0 .
        noaddress.test MX 10 mx.noaddress.test
        mx.noaddress.test TXT nothing
        nohost.test MX 10 gone.nohost.test
        nothing.test TXT nothing
        broken.test MX 10 mx.broken.test
        mx.broken.test A 127.1.2.7
        refused.test A 127.1.2.7
        silent.test A 127.1.2.7
        brokenmx.test MX 10 mx.brokenmx.test
        mx.brokenmx.test A 127.1.2.7";
    let config = "[dns]\ntimeout = '300ms'\nfailed_for = '0s'";
    let world = World::in_zone(zone, [("127.1.2.7", Script::default())], config).await;
    world.dns.fail("broken.test", Fault::ServFail);
    world.dns.fail("refused.test", Fault::Refused);
    world.dns.fail("silent.test", Fault::Drop);
    world.dns.fail("mx.brokenmx.test", Fault::ServFail);
    for (domain, want) in [
        ("null.test", "556 5.1.10"),
        ("gone.test", "550 5.1.2"),
        ("noaddress.test", "451 4.4.4"),
        ("nohost.test", "451 4.4.4"),
        ("nothing.test", "451 4.4.4"),
        ("broken.test", "451 4.4.3"),
        ("refused.test", "451 4.4.3"),
        ("silent.test", "451 4.4.3"),
        ("brokenmx.test", "451 4.4.3"),
    ] {
        let reply = world.send(&format!("r@{domain}")).await;
        assert_eq!(status(&reply), want, "{domain}: {reply}");
        assert!(reply.text().contains(domain), "{reply}");
    }
    assert_eq!(world.mx[0].connections(), 0);
    world.dns.heal();
    assert_eq!(world.send("r@broken.test").await.code, 250);
}

#[tokio::test]
async fn a_null_mx_beside_others_is_a_mistake() {
    let zone = "a.test MX 0 .
        a.test MX 10 mx.a.test
        mx.a.test A 127.1.2.8";
    let world = World::in_zone(zone, [("127.1.2.8", Script::default())], "").await;
    assert_eq!(world.send("r@a.test").await.code, 250);
}

#[tokio::test]
async fn an_mx_whose_dns_fails_does_not_hold_up_the_other_one() {
    let zone = "a.test MX 10 one.a.test
        a.test MX 20 two.a.test
        one.a.test A 127.1.2.9
        two.a.test A 127.1.2.9";
    for fault in [Fault::ServFail, Fault::Refused, Fault::Drop] {
        for broken in ["one.a.test", "two.a.test"] {
            let config = "[dns]\ntimeout = '300ms'";
            let mx = [("127.1.2.9", Script::default())];
            let world = World::in_zone(zone, mx, config).await;
            world.dns.fail(broken, fault);
            let reply = world.send("r@a.test").await;
            assert_eq!(reply.code, 250, "{fault:?} {broken}: {reply}");
        }
    }
}

#[tokio::test]
async fn one_address_family_is_enough() {
    let zone = "a.test MX 10 mx.a.test\nmx.a.test A 127.1.2.10";
    for fault in [
        Fault::ServFail,
        Fault::Drop,
        Fault::Slow(Duration::from_millis(50)),
    ] {
        let config = "[dns]\ntimeout = '300ms'";
        let world = World::in_zone(zone, [("127.1.2.10", Script::default())], config).await;
        world.dns.fail_type("mx.a.test", RecordType::AAAA, fault);
        assert_eq!(world.send("r@a.test").await.code, 250, "{fault:?}");
    }
}

const DUAL: &str = "a.test MX 10 mx.a.test
    mx.a.test A 127.1.2.11
    mx.a.test AAAA ::1";

#[tokio::test]
async fn the_address_families_come_in_the_order_of_the_operator() {
    for (order, want) in [
        ("ipv6-first", [1, 0]),
        ("ipv6-only", [1, 0]),
        ("ipv4-first", [0, 1]),
        ("ipv4-only", [0, 1]),
    ] {
        let config = format!("[mx]\naddresses = '{order}'");
        let world = World::in_zone(DUAL, both_ok("[::1]", "127.1.2.11"), &config).await;
        assert_eq!(world.send("r@a.test").await.code, 250);
        let got = world.mx.each_ref().map(Mx::connections);
        assert_eq!(got, want, "{order}");
    }
}

#[tokio::test]
async fn the_other_family_is_tried_where_the_first_one_does_not_do() {
    let busy = || Script {
        greeting: Some(last_reply(421, "busy").into()),
        ..Script::default()
    };
    for (order, code, want) in [("ipv6-first", 250, [1, 1]), ("ipv6-only", 451, [1, 0])] {
        let config = format!("[mx]\naddresses = '{order}'");
        let mx = [("[::1]", busy()), ("127.1.2.11", Script::default())];
        let world = World::in_zone(DUAL, mx, &config).await;
        assert_eq!(world.send("r@a.test").await.code, code, "{order}");
        let got = world.mx.each_ref().map(Mx::connections);
        assert_eq!(got, want, "{order}");
    }
}

#[tokio::test]
async fn an_address_literal_is_dialled_as_it_is() {
    let world = World::in_zone("x.test A 127.1.2.12", both_ok("127.1.2.12", "[::1]"), "").await;
    for (at, literal) in ["[127.1.2.12]", "[IPv6:::1]"].into_iter().enumerate() {
        let to = format!("r@{literal}");
        let reply = world.send(&to).await;
        assert_eq!(reply.code, 250, "{reply}");
        assert_eq!(world.mx[at].message().recipients, [to]);
    }
    assert!(world.dns.queries().is_empty(), "{:?}", world.dns.queries());
}

#[tokio::test]
async fn an_international_domain_is_asked_for_in_ascii() {
    let zone = "xn--bcher-kva.test MX 10 mx.xn--bcher-kva.test
        mx.xn--bcher-kva.test A 127.1.2.13";
    let world = World::in_zone(zone, [("127.1.2.13", Script::default())], "").await;
    let mut mta = world.house.smtp_client().await;
    let replies = mta
        .pipeline(&[
            "MAIL FROM:<s@b.test> SMTPUTF8",
            "RCPT TO:<jö@Bücher.test>",
            "RCPT TO:<r@xn--bcher-kva.test>",
            "DATA",
        ])
        .await;
    let codes: Vec<_> = replies.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [250, 250, 250, 354]);
    assert_eq!(mta.data(BODY).await.code, 250);
    // RFC 6531 §3.2: the MX gets the address as it was written.
    assert_eq!(
        world.mx[0].message().recipients,
        ["jö@Bücher.test", "r@xn--bcher-kva.test"]
    );
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let mut zone = "first.a.test A 127.1.2.14\na.test MX 0 first.a.test\n".to_owned();
    for at in 1..120 {
        writeln!(zone, "a.test MX {at} mail-exchanger-{at}.a.test").unwrap();
    }
    let world = World::in_zone(&zone, [("127.1.2.14", Script::default())], "").await;
    let reply = world.send("r@a.test").await;
    assert_eq!(reply.code, 250, "{reply}");
    let transports = world.dns.transports("a.test", RecordType::MX);
    assert_eq!(transports, [Transport::Udp, Transport::Tcp]);
    let hosts: HashSet<_> = world
        .dns
        .queries()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.ends_with("a.test") && !name.starts_with('_'))
        .collect();
    assert!(
        hosts.len() <= 51,
        "not all of so many hosts are looked up, but {}",
        hosts.len()
    );
}

#[tokio::test]
async fn answers_of_dns_are_kept_for_their_time() {
    let world = World::one(Script::default()).await;
    for _ in 0..3 {
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
    assert_eq!(world.dns.asked("a.test", RecordType::MX), 1);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_dialled_unless_listed() {
    for (networks, want) in [
        ("[]", "451 4.4.6"),
        ("['127.1.2.16']", "451 4.4.6"),
        ("['127.1.2.15']", "250 2.0.0"),
    ] {
        let zone = "a.test MX 10 mx.a.test\nmx.a.test A 127.1.2.15";
        let config = format!("[mx]\nallow_networks = {networks}");
        let world = World::in_zone(zone, [("127.1.2.15", Script::default())], &config).await;
        for to in ["r@a.test", "r@[127.1.2.15]"] {
            assert_eq!(status(&world.send(to).await), want, "{networks} {to}");
        }
        let connections = if want.starts_with('2') { 2 } else { 0 };
        assert_eq!(world.mx[0].connections(), connections);
    }
}

#[tokio::test]
async fn waxseal_never_dials_itself() {
    let ip = loopback();
    let port = free_port_on(&[&ip]).await;
    let dns = Dns::start(&format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}")).await;
    let config = format!("[[listener]]\nkind = 'relay'\nlisten = '{ip}:{port}'");
    let setup = Setup {
        config: &config,
        ..Setup::default()
    };
    let house = House::start(&dns, port, setup).await;
    for to in ["r@a.test".to_owned(), format!("r@[{ip}]")] {
        let mut mta = house.smtp_client().await;
        let reply = fate(&mta.deliver("s@b.test", &[&to], BODY).await);
        assert_eq!(status(&reply), "451 4.4.6", "{reply}");
        assert!(reply.text().contains("own listener"), "{reply}");
        let sessions = house.metric(r#"waxseal_sessions{listener="relay"}"#).await;
        assert!((sessions - 1.0).abs() < f64::EPSILON);
        mta.quit().await;
    }
}
