//! The admin endpoint of a waxseal that runs.

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{house::House, http, mx::Script, world::World};

const TOKEN: &str = "0123456789abcdef-the-token";

/// A token, a certificate and its key, in a folder that the configuration of a house can name.
fn secrets() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["elsewhere.test".to_owned()]).unwrap();
    for (name, text) in [
        ("token", format!("{TOKEN}\n")),
        ("admin.pem", pair.cert.pem()),
        ("admin.key", pair.signing_key.serialize_pem()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// `waxseal policy forget a.test`, with this `[admin]` beside the address of the house.
async fn forget(house: &House, admin: String) -> (Option<i32>, String) {
    let file = house.folder().join("cli.toml");
    let address = house.admin();
    let text = format!("store = {{ path = 'other.db' }}\n[admin]\nlisten = '{address}'\n{admin}");
    std::fs::write(&file, text).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command.arg("--config").arg(file);
        command
            .args(["policy", "forget", "a.test"])
            .output()
            .unwrap()
    });
    let Output { status, stderr, .. } = output.await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn the_command_shows_the_token_and_knows_the_certificate() {
    let (own, other) = (secrets(), secrets());
    let path = |folder: &TempDir, name: &str| folder.path().join(name).display().to_string();
    let token = format!("token_file = '{}'\n", path(&own, "token"));
    let tls = |folder| {
        let (certificate, key) = (path(folder, "admin.pem"), path(folder, "admin.key"));
        format!("tls_certificate = '{certificate}'\ntls_key = '{key}'\n")
    };
    let endpoint = format!("[admin]\n{token}{}", tls(&own));
    let world = World::with(Script::default(), &endpoint).await;
    let wrong = path(&other, "wrong-token");
    std::fs::write(&wrong, "0123456789abcdef-another").unwrap();
    for (admin, says) in [
        (
            format!("{token}{}", tls(&own)),
            "no MTA-STS policy of a.test",
        ),
        (tls(&own), "this takes the token"),
        (
            format!("token_file = '{wrong}'\n{}", tls(&own)),
            "this is not the token",
        ),
        (format!("{token}{}", tls(&other)), "does not answer"),
        (token.clone(), "does not answer"),
    ] {
        let (code, said) = forget(&world.house, admin).await;
        assert_eq!(
            (code, said.contains(says)),
            (Some(1), true),
            "{says}: {said}"
        );
    }
}

#[tokio::test]
async fn the_api_tells_of_mail_rules_and_checks() {
    let world = World::one(Script::default()).await;
    let admin = world.house.admin();
    world.house.write_rules(
        "[[rule]]\ndomains = ['a.test', '.b.test']\nsenders = ['b.test']\ntls = 'encrypt'\nmode = 'observe'\nreason = 'r'\nexpires = 2199-01-01",
    );
    assert_eq!(http::post(admin, "/api/v1/reload", "").await.status, 200);
    assert!(world.send("u@a.test").await.is_positive());

    let totals = json(admin, "/api/v1/totals").await;
    assert_eq!(
        (&totals["sealed"], &totals["open"]),
        (&0.into(), &1.into()),
        "{totals}"
    );
    let minutes = totals["last_hour"].as_array().unwrap();
    let open: u64 = minutes
        .iter()
        .map(|minute| minute["open"].as_u64().unwrap())
        .sum();
    assert_eq!((minutes.len(), open), (60, 1), "{totals}");

    let page = json(admin, "/api/v1/rules?limit=1").await;
    assert_eq!(
        (&page["total"], &page["next"]),
        (&2.into(), &1.into()),
        "{page}"
    );
    let rule = &page["rules"][0];
    let expected = serde_json::json!({
        "origin": "50-test.toml:1", "pattern": "a.test", "sender": "b.test", "tls": "encrypt", "mode": "observe",
        "route": null, "reason": "r", "expires": "2199-01-01T00:00:00Z", "expired": false, "hits": 1,
    });
    assert_eq!(*rule, expected, "mail met the rule once");
    let rest = json(admin, "/api/v1/rules?skip=1").await;
    assert_eq!(rest["rules"][0]["pattern"], ".b.test", "{rest}");
    assert_eq!(
        (&rest["rules"][0]["hits"], &rest["next"]),
        (&0.into(), &Value::Null)
    );

    let check = json(admin, "/api/v1/check/a.test?sender=b.test").await;
    assert_eq!(check["rule"]["origin"], "50-test.toml:1", "{check}");
    assert_eq!(check["hosts"][0]["host"], "mx.a.test", "{check}");
    let again = json(admin, "/api/v1/rules").await;
    assert_eq!(again["rules"][0]["hits"], 1, "a check is no mail");
    assert_eq!(json(admin, "/api/v1/health").await["state"], "ready");
}

#[tokio::test]
async fn a_rule_is_added_put_in_force_and_ended() {
    let world = World::one(Script::default()).await;
    let admin = world.house.admin();
    let rule = r#"{"domains":["a.test"],"tls":"encrypt","reason":"\"r\"","expires":"2199-01-01"}"#;
    let added = http::post_json(admin, "/api/v1/rules", rule).await;
    assert_eq!(added.status, 200, "{}", added.body);
    assert!(
        added
            .body
            .contains(r#"{"origins":["80-by-hand.toml:3"],"warnings":[],"result":"reloaded: "#),
        "{}",
        added.body
    );
    assert!(
        !world.send("u@a.test").await.is_positive(),
        "blocked from now on"
    );
    let page = json(admin, "/api/v1/rules").await;
    assert_eq!(page["rules"][0]["reason"], "\"r\"", "{page}");

    for (path, body, status, why) in [
        (
            "/api/v1/rules",
            rule,
            400,
            "80-by-hand.toml:9:1: there is a rule for the same domain",
        ),
        (
            "/api/v1/rules",
            r#"{"domains":["a.test"],"tls":"tight"}"#,
            400,
            "tight",
        ),
        (
            "/api/v1/rules",
            r#"{"domains":["a.test"],"tls":"may","expires":"soon"}"#,
            400,
            "`soon` is neither",
        ),
        (
            "/api/v1/rules",
            r#"{"domains":["a.test"],"tls":"may","ca_file":"/etc/passwd"}"#,
            422,
            "unknown field `ca_file`",
        ),
        ("/api/v1/rules", "{", 400, "JSON"),
        (
            "/api/v1/rules/expire",
            r#"{"domains":["b.test"]}"#,
            404,
            "b.test",
        ),
    ] {
        let refused = http::post_json(admin, path, body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert!(refused.body.contains(why), "{body}: {}", refused.body);
    }

    let ended = http::post_json(admin, "/api/v1/rules/expire", r#"{"domains":["a.test"]}"#).await;
    assert_eq!(ended.status, 200, "{}", ended.body);
    assert!(world.send("u@a.test").await.is_positive(), "free again");
    let again = http::post_json(admin, "/api/v1/rules/expire", r#"{"domains":["a.test"]}"#).await;
    assert_eq!(again.status, 409, "{}", again.body);
}

async fn json(admin: SocketAddr, path: &str) -> Value {
    let response = http::get(admin, path).await;
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    serde_json::from_str(&response.body).unwrap()
}
