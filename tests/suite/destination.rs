//! `[[destination]]`: no more connections and messages at a time than the operator allows, and nothing is lost.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::ca::Ca;
use crate::support::http;
use crate::support::mta::{Dialect, Mta};
use crate::support::mx::{Act, Answer, Mx, Script, StartTls, reply};
use crate::support::world::{BODY, BOTH, World, is, status};

/// A quarter of it is how long mail waits for room.
const SHORT: &str = "timeouts = { ready = '4s' }";

/// A limit for the MX of `a.test`, and idle connections as by default in life.
fn limits(limits: &str) -> String {
    format!("pool = {{ idle = '1h' }}\ndestination = [{{ mx = ['mx.a.test'], {limits} }}]")
}

/// One that takes a moment for each message.
fn at_leisure() -> Script {
    Script {
        end_of_data: reply(250, "2.0.0 OK: queued")
            .after(Duration::from_millis(20))
            .into(),
        ..Script::default()
    }
}

/// The most connections that an MX has had at one time: from EHLO to QUIT.
fn most_at_once(mx: &Mx) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for command in mx.record().commands {
        match command.line.get(..4) {
            Some("EHLO") => open += 1,
            Some("QUIT") => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Says MAIL and RCPT; the reply to the latter.
async fn rcpt(mta: &mut Mta, to: &str) -> String {
    assert_eq!(mta.command("MAIL FROM:<s@b.test>").await.code, 250);
    mta.command(&format!("RCPT TO:<{to}>")).await.to_string()
}

#[tokio::test]
async fn many_messages_share_the_connections_that_are_allowed() {
    for (dialect, idle) in BOTH.into_iter().zip(["1h", "0s"]) {
        let config = limits("connections = 2").replace("1h", idle);
        let world = World::with(at_leisure(), &config).await;
        let all = (0..20).map(|_| world.deliver(dialect, &["r@a.test"], BODY));
        for sent in join_all(all).await {
            assert_eq!(sent.end_codes(), [250]);
        }
        assert_eq!(world.mx[0].messages().len(), 20);
        assert_eq!(most_at_once(&world.mx[0]), 2);
    }
}

/// A session that keeps the one connection that is allowed in use.
async fn holding<const N: usize>(world: &World<N>, to: &str) -> Mta {
    let mut mta = world.mta(Dialect::Smtp).await;
    let reply = rcpt(&mut mta, to).await;
    assert!(reply.starts_with("250 "), "{reply}");
    mta
}

#[tokio::test]
async fn who_finds_no_connection_is_deferred_and_the_mx_is_not_taken_for_dead() {
    let config = format!("{}\n{SHORT}", limits("connections = 1"));
    let world = World::with(Script::default(), &config).await;
    let mut first = holding(&world, "r@a.test").await;
    let reply = world.send("r@a.test").await;
    let story = format!("/api/v1/deliveries/{}", reply.id.clone().unwrap());
    let reply = reply.to_string();
    let expected = format!(
        "451 4.4.5 mx.a.test[{}]: all connections are in use that [[destination]] mx.a.test allows (connections = 1); try again later, or raise the limit",
        world.mx[0].ip()
    );
    assert!(reply.starts_with(&expected), "{reply}");
    let story = http::get(world.house.admin(), &story).await.body;
    assert!(story.contains("all connections are in use"), "{story}");
    for family in ["attempts_total{result", "failures_total{reason"] {
        let series = format!("waxseal_{family}=\"connection-limit\"}}");
        assert!(is(world.house.metric(&series).await, 1), "{series}");
    }
    let waits = "waxseal_destination_wait_seconds_count";
    assert!(is(world.house.metric(waits).await, 2));
    // The connection in use becomes idle, and carries the next message.
    assert_eq!(first.command("RSET").await.code, 250);
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(world.mx[0].connections(), 1);
}

#[tokio::test]
async fn a_connection_keeps_its_place_through_starttls() {
    let ca = Ca::new("waxseal test");
    let script = Script::with_tls(ca.server("mx.a.test"));
    let config = format!("{}\n{SHORT}", limits("connections = 1"));
    let world = World::with(script, &config).await;
    let _held = holding(&world, "r@a.test").await;
    assert_eq!(world.mx[0].handshakes().len(), 1);
    assert_eq!(status(&world.send("r@a.test").await), "451 4.4.5");
    assert_eq!(world.mx[0].connections(), 1);
}

#[tokio::test]
async fn who_waits_goes_on_as_soon_as_there_is_room() {
    let world = World::with(Script::default(), &limits("connections = 1")).await;
    let mut first = holding(&world, "r@a.test").await;
    let mut second = world.mta(Dialect::Smtp).await;
    assert_eq!(second.command("MAIL FROM:<s@b.test>").await.code, 250);
    second.send(b"RCPT TO:<r@a.test>\r\n").await;
    assert_eq!(first.command("QUIT").await.code, 221);
    assert_eq!(second.read_reply().await.code, 250);
    assert_eq!(world.mx[0].connections(), 1);
}

#[tokio::test]
async fn the_connection_that_is_idle_for_the_longest_makes_room_for_another_mx() {
    let three = ["a.test", "b.test", "c.test"].map(|domain| (domain, Script::default()));
    let config = "pool = { idle = '1h' }
        destination = [{ network = ['127.0.0.0/8'], connections = 2 }]";
    let world = World::of(three, config).await;
    for to in ["r@a.test", "r@b.test", "r@c.test", "r@b.test", "r@c.test"] {
        assert_eq!(world.send(to).await.code, 250);
    }
    let seen = world.mx.each_ref();
    assert_eq!(seen.map(Mx::connections), [1, 1, 1]);
    assert_eq!(seen.map(|mx| mx.heard("QUIT")), [1, 0, 0]);
}

#[tokio::test]
async fn each_destination_has_limits_of_its_own() {
    let two = [("a.test", Script::default()), ("b.test", Script::default())];
    let config = format!(
        "destination = [
            {{ mx = ['*.a.test'], connections = 1 }},
            {{ network = ['127.0.0.0/8'], connections = 1 }},
        ]\n{SHORT}"
    );
    let world = World::of(two, &config).await;
    let _a = holding(&world, "r@a.test").await;
    let _b = holding(&world, "r@b.test").await;
    for to in ["r@a.test", "r@b.test"] {
        assert_eq!(status(&world.send(to).await), "451 4.4.5", "{to}");
    }
}

#[tokio::test]
async fn the_next_mx_is_tried_when_there_was_no_room_at_the_first() {
    let zone = "a.test MX 10 one.a.test\na.test MX 20 two.a.test
        one.a.test A 127.1.3.1\ntwo.a.test A 127.1.3.2";
    let turns_away = Script {
        greeting: Some(reply(554, "no service").into()),
        ..Script::default()
    };
    for (named, second, expected) in [
        ("one.a.test", Script::default(), "250 2.0.0"),
        ("*.a.test", Script::default(), "451 4.4.5"),
        // What is behind the limit tells more than the last resort.
        ("one.a.test", turns_away, "451 4.4.5"),
    ] {
        let config = format!("destination = [{{ mx = ['{named}'], connections = 1 }}]\n{SHORT}");
        let mx = [("127.1.3.1", Script::default()), ("127.1.3.2", second)];
        let world = World::in_zone(zone, mx, &config).await;
        let _held = holding(&world, "r@a.test").await;
        assert_eq!(status(&world.send("r@a.test").await), expected, "{named}");
        // One word for all that has no room together.
        let series = "waxseal_attempts_total{result=\"connection-limit\"}";
        assert!(is(world.house.metric(series).await, 1), "{named}");
    }
}

#[tokio::test]
async fn who_waits_also_takes_a_connection_to_an_mx_that_does_as_well() {
    let zone = "a.test MX 10 one.a.test\na.test MX 10 two.a.test\na.test MX 20 late.a.test
        one.a.test A 127.1.3.3\none.a.test A 127.1.3.4\ntwo.a.test A 127.1.3.5\nlate.a.test A 127.1.3.6";
    let ips = ["127.1.3.3", "127.1.3.4", "127.1.3.5", "127.1.3.6"];
    let config = "pool = { idle = '1h' }
        destination = [{ mx = ['*.a.test'], connections = 2 }]";
    let world = World::in_zone(zone, ips.map(|ip| (ip, at_leisure())), config).await;
    let all = (0..20).map(|_| world.send("r@a.test"));
    for reply in join_all(all).await {
        assert_eq!(reply.code, 250);
    }
    let made = world.mx.iter().map(Mx::connections);
    assert_eq!(made.sum::<usize>(), 2);
}

#[tokio::test]
async fn a_message_that_would_be_one_too_many_in_its_time_is_deferred() {
    for dialect in BOTH {
        let config = format!("{}\n{SHORT}", limits("messages = '2/1h'"));
        let world = World::with(Script::default(), &config).await;
        for _ in 0..2 {
            let sent = world.deliver(dialect, &["r@a.test"], BODY).await;
            assert_eq!(sent.end_codes(), [250]);
        }
        let third = world.deliver(dialect, &["r@a.test"], BODY).await;
        let reply = third.rcpt[0].to_string();
        assert!(
            reply.contains("all messages have begun that [[destination]] mx.a.test allows (messages = \"2/1h\"); try again"),
            "{reply}"
        );
        assert_eq!(status(&third.rcpt[0]), "451 4.4.5");
        let series = "waxseal_failures_total{reason=\"message-limit\"}";
        assert!(is(world.house.metric(series).await, 1));
        assert_eq!(world.mx[0].connections(), 1);
    }
}

#[tokio::test]
async fn messages_wait_for_their_time() {
    let world = World::with(Script::default(), &limits("messages = '1/100ms'")).await;
    let all = (0..4).map(|_| world.send("r@a.test"));
    for reply in join_all(all).await {
        assert_eq!(reply.code, 250);
    }
    let commands = world.mx[0].record().commands;
    let begun: Vec<_> = commands
        .iter()
        .filter(|command| command.line.starts_with("MAIL"))
        .map(|command| command.at)
        .collect();
    assert_eq!(begun.len(), 4);
    // What comes first may come late, so only the whole is certain.
    assert!(begun[3] - begun[0] >= Duration::from_millis(200));
}

/// Two domains whose MX hosts have one connection together; a leg that is alone would wait for a minute.
async fn one_for_two() -> World<2> {
    let two = [("a.test", Script::default()), ("b.test", Script::default())];
    let config = "destination = [{ network = ['127.0.0.0/8'], connections = 1 }]";
    World::of(two, config).await
}

#[tokio::test]
async fn a_leg_waits_only_a_moment_for_the_place_that_its_fellow_has() {
    let world = one_for_two().await;
    let sent = world
        .deliver(Dialect::Lmtp, &["r@a.test", "r@b.test"], BODY)
        .await;
    let mut replies: Vec<_> = sent.rcpt.iter().map(status).collect();
    replies.sort();
    assert_eq!(replies, ["250 2.1.5", "451 4.4.5"]);
    assert_eq!(sent.end_codes(), [250]);
    let arrived = world.mx.iter().map(|mx| mx.messages().len());
    assert_eq!(arrived.sum::<usize>(), 1);
}

#[tokio::test]
async fn a_leg_that_comes_later_hears_that_its_fellow_has_a_place() {
    let world = one_for_two().await;
    let mut mta = world.mta(Dialect::Lmtp).await;
    assert!(rcpt(&mut mta, "r@a.test").await.starts_with("250 "));
    let later = mta.command("RCPT TO:<r@b.test>").await;
    assert_eq!(status(&later), "451 4.4.5");
    assert_eq!(mta.command("DATA").await.code, 354);
    assert_eq!(mta.data(BODY).await.code, 250);
}

#[tokio::test]
async fn what_has_gone_stale_gives_its_place_to_what_replaces_it() {
    let script = Script {
        mail: Answer::by(|ask| match ask.nth {
            1 => Act::Close,
            _ => reply(250, "2.1.0 OK"),
        }),
        ..Script::default()
    };
    let world = World::with(script, &limits("connections = 1")).await;
    for _ in 0..2 {
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
    assert_eq!(world.mx[0].connections(), 2);
}

#[tokio::test]
async fn plaintext_after_a_failed_handshake_takes_the_same_place() {
    let script = Script {
        starttls: StartTls::Breaks(Act::Close),
        ..Script::default()
    };
    let config = format!("{}\n{SHORT}", limits("connections = 1, messages = '1/1h'"));
    let world = World::with(script, &config).await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(world.mx[0].connections(), 2);
}

#[tokio::test]
async fn a_reload_changes_the_limits_and_keeps_what_is_counted() {
    let config = format!("{}\n{SHORT}", limits("connections = 1"));
    let world = World::with(Script::default(), &config).await;
    let _held = holding(&world, "r@a.test").await;
    world.house.reload().await.unwrap();
    assert_eq!(status(&world.send("r@a.test").await), "451 4.4.5");
    let file = world.house.folder().join("waxseal.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("connections = 1", "connections = 2")).unwrap();
    world.house.reload().await.unwrap();
    assert_eq!(world.send("r@a.test").await.code, 250);
}

#[tokio::test]
async fn messages_that_stand_in_each_others_way_end_and_none_is_lost_or_doubled() {
    let three = ["a.test", "b.test", "c.test"].map(|domain| (domain, at_leisure()));
    let config = format!(
        "pool = {{ idle = '1h' }}
        destination = [{{ network = ['127.0.0.0/8'], connections = 3 }}]\n{SHORT}"
    );
    let world = World::of(three, &config).await;
    let to = ["r@a.test", "r@b.test", "r@c.test"];
    let all = (0..8).map(|_| world.deliver(Dialect::Lmtp, &to, BODY));
    let mut accepted = 0;
    for sent in join_all(all).await {
        accepted += sent.end_codes().len();
        assert!(sent.end_codes().iter().all(|code| *code == 250));
        let refused = sent.rcpt.iter().filter(|reply| !reply.is_positive());
        for reply in refused {
            assert_eq!(status(reply), "451 4.4.5");
        }
    }
    let arrived = world.mx.iter().map(|mx| mx.messages().len());
    assert_eq!(arrived.sum::<usize>(), accepted);
    assert!(accepted >= 3);
    for to in to {
        assert_eq!(world.send(to).await.code, 250, "no place is lost");
    }
}
