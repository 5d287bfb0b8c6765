//! Hosts that an MTA-STS policy proved: what is missed once it is gone, and what other domains at the same hosts show.

use crate::suite::mta_sts::World;
use crate::support::ca::{Identity, Leaf, Signer};
use crate::support::sts_host::policy;
use crate::support::world::{BODY, fate, is, status};

const DAY: u32 = 86_400;
/// What is published counts at once.
const CONFIG: &str = "tls = { downgrade = 'defer' }\ndns = { cache_entries = 0 }";

/// A policy that has proved mx1.a.test.
async fn proven() -> World {
    let world = World::new(&policy("enforce", DAY, &["*.a.test"]), CONFIG, "").await;
    let sent = world.send().await;
    assert!(sent.ends_with("deliveries(pkix tls mta-sts)"), "{sent}");
    world
}

fn self_signed(world: &World) -> Identity {
    world.ca.issue(Leaf {
        signer: Signer::Itself,
        ..Leaf::for_host("mx1.a.test")
    })
}

async fn downgrades(world: &World) -> f64 {
    let series = "waxseal_downgrades_total{kind=\"authentication\"}";
    world.house.metric(series).await
}

/// One message to b.test, which has the same hosts and no policy.
async fn to_another_domain(world: &World) -> String {
    let mut mta = world.house.smtp_client().await;
    let sent = mta.deliver("s@c.test", &["r@b.test"], BODY).await;
    mta.quit().await;
    status(&fate(&sent))
}

#[tokio::test]
async fn a_host_whose_policy_has_expired_is_missed_where_its_certificate_proves_nothing() {
    let world = proven().await;
    world.withdraw();
    world.clock.advance(u64::from(DAY));
    let sent = world.send().await;
    let open = "deliveries(none tls opportunistic)";
    assert!(
        sent.ends_with(open),
        "nobody asks, and it still proves itself: {sent}"
    );
    assert!(is(downgrades(&world).await, 0));
    world.both_show(&self_signed(&world));
    let sent = world.send().await;
    let waits = "451 4.7.5 mx1.a.test: this host has shown TLS and a certificate that proves its name before, \
                 and now nothing proves who this is";
    // Nothing is known of the second host, so that it takes the mail.
    assert!(sent.ends_with(open), "{sent}");
    assert!(is(downgrades(&world).await, 1));
    world.dns.replace(&format!(
        "a.test MX 10 mx1.a.test\nmx1.a.test A {}",
        world.mx[0].ip()
    ));
    let sent = world.send().await;
    assert!(sent.starts_with(waits), "{sent}");
    assert!(
        sent.ends_with("blocked(opportunistic downgraded)"),
        "{sent}"
    );
}

#[tokio::test]
async fn other_domains_at_the_same_host_are_no_downgrade_as_long_as_it_proves_its_name() {
    let world = proven().await;
    let ip = world.mx[0].ip();
    let zone = format!(
        "{}b.test MX 10 mx1.a.test\nmx1.a.test A {ip}\n",
        world.hosts()
    );
    world.dns.replace(&zone);
    assert_eq!(to_another_domain(&world).await, "250 2.0.0");
    assert!(is(downgrades(&world).await, 0));
    world.both_show(&self_signed(&world));
    assert_eq!(to_another_domain(&world).await, "451 4.7.5");
    assert!(is(downgrades(&world).await, 1));
}
