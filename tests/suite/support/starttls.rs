//! `support::mx` and `support::mta` under TLS, and on the way there.

use rustls::ProtocolVersion;

use crate::support::{
    ca::{Ca, Leaf, Signer},
    mta::Mta,
    mx::{Act, Mx, Script, StartTls, Tls, Versions, capabilities, reply},
    net::loopback,
};

async fn mx(starttls: StartTls) -> Mx {
    Mx::start(
        &loopback(),
        0,
        Script {
            starttls,
            ..Script::default()
        },
    )
    .await
}

#[tokio::test]
async fn a_message_travels_under_tls() {
    let ca = Ca::new("Test CA");
    let identity = ca.issue(Leaf {
        signer: Signer::Intermediate,
        ..Leaf::for_host("mx.test")
    });
    let script = Script {
        capabilities_tls: Some(capabilities(&["REQUIRETLS"])),
        ..Script::with_tls(identity)
    };
    let mx = Mx::start(&loopback(), 0, script).await;
    let mut mta = Mta::connect(mx.address()).await;
    mta.read_reply().await;
    assert!(mta.hello().await.offers("STARTTLS"));
    let mut mta = mta.starttls(&ca.pem(), "mx.test").await;
    assert_eq!(
        mta.command("MAIL FROM:<>").await.code,
        503,
        "the state before TLS is forgotten"
    );
    assert_eq!(mta.hello().await.lines, ["mx.test", "REQUIRETLS"]);
    assert_eq!(
        mta.deliver("", &["b@b.test"], b"sealed\r\n").await.code(),
        250
    );
    assert!(mx.message().tls);
    let handshake = &mx.handshakes()[0];
    assert_eq!(handshake.sni.as_deref(), Some("mx.test"));
    assert_eq!(handshake.version, ProtocolVersion::TLSv1_3);
}

#[tokio::test]
async fn an_mx_may_speak_one_version_only() {
    let ca = Ca::new("Test CA");
    for (versions, version) in [
        (Versions::Only12, ProtocolVersion::TLSv1_2),
        (Versions::Only13, ProtocolVersion::TLSv1_3),
    ] {
        let tls = Tls {
            versions,
            ..Tls::with(ca.server("mx.test"))
        };
        let mx = mx(StartTls::Offered(tls)).await;
        Mta::smtp(mx.address())
            .await
            .starttls(&ca.pem(), "mx.test")
            .await
            .quit()
            .await;
        assert_eq!(mx.handshakes()[0].version, version);
    }
}

#[tokio::test]
async fn injected_plaintext_comes_with_the_220() {
    let injected = b"250 injected\r\n".to_vec();
    let tls = Tls {
        injected,
        ..Tls::with(Ca::new("Test CA").server("mx.test"))
    };
    let mx = mx(StartTls::Offered(tls)).await;
    let mut mta = Mta::smtp(mx.address()).await;
    assert_eq!(mta.command("STARTTLS").await.code, 220);
    assert_eq!(mta.read_reply().await.text(), "injected");
}

#[tokio::test]
async fn plaintext_behind_starttls_is_noticed() {
    let mx = mx(StartTls::with(Ca::new("Test CA").server("mx.test"))).await;
    let mut mta = Mta::smtp(mx.address()).await;
    mta.send(b"STARTTLS\r\nRSET\r\n").await;
    mta.read_to_end().await;
    assert_eq!(mx.record().early_plaintext, [b"RSET\r\n".to_vec()]);
}

#[tokio::test]
async fn a_stripped_capability_hides_a_command_that_works() {
    let ca = Ca::new("Test CA");
    let mx = mx(StartTls::Stripped(Tls::with(ca.server("mx.test")))).await;
    let mut mta = Mta::smtp(mx.address()).await;
    assert!(!mta.hello().await.offers("STARTTLS"));
    mta.starttls(&ca.pem(), "mx.test").await.quit().await;
}

#[tokio::test]
async fn starttls_is_refused_or_broken() {
    let mx = mx(StartTls::Answers(reply(454, "4.7.0 no TLS today"))).await;
    assert_eq!(
        Mta::smtp(mx.address()).await.command("STARTTLS").await.code,
        454
    );

    mx.play(Script {
        starttls: StartTls::Breaks(Act::Send(b"not TLS".to_vec())),
        ..Script::default()
    });
    let mut mta = Mta::smtp(mx.address()).await;
    assert_eq!(mta.command("STARTTLS").await.code, 220);
    mta.send(b"ClientHello").await;
    assert_eq!(mta.read_to_end().await, b"not TLS");

    mx.play(Script::default());
    assert_eq!(
        Mta::smtp(mx.address()).await.command("STARTTLS").await.code,
        502
    );
}

#[tokio::test]
async fn a_failed_handshake_is_recorded() {
    let mx = mx(StartTls::with(Ca::new("Test CA").server("mx.test"))).await;
    let mut mta = Mta::smtp(mx.address()).await;
    mta.command("STARTTLS").await;
    mta.send(b"this is no ClientHello\r\n").await;
    mta.read_to_end().await;
    mx.idle().await;
    assert_eq!(
        (mx.record().failed_handshakes.len(), mx.handshakes().len()),
        (1, 0)
    );
}
