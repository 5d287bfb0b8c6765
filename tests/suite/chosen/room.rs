//! Sessions to an MX for which a `[[destination]]` has limits.

use tokio::join;

use super::*;
use crate::support::mx::last_reply;
use crate::support::world::is;

const SHORT: &str = "timeouts = { connect = '500ms' }";

async fn scene(script: Script, limits: &str) -> Scene<1> {
    let config = format!("destination = [{{ network = ['127.0.0.0/8'], {limits} }}]\n{SHORT}");
    let stage = Stage {
        config: &config,
        ..Stage::default()
    };
    Scene::of([script], stage).await
}

async fn no_room<const N: usize>(scene: &Scene<N>) -> bool {
    let series = "waxseal_attempts_total{result=\"connection-limit\"}";
    is(scene.house.metric(series).await, 1)
}

#[tokio::test]
async fn who_finds_no_room_is_not_connected_and_the_mx_is_not_taken_for_dead() {
    let scene = scene(Script::default(), "connections = 1").await;
    let first = scene.mta(0).await;
    let (ip, port) = (scene.mx[0].ip(), scene.mx[0].port());
    let second = Client::default().connect(scene.house.socks5(), &ip, port);
    // RFC 1928 §6: general SOCKS server failure.
    assert_eq!(second.await.err(), Some(1));
    assert!(no_room(&scene).await);
    assert_eq!(scene.mx[0].connections(), 1);
    first.quit().await;
    assert_eq!(fate(&scene.deliver(0, "r@a.test").await).code, 250);
}

#[tokio::test]
async fn who_waits_is_connected_when_the_other_has_left() {
    let scene = scene(Script::default(), "connections = 1").await;
    let first = scene.mta(0).await;
    let (sent, _) = join!(scene.deliver(0, "r@a.test"), first.quit());
    assert_eq!(fate(&sent).code, 250);
}

#[tokio::test]
async fn a_session_whose_connection_cannot_be_replaced_ends_with_421() {
    let script = Script {
        end_of_data: last_reply(250, "2.0.0 OK: queued").into(),
        ..Script::default()
    };
    let scene = scene(script, "connections = 2").await;
    let (mut first, _second) = (scene.mta(0).await, scene.mta(0).await);
    let file = scene.house.folder().join("waxseal.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("connections = 2", "connections = 1")).unwrap();
    scene.house.reload().await.unwrap();
    let sent = first.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    scene.mx[0]
        .until("the MX to close", |record| record.closed == 1)
        .await;
    let reply = first.command("EHLO mta.test").await.to_string();
    assert!(reply.starts_with("421 4.4.5 "), "{reply}");
    assert!(
        reply.contains("[[destination]] 127.0.0.0/8 allows"),
        "{reply}"
    );
    assert!(no_room(&scene).await);
}

#[tokio::test]
async fn a_message_that_may_not_begin_yet_is_deferred() {
    let scene = scene(Script::default(), "messages = '1/1h'").await;
    let mut mta = scene.mta(0).await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(fate(&sent).code, 250);
    let late = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(status(&fate(&late)), "451 4.4.5");
    assert_eq!(scene.mx[0].connections(), 1);
}
