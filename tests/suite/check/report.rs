//! What `check` prints, by the library and by the command.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use waxseal::check::Depth;

use super::{SECURE, World};
use crate::support::ca::{Leaf, Period};
use crate::support::mx::Script;
use crate::support::zone::Fault;

#[tokio::test]
async fn the_text_tells_everything_that_a_postmaster_asks() {
    let world = World::start(116).await;
    world.configure(
        "",
        "tls = 'secure', match = ['hostname'], reason = 'contract'",
    );
    let identity = world.ca.server("mx1.a.test");
    world.only(Script::with_tls(identity.clone()));
    let text = world.check("a.test", Depth::Connect).await.text();
    for line in [
        "domain    a.test",
        "rule      a.toml:1 secure (contract)",
        "DNSSEC    MX insecure",
        "host      10 mx1.a.test: 127.2.116.1",
        "DANE      mx1.a.test: none: the rule does not ask for it",
        "must      mx1.a.test: TLS, trusted by ",
        "          offers PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES, DSN, SMTPUTF8, CHUNKING, STARTTLS",
        "          TLSv1.3 TLS13_AES_256_GCM_SHA384 X25519MLKEM768",
        &format!("          certificate 0: sha256:{}", identity.sha256()),
        &format!(
            "          certificate 0: public key sha256:{}",
            identity.public_key_sha256()
        ),
        "          certificate 0: subject CN=mx1.a.test",
        "          certificate 0: issuer CN=Test CA",
        "          certificate 0: names mx1.a.test",
        "          ready, authentication pkix",
        "          mx2.a.test[127.2.116.2]: turned away with 554 at the greeting",
        "verdict   authenticated: mail would be delivered, authenticated",
    ] {
        assert!(
            text.lines().any(|told| told.starts_with(line)),
            "no {line:?} in\n{text}"
        );
    }
}

#[tokio::test]
async fn it_shows_the_tlsa_records_and_which_of_them_matched() {
    let world = World::start(118).await;
    world.configure("", "tls = 'standard'");
    let identity = world.ca.server("mx1.a.test");
    let record = identity.dane_ee();
    let old = "2 1 1 ".to_owned() + &"00".repeat(32);
    world.only(Script::with_tls(identity));
    let port = world.first.port();
    world.dns.replace(&format!(
        "a.test MX 10 mx1.a.test\nmx1.a.test A 127.2.118.1\n\
         _{port}._tcp.mx1.a.test TLSA {record}\n_{port}._tcp.mx1.a.test TLSA 1 1 1 00\n\
         _{port}._tcp.mx1.a.test TLSA {old}"
    ));
    world.dns.secure(".");
    let report = world.check("a.test", Depth::Connect).await;
    let text = report.text();
    for line in [
        "DNSSEC    MX secure",
        &format!("DANE      mx1.a.test: TLSA of _{port}._tcp.mx1.a.test"),
        &format!("DANE      mx1.a.test: {record}"),
        "DANE      mx1.a.test: 1 1 1 00 (unusable: ",
        &format!("must      mx1.a.test: TLS, a match of _{port}._tcp.mx1.a.test"),
        "          ready, authentication dane",
        &format!("          TLSA {record}: matches certificate 0"),
        &format!("          TLSA {old}: no certificate matches"),
        "          TLSA 1 1 1 00: unusable: certificate usage 1 is not for SMTP",
        "verdict   authenticated: mail would be delivered, authenticated",
    ] {
        assert!(
            text.lines().any(|told| told.starts_with(line)),
            "no {line:?} in\n{text}"
        );
    }
    let json = report.json();
    assert_eq!(json["mx_security"], "secure");
    assert_eq!(json["hosts"][0]["dane"]["records"][2]["record"], record);
    let first = &json["connections"][0];
    assert_eq!(first["authentication"], "dane");
    let matches: Vec<&Value> = (0..3).map(|at| &first["tlsa"][at]["matches"]).collect();
    assert_eq!(matches, [false, false, true]);
    assert_eq!(first["tlsa"][2]["record"], record);
    assert_eq!(first["tlsa"][2]["why"], "matches certificate 0");
}

#[tokio::test]
async fn it_shows_why_no_tlsa_record_matched() {
    let world = World::start(119).await;
    world.configure("", "tls = 'standard'");
    world.only(Script::with_tls(world.ca.server("mx1.a.test")));
    let port = world.first.port();
    let wrong = "3 1 1 ".to_owned() + &"00".repeat(32);
    world.dns.replace(&format!(
        "a.test MX 10 mx1.a.test\nmx1.a.test A 127.2.119.1\n_{port}._tcp.mx1.a.test TLSA {wrong}"
    ));
    world.dns.secure(".");
    let (code, why) = world.verdict("a.test", Depth::Connect).await;
    assert_eq!(code, 2);
    assert!(why.contains("no TLSA record matches: 3 1 1 0000"), "{why}");
    let json = world.check("a.test", Depth::Connect).await.json();
    let first = &json["connections"][0];
    assert_eq!(first["tlsa"][0]["record"], wrong);
    assert_eq!(first["tlsa"][0]["why"], "no certificate matches");
    assert_eq!(first["reason"], "tlsa-invalid");
    world.configure("", "tls = 'standard', mode = 'observe'");
    let json = world.check("a.test", Depth::Connect).await.json();
    let first = &json["connections"][0];
    assert_eq!(json["grade"], "unauthenticated");
    assert_eq!(first["reason"], "tlsa-invalid");
    assert_eq!(first["tlsa"][0]["matches"], false);
}

#[tokio::test]
async fn an_mx_look_up_that_failed_is_neither_secure_nor_insecure() {
    let world = World::start(120).await;
    world.dns.secure(".");
    world.dns.fail("a.test", Fault::Bogus);
    let report = world.check("a.test", Depth::Facts).await;
    let unknown = "unknown: DNSSEC validation failed (bogus)";
    assert_eq!(report.json()["mx_security"], unknown);
    assert!(report.text().contains(&format!("DNSSEC    MX {unknown}\n")));
}

fn waxseal(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command
        .arg("check")
        .args(arguments)
        .arg("--config")
        .arg(config);
    command.env_remove("WAXSEAL_CONFIG").output().unwrap()
}

#[tokio::test]
async fn the_command_exits_with_the_grade_and_prints_text_or_json() {
    let world = World::start(117).await;
    world.configure("", SECURE);
    world.dns.fail("broken.test", Fault::ServFail);
    let config = world.config_file();
    let questions = [
        (vec!["a.test", "--connect", "--json"], 0, "authenticated"),
        (vec!["mx1.a.test", "--json"], 1, "unauthenticated"),
        (vec!["null.test", "--json"], 2, "blocked"),
        (vec!["broken.test", "--json"], 3, "temporary-failure"),
    ];
    for (arguments, code, grade) in questions {
        let (file, asked) = (config.clone(), arguments.clone());
        // The DNS of the test runs on this thread.
        let output = tokio::task::spawn_blocking(move || waxseal(&file, &asked))
            .await
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["grade"], grade);
        assert_eq!(json["domain"], arguments[0]);
    }
    let text = tokio::task::spawn_blocking(move || waxseal(&config, &["null.test"]))
        .await
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.ends_with("verdict   blocked: null.test does not accept mail (null MX)\n"),
        "{text}"
    );
}

#[tokio::test]
async fn the_json_has_the_evidence() {
    let world = World::start(118).await;
    world.configure("", SECURE);
    world.only(Script::with_tls(world.ca.issue(Leaf {
        period: Period::Expired,
        ..Leaf::for_host("mx1.a.test")
    })));
    let json = world.check("a.test", Depth::Connect).await.json();
    assert_eq!(json["rule"]["origin"], "a.toml:1");
    assert_eq!(json["rule"]["level"], "secure");
    assert_eq!(json["hosts"][0]["host"], "mx1.a.test");
    assert_eq!(json["hosts"][0]["addresses"][0], "127.2.118.1");
    let first = &json["connections"][0];
    assert_eq!(first["port"], world.first.port());
    assert_eq!(first["tls"]["version"], "TLSv1.3");
    assert_eq!(first["authentication"], Value::Null);
    let failure = "mx1.a.test[127.2.118.1]: the certificate has expired or is not yet valid";
    assert_eq!(first["failure"], failure);
    assert!(json["connections"][1]["tls"].is_null());
    assert_eq!(json["grade"], "blocked");
}
