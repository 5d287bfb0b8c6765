//! Mail goes out, and every recipient hears what its MX said.

mod breaks;
mod content;
mod fanout;
mod pipelining;
mod refusals;

use crate::support::ca::Ca;
use crate::support::house::House;
use crate::support::mx::{Mx, Script};
use crate::support::zone::Dns;

const BODY: &[u8] = b"Subject: wax\r\n\r\n.dots\r\n..\r\nend\r\n";

#[tokio::test]
async fn a_message_leaves_in_plaintext_where_the_mx_has_no_tls() {
    let [mx] = Mx::together([("127.0.3.1", Script::default())]).await;
    let dns = Dns::start("a.test MX 10 mx.a.test\nmx.a.test A 127.0.3.1").await;
    let house = House::plain(&dns, mx.port()).await;
    let mut mta = house.smtp_client().await;
    let sent = mta.deliver("s@b.test", &["r@a.test"], BODY).await;
    assert_eq!(sent.end_codes(), [250]);
    assert!(
        sent.end[0].text().ends_with("[mx.a.test plaintext]"),
        "{}",
        sent.end[0]
    );
    let message = mx.message();
    assert_eq!(message.data, BODY);
    assert!(!message.tls);
    mta.quit().await;
    let series = r#"waxseal_deliveries_total{authentication="none",encryption="plaintext",policy="opportunistic"}"#;
    assert!((house.metric(series).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_message_leaves_sealed_where_the_mx_offers_tls() {
    let ca = Ca::new("test");
    let [mx] = Mx::together([("127.0.3.2", Script::with_tls(ca.server("mx.a.test")))]).await;
    let dns = Dns::start("a.test MX 10 mx.a.test\nmx.a.test A 127.0.3.2").await;
    let house = House::plain(&dns, mx.port()).await;
    let mut mta = house.lmtp_client().await;
    let sent = mta
        .deliver("s@b.test", &["r@a.test", "q@a.test"], BODY)
        .await;
    assert_eq!(sent.end_codes(), [250, 250]);
    assert!(
        sent.end[0].text().ends_with("[mx.a.test TLSv1.3 none]"),
        "{}",
        sent.end[0]
    );
    let message = mx.message();
    assert_eq!((message.data.as_slice(), message.tls), (BODY, true));
    assert_eq!(mx.record().handshakes[0].sni.as_deref(), Some("mx.a.test"));
    mta.quit().await;
}
