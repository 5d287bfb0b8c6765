//! When the first MX does not do: who is next, and who is not asked again.

use crate::support::mta::Dialect;
use hickory_resolver::proto::rr::RecordType;

use crate::support::mx::{Act, Answer, Mx, Script, capabilities, last_reply, reply};
use crate::support::net::firewalled;
use crate::support::within;
use crate::support::world::{BODY, World, fate, status};
use crate::support::zone::Fault;

/// Two MX hosts, the first of them scripted.
async fn pair(ips: [&str; 2], first: Script, config: &str) -> World<2> {
    let zone = zone(ips);
    World::in_zone(
        &zone,
        [(ips[0], first), (ips[1], Script::default())],
        config,
    )
    .await
}

fn zone([one, two]: [&str; 2]) -> String {
    format!(
        "a.test MX 10 one.a.test
        a.test MX 20 two.a.test
        one.a.test A {one}
        two.a.test A {two}"
    )
}

fn greets(act: Act) -> Script {
    Script {
        greeting: Some(act.into()),
        ..Script::default()
    }
}

fn says_to_ehlo(act: Act) -> Script {
    Script {
        ehlo: Some(act.into()),
        ..Script::default()
    }
}

fn says_to_mail(act: Act) -> Script {
    Script {
        mail: act.into(),
        ..Script::default()
    }
}

#[tokio::test]
async fn the_next_mx_takes_what_the_first_one_does_not() {
    let cases = [
        greets(last_reply(421, "4.3.2 busy")),
        greets(reply(554, "5.7.1 no service for you")),
        greets(Act::Close),
        greets(Act::Reset),
        greets(Act::Send(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())),
        greets(Act::EndlessLine),
        says_to_ehlo(reply(421, "4.3.2 busy")),
        says_to_ehlo(Act::Close),
        says_to_mail(reply(451, "4.7.1 greylisted")),
        says_to_mail(last_reply(421, "4.3.2 busy")),
        says_to_mail(Act::Reset),
        Script {
            ehlo: Some(reply(500, "what?").into()),
            helo: Some(reply(550, "go away").into()),
            ..Script::default()
        },
    ];
    for script in cases {
        next_takes_it(["127.1.2.21", "127.1.2.22"], script).await;
    }
}

#[tokio::test]
async fn the_next_mx_takes_what_keeps_the_first_one_silent() {
    tokio::join!(
        next_takes_it(["127.1.2.41", "127.1.2.42"], greets(Act::Stall)),
        next_takes_it(["127.1.2.43", "127.1.2.44"], says_to_ehlo(Act::Stall)),
        next_takes_it(["127.1.2.45", "127.1.2.46"], says_to_mail(Act::Stall)),
    );
}

async fn next_takes_it(ips: [&str; 2], first: Script) {
    let config = "[timeouts]\ngreeting = '500ms'\nehlo = '500ms'\nmail = '500ms'";
    let world = pair(ips, first, config).await;
    let sent = world.deliver(Dialect::Smtp, &["r@a.test"], BODY).await;
    let heard = world.mx[0].lines();
    assert_eq!(fate(&sent).code, 250, "{heard:?}: {sent:?}");
    let text = fate(&sent).text();
    assert!(
        text.ends_with("[two.a.test plaintext]"),
        "{heard:?}: {text}"
    );
    assert_eq!(world.mx[0].connections(), 1, "{heard:?}");
    assert_eq!(world.mx[0].messages().len(), 0, "{heard:?}");
    assert_eq!(world.mx[1].message().data, BODY, "{heard:?}");
}

#[tokio::test]
async fn the_next_mx_takes_what_cannot_be_connected_to() {
    // Nobody listens at the first address.
    let zone = zone(["127.1.2.23", "127.1.2.24"]);
    let world = World::in_zone(&zone, [("127.1.2.24", Script::default())], "").await;
    assert_eq!(world.send("r@a.test").await.code, 250);
}

#[tokio::test]
async fn the_next_mx_takes_what_is_lost_behind_a_firewall() {
    let zone = zone(["127.1.2.25", "127.1.2.26"]);
    let config = "[timeouts]\nconnect = '300ms'";
    let world = World::in_zone(&zone, [("127.1.2.26", Script::default())], config).await;
    let _wall = firewalled("127.1.2.25", world.mx[0].port()).await;
    assert_eq!(world.send("r@a.test").await.code, 250);
}

#[tokio::test]
async fn a_refusal_for_good_is_not_taken_to_the_next_mx() {
    let no = || reply(550, "5.7.1 no");
    let cases = [
        says_to_mail(no()),
        Script {
            rcpt: no().into(),
            ..Script::default()
        },
        Script {
            rcpt: reply(450, "4.2.1 busy").into(),
            ..Script::default()
        },
    ];
    for script in cases {
        let world = pair(["127.1.2.27", "127.1.2.28"], script, "").await;
        let refused = world.send("r@a.test").await;
        assert!(!refused.is_positive());
        assert_eq!(world.mx[1].connections(), 0, "{refused}");
    }
}

#[tokio::test]
async fn an_mx_without_ehlo_gets_helo() {
    for code in [500, 502, 550] {
        let script = says_to_ehlo(reply(code, "what?"));
        let world = World::one(script).await;
        assert_eq!(world.send("r@a.test").await.code, 250);
        assert_eq!(world.mx[0].connections(), 1);
        let message = world.mx[0].message();
        assert_eq!(message.helo, "waxseal.test");
        assert_eq!(
            world.mx[0].lines()[..2],
            ["EHLO waxseal.test", "HELO waxseal.test"]
        );
    }
}

#[tokio::test]
async fn when_no_mx_does_the_mta_hears_why_and_keeps_the_message() {
    for (script, want) in [
        (greets(last_reply(554, "5.7.1 no")), "451 4.4.1"),
        (greets(Act::Close), "451 4.4.2"),
        (says_to_ehlo(reply(421, "4.3.2 busy")), "451 4.4.1"),
        (says_to_mail(reply(451, "4.7.1 greylisted")), "451 4.7.1"),
    ] {
        let zone = zone(["127.1.2.29", "127.1.2.30"]);
        let mx = [("127.1.2.29", script.clone()), ("127.1.2.30", script)];
        let world = World::in_zone(&zone, mx, "").await;
        let reply = world.send("r@a.test").await;
        assert_eq!(status(&reply), want, "{reply}");
        assert_eq!(world.mx.each_ref().map(Mx::connections), [1, 1], "{want}");
    }
}

#[tokio::test]
async fn not_more_hosts_and_addresses_are_tried_than_the_operator_allows() {
    let busy = || greets(last_reply(421, "busy"));
    for (config, want) in [
        ("", [1, 1]),
        ("[mx]\nmax_hosts = 1", [1, 0]),
        ("[mx]\nmax_addresses = 1", [1, 0]),
    ] {
        let zone = zone(["127.1.2.31", "127.1.2.32"]);
        let mx = [("127.1.2.31", busy()), ("127.1.2.32", busy())];
        let world = World::in_zone(&zone, mx, config).await;
        assert_eq!(status(&world.send("r@a.test").await), "451 4.4.1");
        assert_eq!(world.mx.each_ref().map(Mx::connections), want, "{config}");
    }
}

#[tokio::test]
async fn an_address_that_did_not_connect_is_left_alone_for_a_while() {
    for (config, connections) in [("", 0), ("[mx]\ndead_for = '0s'", 1)] {
        let zone = "x.test A 127.1.2.33\na.test A 127.1.2.34";
        let world = World::in_zone(zone, [("127.1.2.33", Script::default())], config).await;
        assert_eq!(status(&world.send("r@a.test").await), "451 4.4.1");
        let risen = Mx::start("127.1.2.34", world.mx[0].port(), Script::default()).await;
        let reply = world.send("r@a.test").await;
        assert_eq!(risen.connections(), connections, "{config} {reply}");
        assert_eq!(reply.code == 250, connections == 1, "{reply}");
        assert_eq!(world.send("r@x.test").await.code, 250);
    }
}

#[tokio::test]
async fn an_address_that_was_left_alone_is_dialled_again_later() {
    let zone = "x.test A 127.1.2.35\na.test A 127.1.2.36";
    let config = "[mx]\ndead_for = '50ms'";
    let world = World::in_zone(zone, [("127.1.2.35", Script::default())], config).await;
    assert_eq!(status(&world.send("r@a.test").await), "451 4.4.1");
    let risen = Mx::start("127.1.2.36", world.mx[0].port(), Script::default()).await;
    let again = async { while world.send("r@a.test").await.code != 250 {} };
    within("the address to be dialled again", again).await;
    assert_eq!(risen.connections(), 1);
}

#[tokio::test]
async fn an_mx_that_never_greets_is_left_alone_for_a_while_too() {
    let config = "[timeouts]\ngreeting = '300ms'";
    let world = pair(["127.1.2.37", "127.1.2.38"], greets(Act::Stall), config).await;
    for _ in 0..3 {
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
    assert_eq!(world.mx.each_ref().map(Mx::connections), [1, 3]);
}

#[tokio::test]
async fn an_mx_that_turns_away_or_drops_a_connection_is_not_dead() {
    let answers = [last_reply(421, "busy"), Act::Close, reply(220, "mx ESMTP")];
    let moody = Script {
        greeting: Some(Answer::in_turn(answers)),
        ..Script::default()
    };
    let world = World::one(moody).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(world.send("r@a.test").await.code);
    }
    assert_eq!(codes, [451, 451, 250]);
}

#[tokio::test]
async fn the_mta_does_not_wait_longer_than_the_operator_wants() {
    for script in [says_to_mail(Act::Stall)] {
        let config = "[timeouts]\nready = '150ms'";
        let world = World::with(script, config).await;
        let reply = world.send("r@a.test").await;
        assert_eq!(status(&reply), "451 4.4.2", "{reply}");
        assert!(reply.text().contains("a.test"), "{reply}");
    }
}

#[tokio::test]
async fn a_silent_first_mx_leaves_the_second_one_its_share_of_the_time() {
    let silent = [
        greets(Act::Stall),
        says_to_ehlo(Act::Stall),
        says_to_mail(Act::Stall),
    ];
    for script in silent {
        let world = pair(
            ["127.1.2.41", "127.1.2.42"],
            script,
            "[timeouts]\nready = '2s'",
        )
        .await;
        assert_eq!(world.send("r@a.test").await.code, 250);
        // From now on the silent one is left alone.
        assert_eq!(world.send("r@a.test").await.code, 250);
        assert_eq!(world.mx.each_ref().map(Mx::connections), [1, 2]);
    }
}

#[tokio::test]
async fn the_next_mx_may_know_the_extension_that_the_first_one_lacks() {
    let plain = Script {
        capabilities: capabilities(&["PIPELINING"]),
        ..Script::default()
    };
    let world = pair(["127.1.2.43", "127.1.2.44"], plain, "").await;
    let mut mta = world.mta(Dialect::Lmtp).await;
    assert_eq!(
        mta.command("MAIL FROM:<s@b.test> BODY=8BITMIME").await.code,
        250
    );
    assert_eq!(mta.command("RCPT TO:<r@a.test>").await.code, 250);
    assert_eq!(mta.command("DATA").await.code, 354);
    assert_eq!(mta.data("ü\r\n".as_bytes()).await.code, 250);
    assert_eq!(world.mx[1].messages().len(), 1);
}

#[tokio::test]
async fn a_look_up_that_failed_is_not_tried_again_at_once() {
    for (config, asked) in [("", 1), ("[dns]\nfailed_for = '0s'", 2)] {
        let world = World::with(Script::default(), config).await;
        world.dns.fail("a.test", Fault::Refused);
        assert_eq!(status(&world.send("r@a.test").await), "451 4.4.3");
        let once = world.dns.asked("a.test", RecordType::MX);
        assert_eq!(status(&world.send("r@a.test").await), "451 4.4.3");
        assert_eq!(
            world.dns.asked("a.test", RecordType::MX),
            once * asked,
            "{config}"
        );
    }
}
