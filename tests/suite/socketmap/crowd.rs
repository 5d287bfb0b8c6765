//! Thousands of connections at once, as a busy Postfix has them: one for each process that delivers.

use std::fmt::Write as _;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use hickory_resolver::proto::rr::RecordType;

use super::client::{Postfix, World, request};
use crate::support::world::is;

const CONNECTIONS: u32 = 4000;
const ROUNDS: u32 = 4;
const DOMAINS: u32 = 97;

/// The domain that a connection asks for in a round: neighbours ask for different ones.
fn domain(connection: u32, round: u32) -> String {
    format!("d{}.test", (connection + 31 * round) % DOMAINS)
}

/// Each domain has an answer of its own, so that one that goes astray is noticed.
fn answer(domain: &str) -> String {
    format!("OK secure match=mx.{domain} servername=hostname")
}

async fn world() -> World {
    let (mut zone, mut rules) = (String::new(), String::new());
    for domain in (0..DOMAINS).map(|number| domain(number, 0)) {
        writeln!(zone, "{domain} MX 10 mx.{domain}\nmx.{domain} A 192.0.2.1").unwrap();
        writeln!(
            rules,
            "[[rule]]\ndomains = ['{domain}']\ntls = 'secure'\nmatch = ['mx.{domain}']"
        )
        .unwrap();
    }
    // The name server shares a thread with the crowd, and may take long to answer.
    let config = format!("max_sessions = {CONNECTIONS}\n[dns]\ntimeout = '10s'");
    World::with(&zone, &rules, &config).await
}

/// Either end of a connection takes a descriptor, and other tests have some, too.
fn allow_open_files() {
    let wanted = u64::from(2 * CONNECTIONS + 1000);
    let limit = rlimit::increase_nofile_limit(wanted).unwrap();
    assert!(
        limit >= wanted,
        "{limit} open files (ulimit -Hn) are not enough"
    );
}

#[tokio::test]
async fn thousands_of_connections_each_get_their_own_answers() {
    allow_open_files();
    let world = world().await;
    // Few at a time: the queue of a listener may be short.
    let connect = stream::iter(0..CONNECTIONS).map(|_| world.postfix());
    let mut crowd: Vec<Postfix> = connect.buffered(50).collect().await;
    for round in 0..ROUNDS {
        // All have asked before the first one reads.
        let asking = (0..).zip(&mut crowd).map(async |(number, postfix)| {
            postfix.send(&request(&domain(number, round))).await;
        });
        join_all(asking).await;
        let reading = (0..).zip(&mut crowd).map(async |(number, postfix)| {
            assert_eq!(postfix.reply().await, answer(&domain(number, round)));
        });
        join_all(reading).await;
    }
    assert!(is(world.sessions().await, CONNECTIONS));
    assert!(is(world.counted("ok").await, CONNECTIONS * ROUNDS));
    for domain in (0..DOMAINS).map(|number| domain(number, 0)) {
        assert_eq!(world.dns.asked(&domain, RecordType::MX), 1, "{domain}");
    }
    // There is no room for one more.
    let mut late = world.postfix().await;
    assert!(late.reply().await.starts_with("TEMP too many sessions"));
}
