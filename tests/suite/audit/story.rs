//! What is remembered of real deliveries, and what `waxseal explain` says of them.

use std::process::{Command, Output};

use serde_json::Value;

use super::{ask, record};
use crate::support::ca::Ca;
use crate::support::house::{House, Setup};
use crate::support::mta::Dialect;
use crate::support::mx::{Mx, Script, reply};
use crate::support::net::loopback;
use crate::support::world::{BODY, World, fate};
use crate::support::zone::Dns;

/// Sends one message; the record of it.
async fn told<const N: usize>(world: &World<N>, to: &str) -> Value {
    let id = world.send(to).await.id.expect("an id in the reply");
    record(&world.house, &id).await
}

#[tokio::test]
async fn a_delivery_by_dane_has_the_evidence() {
    let identity = Ca::new("Test CA").server("mx.a.test");
    let (ip, tlsa, print) = (loopback(), identity.dane_ee(), identity.sha256());
    let mx = Mx::start(&ip, 0, Script::with_tls(identity)).await;
    let owner = format!("_{}._tcp.mx.a.test", mx.port());
    let zone = format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}\n{owner} TLSA {tlsa}");
    let dns = Dns::start(&zone).await;
    dns.secure(".");
    let setup = Setup {
        config: "dns = { dnssec = 'trust-ad' }",
        ..Setup::default()
    };
    let house = House::start(&dns, mx.port(), setup).await;
    let sent = house
        .smtp_client()
        .await
        .deliver("s@b.test", &["r@a.test"], BODY)
        .await;
    let record = record(&house, fate(&sent).id.as_ref().unwrap()).await;
    let connection = &record["connection"];
    for (value, expected) in [
        (&record["result"], "delivered"),
        (&record["policy"], "dane"),
        (&record["facts"]["mx_security"], "secure"),
        (&record["facts"]["hosts"][0]["dane"]["owner"], &owner),
        (
            &record["facts"]["hosts"][0]["dane"]["records"][0]["record"],
            &tlsa,
        ),
        (&record["attempts"][0]["address"], &ip),
        (&record["attempts"][0]["result"], "ready"),
        (&connection["authentication"], "dane"),
        (&connection["tlsa"]["record"], &tlsa),
        (&connection["tls"]["version"], "TLSv1.3"),
        (&connection["tls"]["key_exchange"], "X25519MLKEM768"),
        (&connection["tls"]["chain"][0], &format!("sha256:{print}")),
        (&record["reply"], "250 2.0.0"),
    ] {
        assert_eq!(value, expected, "in {record:#}");
    }
}

#[tokio::test]
async fn a_delivery_in_plaintext_says_why() {
    let world = World::one(Script::default()).await;
    let record = told(&world, "r@a.test").await;
    assert_eq!(record["policy"], "opportunistic");
    assert_eq!(record["connection"]["encryption"], "plaintext");
    let why = "STARTTLS is not offered, or not wanted";
    assert_eq!(record["connection"]["plaintext_because"], why);
    assert_eq!(
        record["facts"]["hosts"][0]["must"],
        "TLS if offered, else plaintext"
    );
}

#[tokio::test]
async fn a_blocked_delivery_has_the_rule_and_each_attempt() {
    let world = World::one(Script::default()).await;
    let rule = "rule = [{ domains = ['a.test'], tls = 'encrypt', reason = 'contract' }]";
    world.house.write_rules(rule);
    world.house.reload().await.unwrap();
    let record = told(&world, "r@a.test").await;
    assert_eq!(record["result"], "blocked");
    assert_eq!(record["rule"]["origin"], "50-test.toml:1");
    assert_eq!(record["rule"]["reason"], "contract");
    assert_eq!(record["attempts"][0]["result"], "starttls-not-supported");
    assert_eq!(record["connection"], Value::Null);
    assert_eq!(record["reply"], "451 4.7.4");
}

#[tokio::test]
async fn a_host_that_is_passed_over_is_told_with_the_codes_of_its_reply() {
    let grey = Script {
        mail: reply(451, "4.7.1 s@b.test is grey").into(),
        ..Script::default()
    };
    let (one, two) = (loopback(), loopback());
    let zone = format!(
        "a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\nmx1.a.test A {one}\nmx2.a.test A {two}"
    );
    let hosts = [(one.as_str(), grey), (two.as_str(), Script::default())];
    let world = World::in_zone(&zone, hosts, "").await;
    let record = told(&world, "r@a.test").await;
    let attempts = record["attempts"].as_array().unwrap();
    let results: Vec<_> = attempts.iter().map(|one| &one["result"]).collect();
    assert_eq!(results, ["ready", "refused", "ready"]);
    assert_eq!(attempts[1]["why"], "451 4.7.1");
}

#[tokio::test]
async fn each_leg_of_a_message_has_its_own_story() {
    let (world, end) = super::fan_out("").await;
    for (reply, domain) in end.iter().zip(["a.test", "b.test", "a.test"]) {
        let record = record(&world.house, reply.id.as_ref().unwrap()).await;
        assert_eq!(
            (&record["domain"], &record["listener"]),
            (&domain.into(), &"lmtp".into())
        );
    }
}

#[tokio::test]
async fn the_latest_come_first_page_by_page_and_can_be_filtered() {
    let (world, _) = super::fan_out("").await;
    world.send("r@nowhere.test").await;
    let domains = |page: &Value| -> Vec<String> {
        let all = page["deliveries"].as_array().unwrap().iter();
        all.map(|one| one["domain"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, page) = ask(&world.house, "/api/v1/deliveries?limit=1").await;
    assert_eq!(domains(&page), ["nowhere.test"]);
    let next = page["next"].as_str().unwrap();
    let (_, page) = ask(&world.house, &format!("/api/v1/deliveries?after={next}")).await;
    assert_eq!((domains(&page).len(), &page["next"]), (2, &Value::Null));
    let (_, page) = ask(
        &world.house,
        "/api/v1/deliveries?domain=B.test&result=delivered",
    )
    .await;
    assert_eq!(domains(&page), ["b.test"]);
    for (wrong, status) in [
        ("?result=gone", 400),
        ("?domain=a..b", 400),
        ("?after=x", 400),
        ("/x", 400),
        ("/01kb5cw8r0v4q8zj2m6tn3x9fy", 404),
    ] {
        let (told, problem) = ask(&world.house, &format!("/api/v1/deliveries{wrong}")).await;
        assert_eq!(told, status, "{wrong}: {problem}");
    }
}

#[tokio::test]
async fn nothing_is_remembered_where_nothing_is_kept() {
    let world = World::with(Script::default(), "audit = { keep = 0 }").await;
    let id = world.send("r@a.test").await.id.unwrap();
    let (status, _) = ask(&world.house, &format!("/api/v1/deliveries/{id}")).await;
    assert_eq!(status, 404);
}

/// Runs `waxseal explain` with the configuration of the house, whose admin endpoint is really there.
async fn explain(house: &House, arguments: &[&str]) -> Output {
    let config = house.folder().join("explain.toml");
    let text = std::fs::read_to_string(house.folder().join("waxseal.toml")).unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    table["admin"]["listen"] = house.admin().to_string().into();
    std::fs::write(&config, table.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command
        .arg("explain")
        .args(arguments)
        .arg("--config")
        .arg(config);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn explain_asks_the_waxseal_that_runs() {
    let world = World::one(Script::default()).await;
    let id = world.send("r@a.test").await.id.unwrap();
    let output = explain(&world.house, &[&id]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for line in [
        &format!("id        {id}"),
        "rule      none; built in: standard (floor may)",
        "must      mx.a.test: TLS if offered, else plaintext",
        "          plaintext: STARTTLS is not offered, or not wanted",
        "reply     250 2.0.0",
        "verdict   delivered: nobody demanded more",
    ] {
        assert!(
            text.lines().any(|told| told.starts_with(line)),
            "no {line:?} in\n{text}"
        );
    }
    let output = explain(&world.house, &[&id, "--json"]).await;
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, record(&world.house, &id).await);
}

#[tokio::test]
async fn explain_says_where_it_has_looked_in_vain() {
    let world = World::one(Script::default()).await;
    let output = explain(&world.house, &["01kb5cw8r0v4q8zj2m6tn3x9fy"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "waxseal: no delivery 01kb5cw8r0v4q8zj2m6tn3x9fy is known; the waxseal that runs does not remember it; \
         there is no audit log to look into ([audit] file, or --file)\n"
    );
    let output = explain(&world.house, &["dog"]).await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn what_is_forgotten_is_found_in_the_audit_log() {
    let config = "audit = { keep = 0, file = 'audit.jsonl' }";
    let world = World::with(Script::default(), config).await;
    let sent = world.deliver(Dialect::Lmtp, &["r@a.test"], BODY).await;
    let id = sent.end[0].id.clone().unwrap();
    let World { house, .. } = world;
    let house = house.restart().await;
    let output = explain(&house, &[&id]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("\nlistener  lmtp\n"), "{text}");
}
