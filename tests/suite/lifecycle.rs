//! Reload and stop: sessions go on, a file that does not load changes nothing, what is in flight ends.

use tokio::net::TcpStream;

use crate::support::house::{House, Setup};
use crate::support::http;
use crate::support::mta::{Dialect, Mta};
use crate::support::mx::{Mx, Script, reply};
use crate::support::within;
use crate::support::world::{World, status};
use crate::support::zone::Dns;

const ENCRYPT: &str = "[[rule]]\ndomains = ['a.test']\ntls = 'encrypt'";
const OK: &str = r#"waxseal_config_reloads_total{result="ok"}"#;
const FAILED: &str = r#"waxseal_config_reloads_total{result="failed"}"#;

#[tokio::test]
async fn a_reload_changes_the_rules_for_the_next_transaction_of_an_open_session() {
    let world = World::one(Script::default()).await;
    let mut mta = world.mta(Dialect::Lmtp).await;
    let first = mta.deliver("s@b.test", &["r@a.test"], b"one\r\n").await;
    assert_eq!(first.end_codes(), [250]);
    world.house.write_rules(ENCRYPT);
    world.house.reload().await.unwrap();
    let second = mta.deliver("s@b.test", &["r@a.test"], b"two\r\n").await;
    assert_eq!(status(&second.rcpt[0]), "451 4.7.4", "{}", second.rcpt[0]);
    assert!((world.house.metric(OK).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_transaction_in_flight_keeps_the_rules_that_it_began_with() {
    let world = World::one(Script::default()).await;
    let mut mta = world.mta(Dialect::Smtp).await;
    for (line, code) in [
        ("MAIL FROM:<s@b.test>", 250),
        ("RCPT TO:<r@a.test>", 250),
        ("DATA", 354),
    ] {
        assert_eq!(mta.command(line).await.code, code, "{line}");
    }
    world.house.write_rules(ENCRYPT);
    world.house.reload().await.unwrap();
    assert_eq!(mta.data(b"in flight\r\n").await.code, 250);
}

#[tokio::test]
async fn a_file_that_does_not_load_keeps_the_running_set_and_says_so() {
    let world = World::one(Script::default()).await;
    world.house.write_rules(ENCRYPT);
    world.house.reload().await.unwrap();
    world
        .house
        .write_rules("[[rule]]\ndomains = ['a.test']\ntls = 'encrpyt'");
    let refused = http::post(world.house.admin(), "/reload", "").await;
    assert_eq!(refused.status, 500);
    assert!(refused.body.contains("50-test.toml:3"), "{}", refused.body);
    assert_eq!(status(&world.send("r@a.test").await), "451 4.7.4");
    assert!((world.house.metric(FAILED).await - 1.0).abs() < f64::EPSILON);
    let ready = http::get(world.house.admin(), "/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.body.contains("failed"), "{}", ready.body);
    world.house.write_rules("");
    assert_eq!(
        http::post(world.house.admin(), "/reload", "").await.status,
        200
    );
    assert_eq!(world.send("r@a.test").await.code, 250);
}

#[tokio::test]
async fn rule_files_that_are_gone_are_no_order_to_run_without_rules() {
    let world = World::one(Script::default()).await;
    world.house.write_rules(ENCRYPT);
    world.house.reload().await.unwrap();
    let file = world.house.folder().join("policies/50-test.toml");
    std::fs::remove_file(&file).unwrap();
    let error = world.house.reload().await.unwrap_err();
    assert!(error.contains("no rule file left"), "{error}");
    assert_eq!(status(&world.send("r@a.test").await), "451 4.7.4");
    std::fs::write(&file, "").unwrap();
    world.house.reload().await.unwrap();
    assert_eq!(world.send("r@a.test").await.code, 250);
}

#[tokio::test]
async fn a_web_page_cannot_order_a_reload() {
    let world = World::one(Script::default()).await;
    let origin = "Origin: http://evil.test\r\n";
    assert_eq!(
        http::post(world.house.admin(), "/reload", origin)
            .await
            .status,
        403
    );
    assert!(world.house.metric(OK).await.abs() < f64::EPSILON);
}

async fn house(script: Script, config: &str) -> (House, Mx, Dns) {
    let ip = crate::support::net::loopback();
    let mx = Mx::start(&ip, 0, script).await;
    let dns = Dns::start(&format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}")).await;
    let setup = Setup {
        config,
        ..Setup::default()
    };
    (House::start(&dns, mx.port(), setup).await, mx, dns)
}

async fn up_to_data(mta: &mut Mta) {
    assert_eq!(mta.command("MAIL FROM:<s@b.test>").await.code, 250);
    assert_eq!(mta.command("RCPT TO:<r@a.test>").await.code, 250);
    assert_eq!(mta.command("DATA").await.code, 354);
}

#[tokio::test]
async fn on_stop_the_idle_hear_421_and_what_is_in_flight_ends() {
    let (house, mx, _dns) = house(Script::default(), "").await;
    let (address, admin) = (house.relay(), house.admin());
    let mut idle = house.smtp_client().await;
    let mut busy = house.smtp_client().await;
    up_to_data(&mut busy).await;
    let stopping = tokio::spawn(house.stop());
    assert_eq!(status(&idle.read_reply().await), "421 4.3.2");
    assert_eq!(idle.read_to_end().await, b"");
    assert_eq!(http::get(admin, "/readyz").await.status, 503);
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(busy.data(b"in flight\r\n").await.code, 250);
    assert_eq!(status(&busy.read_reply().await), "421 4.3.2");
    within("the end of the drain", stopping).await.unwrap();
    assert_eq!(mx.messages().len(), 1);
}

#[tokio::test]
async fn what_does_not_end_within_the_drain_is_cut_and_never_acknowledged() {
    let (house, mx, _dns) = house(Script::default(), "[timeouts]\ndrain = '100ms'").await;
    let mut mta = house.smtp_client().await;
    up_to_data(&mut mta).await;
    mta.send(b"half a message\r\n").await;
    within("the end of the drain", house.stop()).await;
    assert_eq!(mta.read_to_end().await, b"");
    mx.idle().await;
    assert!(mx.messages().is_empty());
}

#[tokio::test]
async fn a_stop_waits_for_the_word_of_a_slow_mx() {
    let slow = reply(250, "2.0.0 at last").after(std::time::Duration::from_millis(300));
    let script = Script {
        end_of_data: slow.into(),
        ..Script::default()
    };
    let (house, _mx, _dns) = house(script, "").await;
    let mut mta = house.smtp_client().await;
    up_to_data(&mut mta).await;
    mta.send(b"x\r\n.\r\n").await;
    let stopping = tokio::spawn(house.stop());
    assert_eq!(mta.read_reply().await.code, 250);
    within("the end of the drain", stopping).await.unwrap();
}
