//! A server with a certificate for each name, at an address that DNS gives to none of the domain's hosts.

use super::{Scene, Stage, sealed};
use crate::support::ca::Ca;
use crate::support::mx::{Script, StartTls, Tls};

const ZONE: &str = "a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\na.test MX 30 mx3.a.test\n\
                    mx1.a.test A IP1\nmx2.a.test A IP2\nmx3.a.test A IP2\n";
const SECURE: &str = "[[rule]]\ndomains = ['a.test']\ntls = 'secure'\nmatch = ['hostname']";

/// What the last of its three servers shows to who asks for `mx2.a.test`, and to everybody else.
fn by_name(ca: &Ca) -> Script {
    let tls = Tls {
        by_name: vec![("mx2.a.test", ca.server("mx2.a.test"))],
        ..Tls::with(ca.server("default.test"))
    };
    Script {
        starttls: StartTls::Offered(tls),
        ..Script::default()
    }
}

async fn scene(ca: &Ca, stage: Stage<'_>) -> Scene<3> {
    let scripts = [
        sealed(ca, "mx1.a.test"),
        sealed(ca, "mx2.a.test"),
        by_name(ca),
    ];
    Scene::of(
        scripts,
        Stage {
            ca: Some(ca),
            ..stage
        },
    )
    .await
}

fn asked_for(scene: &Scene<3>) -> Vec<String> {
    let handshakes = scene.mx[2].handshakes();
    handshakes.into_iter().filter_map(|one| one.sni).collect()
}

#[tokio::test]
async fn it_is_asked_by_the_name_of_each_host_until_it_proves_to_be_one() {
    let ca = Ca::new("Test CA");
    let stage = Stage {
        zone: ZONE,
        rules: SECURE,
        ..Stage::default()
    };
    let scene = scene(&ca, stage).await;
    assert_eq!(
        scene.send(2, "r@a.test").await,
        "250 2.0.0 OK: queued deliveries(pkix tls rule)"
    );
    assert_eq!(asked_for(&scene), ["mx1.a.test", "mx2.a.test"]);
    assert_eq!(scene.mx[2].heard("MAIL"), 1);
}

#[tokio::test]
async fn tlsa_records_are_matched_by_what_it_shows_for_their_host() {
    let ca = Ca::new("Test CA");
    let wrong = "00".repeat(32);
    let zone =
        ["mx1", "mx2", "mx3"].map(|host| format!("_25._tcp.{host}.a.test TLSA 3 1 1 {wrong}\n"));
    let stage = Stage {
        zone: &(ZONE.to_owned() + &zone.concat()),
        signed: &["a.test"],
        ..Stage::default()
    };
    let scene = scene(&ca, stage).await;
    let said = scene.send(2, "r@a.test").await;
    assert!(said.starts_with("451 4.7.5 mx1.a.test: DANE: "), "{said}");
    assert_eq!(
        asked_for(&scene),
        ["mx1.a.test", "mx2.a.test", "mx3.a.test"]
    );
    assert_eq!(scene.mx[2].heard("MAIL"), 0);
}

#[tokio::test]
async fn who_proves_to_be_none_of_them_gets_no_mail() {
    let ca = Ca::new("Test CA");
    let stage = Stage {
        zone: ZONE,
        rules: SECURE,
        config: "mx = { max_hosts = 2 }",
        ..Stage::default()
    };
    let scene = scene(&ca, stage).await;
    scene.mx[2].play(sealed(&ca, "default.test"));
    assert_eq!(
        scene.send(2, "r@a.test").await,
        "451 4.7.5 mx1.a.test: the certificate is for another name, not for mx1.a.test \
         blocked(rule certificate-host-mismatch)"
    );
    assert_eq!(
        asked_for(&scene),
        ["mx1.a.test", "mx2.a.test"],
        "no more than max_hosts"
    );
    assert_eq!(scene.mx[2].heard("MAIL"), 0);
}

#[tokio::test]
async fn an_address_of_a_host_is_asked_by_the_name_of_that_host_alone() {
    let ca = Ca::new("Test CA");
    let stage = Stage {
        zone: &ZONE.replace("mx1.a.test A IP1", "mx1.a.test A IP3"),
        rules: SECURE,
        ..Stage::default()
    };
    let scene = scene(&ca, stage).await;
    let said = scene.send(2, "r@a.test").await;
    assert!(said.starts_with("451 4.7.5 mx1.a.test: "), "{said}");
    assert_eq!(asked_for(&scene), ["mx1.a.test"]);
}
