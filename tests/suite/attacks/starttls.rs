//! Plaintext injected behind STARTTLS (CVE-2011-0411), towards the MX and from the MTA.

use crate::support::ca::Ca;
use crate::support::house::{House, Setup};
use crate::support::mta::Mta;
use crate::support::mx::{Mx, Script, StartTls, Tls};
use crate::support::zone::Dns;

use super::Scene;

const BODY: &[u8] = b"Subject: wax\r\n\r\nhello\r\n";

/// An MX with a good certificate, in front of which somebody adds `octets` to the 220.
fn injecting(octets: &[u8]) -> Script {
    let injected = octets.to_vec();
    let tls = Tls::with(Ca::new("Test CA").server("mx.a.test"));
    Script {
        starttls: StartTls::Offered(Tls { injected, ..tls }),
        ..Script::default()
    }
}

const INJECTIONS: [&[u8]; 4] = [
    b"250 2.0.0 OK\r\n",
    b"250-mx.a.test\r\n250 PIPELINING\r\n",
    b"\r\n",
    b"2",
];

#[tokio::test]
async fn plaintext_behind_the_220_of_an_mx_ends_the_connection_without_fallback() {
    for octets in INJECTIONS {
        let scene = Scene::start(50, injecting(octets), "").await;
        let mut mta = scene.house.smtp_client().await;
        let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
        assert_eq!(
            sent.rcpt[0].to_string(),
            "451 4.7.5 mx.a.test[127.2.50.1]: plaintext was injected behind the reply to STARTTLS",
            "{}",
            octets.escape_ascii()
        );
        mta.quit().await;
        scene.mx.idle().await;
        assert_eq!(scene.mx.connections(), 1);
        assert_eq!(scene.mx.lines(), ["EHLO waxseal.test", "STARTTLS"]);
        let blocked =
            r#"waxseal_blocked_total{policy="opportunistic",reason="starttls-injection"}"#;
        assert!((scene.house.metric(blocked).await - 1.0).abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn the_next_mx_is_used_where_somebody_injects_before_the_first() {
    let scripts = [
        ("127.2.51.1", injecting(INJECTIONS[0])),
        ("127.2.51.2", Script::default()),
    ];
    let [first, second] = Mx::together(scripts).await;
    let dns = Dns::start(
        "a.test MX 10 mx1.a.test\na.test MX 20 mx2.a.test\nmx1.a.test A 127.2.51.1\nmx2.a.test A 127.2.51.2",
    )
    .await;
    let house = House::plain(&dns, first.port()).await;
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert!(
        sent.end[0].text().ends_with("[mx2.a.test plaintext]"),
        "{}",
        sent.end[0]
    );
    mta.quit().await;
    first.idle().await;
    assert_eq!((first.connections(), first.heard("MAIL")), (1, 0));
    assert_eq!(second.message().data, BODY);
}

/// A house whose one listener offers STARTTLS to the MTA.
async fn house_with_tls(ca: &Ca, dns: &Dns, port: u16) -> House {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let identity = ca.server("waxseal.test");
    std::fs::write(&certificate, identity.chain_pem()).unwrap();
    std::fs::write(&key, identity.key_pem()).unwrap();
    let config = format!(
        "[[listener]]\nkind = 'relay'\nlisten = '127.0.0.1:0'\ntls_certificate = '{}'\ntls_key = '{}'",
        certificate.display(),
        key.display()
    );
    House::start(
        dns,
        port,
        Setup {
            config: &config,
            ..Setup::default()
        },
    )
    .await
}

#[tokio::test]
async fn plaintext_behind_the_starttls_of_an_mta_ends_the_session() {
    let ca = Ca::new("Test CA");
    let mx = Mx::start("127.2.52.1", 0, Script::default()).await;
    let dns = Dns::start("a.test MX 10 mx.a.test\nmx.a.test A 127.2.52.1").await;
    let house = house_with_tls(&ca, &dns, mx.port()).await;
    let mut mta = Mta::smtp(house.relay()).await;
    mta.send(b"STARTTLS\r\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<r@a.test>\r\n")
        .await;
    let said = mta.read_to_end().await;
    assert_eq!(
        said.escape_ascii().to_string(),
        "421 4.7.0 data behind STARTTLS, closing\\r\\n"
    );
    let refused = r#"waxseal_refused_total{listener="relay",reason="starttls-injection"}"#;
    assert!((house.metric(refused).await - 1.0).abs() < f64::EPSILON);
    assert_eq!(mx.connections(), 0);
    let mut honest = Mta::smtp(house.relay())
        .await
        .starttls(&ca.pem(), "waxseal.test")
        .await;
    honest.hello().await;
    assert_eq!(
        honest
            .deliver("s@b.test", &["r@a.test"], BODY)
            .await
            .end_codes(),
        [250]
    );
}
