//! The story of a delivery, told by its id.

mod log;
mod story;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::house::House;
use crate::support::http;
use crate::support::mta::{Dialect, Reply};
use crate::support::mx::{Script, reply};
use crate::support::world::{BODY, World, status};

/// What the admin endpoint answers, and its status.
async fn ask(house: &House, path: &str) -> (u16, Value) {
    let answer = http::get(house.admin(), path).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// The record of a delivery that is remembered.
async fn record(house: &House, id: &str) -> Value {
    let (status, record) = ask(house, &format!("/api/v1/deliveries/{id}")).await;
    assert_eq!(status, 200, "{record}");
    record
}

/// A message to two domains, and the replies to its end.
async fn fan_out(config: &str) -> (World<2>, Vec<Reply>) {
    let domains = [("a.test", Script::default()), ("b.test", Script::default())];
    let world = World::of(domains, config).await;
    let to = ["r@a.test", "r@b.test", "q@a.test"];
    let sent = world.deliver(Dialect::Lmtp, &to, BODY).await;
    (world, sent.end)
}

#[tokio::test]
async fn the_reply_carries_the_id_of_its_leg() {
    let (_world, end) = fan_out("").await;
    let ids: Vec<_> = end.iter().map(|reply| reply.id.clone().unwrap()).collect();
    assert_eq!(ids[0], ids[2], "two recipients of one leg");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2);
}

#[tokio::test]
async fn what_waxseal_keeps_back_carries_its_id_too() {
    let world = World::one(Script::default()).await;
    let rule = "rule = [{ domains = ['a.test'], tls = 'encrypt' }]";
    world.house.write_rules(rule);
    world.house.reload().await.unwrap();
    for (to, fate) in [("r@a.test", "451 4.7.4"), ("r@nowhere.test", "550 5.1.2")] {
        let reply = world.send(to).await;
        assert_eq!(status(&reply), fate);
        assert!(reply.id.is_some(), "{reply}");
    }
}

#[tokio::test]
async fn the_no_of_an_mx_passes_as_it_is() {
    let script = Script {
        end_of_data: reply(550, "5.7.1 no").into(),
        ..Script::default()
    };
    let reply = World::one(script).await.send("r@a.test").await;
    assert_eq!((reply.text().as_str(), reply.id), ("5.7.1 no", None));
}

#[tokio::test]
async fn without_the_seal_no_reply_has_an_id() {
    let (world, end) = fan_out("seal = false").await;
    assert!(end.iter().all(|reply| reply.id.is_none()), "{end:?}");
    assert_eq!(world.send("r@nowhere.test").await.id, None);
}
