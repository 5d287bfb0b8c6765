//! A TLS session that goes on with the next connection to the same address.

use rustls::crypto::aws_lc_rs::Ticketer;

use super::{SEALED, Scene, Stage};
use crate::support::ca::{Ca, Identity};
use crate::support::mx::{Script, StartTls, Tls};

const SECURE: &str =
    "[[rule]]\ndomains = ['b.test']\ntls = 'fingerprint'\nfingerprints = ['PRINT']";

fn script(tls: &Tls, identity: &Identity) -> Script {
    Script {
        starttls: StartTls::Offered(Tls {
            identity: identity.clone(),
            ..tls.clone()
        }),
        ..Script::default()
    }
}

#[tokio::test]
async fn it_goes_on_and_where_it_leaves_a_doubt_a_full_handshake_tells() {
    let ca = Ca::new("Test CA");
    let [old, new] = [ca.server("mx.a.test"), ca.server("mx.a.test")];
    let tls = Tls {
        ticketer: Some(Ticketer::new().unwrap()),
        ..Tls::with(old.clone())
    };
    let rules = SECURE.replace("PRINT", &format!("sha256:{}", new.sha256()));
    let stage = Stage {
        rules: &rules,
        ..Stage::default()
    };
    let scene = Scene::of([script(&tls, &old)], stage).await;
    assert_eq!(scene.send(0, "r@a.test").await, SEALED);
    assert_eq!(scene.send(0, "r@a.test").await, SEALED);
    scene.mx[0].play(script(&tls, &new));
    assert_eq!(
        scene.send(0, "r@b.test").await,
        "250 2.0.0 OK: queued deliveries(fingerprint tls rule)"
    );
    let resumed = |scene: &Scene<1>| {
        let handshakes = scene.mx[0].handshakes();
        handshakes.iter().map(|one| one.resumed).collect::<Vec<_>>()
    };
    assert_eq!(resumed(&scene), [false, true, true, false]);
    assert_eq!(scene.mx[0].heard("MAIL"), 3);
}
