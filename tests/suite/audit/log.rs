//! The audit log: one JSON object a line, and never a mailbox in it.

use std::path::Path;

use serde_json::Value;

use super::record;
use crate::support::http;
use crate::support::mta::Dialect;
use crate::support::mx::{Answer, Script, reply};
use crate::support::world::{BODY, World};

/// A waxseal with an audit log in this folder.
async fn logging<const N: usize>(folder: &Path, domains: [(&str, Script); N]) -> World<N> {
    let file = folder.join("audit.jsonl");
    let config = format!("audit = {{ file = '{}' }}", file.display());
    World::of(domains, &config).await
}

/// The whole log, once its waxseal has stopped.
fn read(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("audit.jsonl")).unwrap()
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = read(folder);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn each_leg_is_one_line_as_the_admin_endpoint_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let domains = [("a.test", Script::default()), ("b.test", Script::default())];
    let world = logging(folder.path(), domains).await;
    let sent = world
        .deliver(Dialect::Lmtp, &["r@a.test", "r@b.test"], BODY)
        .await;
    let mut remembered = Vec::new();
    for reply in &sent.end {
        remembered.push(record(&world.house, reply.id.as_ref().unwrap()).await);
    }
    world.house.stop().await;
    let lines = lines(folder.path());
    let deliveries: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "delivery")
        .collect();
    assert_eq!(deliveries.len(), 2, "{lines:?}");
    for mut expected in remembered {
        expected["event"] = "delivery".into();
        assert!(deliveries.contains(&&expected), "{expected:#}");
    }
}

#[tokio::test]
async fn acts_say_who_did_what_and_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = logging(folder.path(), [("a.test", Script::default())]).await;
    let house = &world.house;
    house.write_rules("rule = [{ domains = ['a.test'], tls = 'encrypt' }]");
    house.reload().await.unwrap();
    house.write_rules("rule = [{ domains = ['a.test'], tls = 'sealed' }]");
    http::post(house.admin(), "/reload", "").await;
    http::delete(house.admin(), "/api/v1/policies/a.test").await;
    http::delete(house.admin(), "/api/v1/hosts/mx.a.test").await;
    let rule = r#"{ "domains": ["b.test"], "tls": "may" }"#;
    http::post_json(house.admin(), "/api/v1/rules", rule).await;
    world.house.stop().await;
    let lines = lines(folder.path());
    let told = |line: &Value| {
        let words =
            ["by", "act", "domain", "host", "result"].map(|key| line[key].as_str().unwrap_or("-"));
        words.join(" ")
    };
    assert_eq!(
        lines.iter().map(told).collect::<Vec<_>>(),
        [
            "process start - - ok",
            "SIGHUP reload - - ok",
            "127.0.0.1 reload - - failed",
            "127.0.0.1 policy-forget a.test - failed",
            "127.0.0.1 host-forget - mx.a.test failed",
            "127.0.0.1 rule-add - - failed",
            "process stop - - ok",
        ]
    );
    let in_force = &lines[1]["in_force"];
    assert_eq!(in_force["added"][0], "50-test.toml:1 encrypt");
    assert_eq!(
        (&in_force["rules"], &in_force["removed"]),
        (&1.into(), &Value::Array(Vec::new()))
    );
    assert_eq!(lines[0]["in_force"]["config"], in_force["config"]);
    assert_ne!(lines[0]["in_force"]["rule_files"], in_force["rule_files"]);
    assert!(
        lines[2]["detail"]
            .as_str()
            .unwrap()
            .contains("50-test.toml:1:"),
        "{}",
        lines[2]
    );
}

/// Every way for a mailbox to get near waxseal: in the envelope, in what the MX says to each command, in names.
#[tokio::test]
async fn no_mailbox_is_ever_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let says = |code, text: &str| -> Answer {
        reply(code, &format!("{text} <hidden.mark@a.test>")).into()
    };
    let scripts = [
        Script::default(),
        Script {
            mail: says(451, "4.7.1 grey"),
            ..Script::default()
        },
        Script {
            rcpt: says(550, "5.1.1 unknown"),
            ..Script::default()
        },
        Script {
            data: says(554, "5.6.0 no"),
            ..Script::default()
        },
        Script {
            end_of_data: says(250, "2.0.0 queued for"),
            ..Script::default()
        },
        Script {
            greeting: Some(says(554, "5.3.0 go away")),
            ..Script::default()
        },
        Script {
            ehlo: Some(says(421, "4.3.0 hidden.mark")),
            ..Script::default()
        },
        // What is no reply at all.
        Script {
            mail: says(199, "hidden.mark"),
            ..Script::default()
        },
    ];
    let names: Vec<String> = (0..scripts.len()).map(|n| format!("d{n}.test")).collect();
    let mut names = names.iter();
    let domains = scripts.map(|script| (names.next().unwrap().as_str(), script));
    let world = Box::pin(logging(folder.path(), domains)).await;
    for n in 0..8 {
        for dialect in [Dialect::Smtp, Dialect::Lmtp] {
            let mut mta = world.mta(dialect).await;
            let to = format!("hidden.mark+{n}@d{n}.test");
            mta.deliver(
                "hidden.mark@b.test",
                &[&to, "hidden.mark@nowhere.test"],
                BODY,
            )
            .await;
            mta.quit().await;
        }
    }
    world.house.stop().await;
    let text = read(folder.path());
    assert!(text.lines().count() > 16, "{text}");
    assert!(
        !text.contains("hidden.mark") && !text.contains('@'),
        "{text}"
    );
}
