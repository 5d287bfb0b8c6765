//! `tlsrpt = true`: what Postfix 3.10 and later need for their TLS reports, and to choose hosts by.

use std::sync::Arc;

use super::client::{Postfix, request};
use crate::support::ca::Ca;
use crate::support::house::{House, Setup};
use crate::support::net::loopback;
use crate::support::sts_host::{Site, StsHost, policy};
use crate::support::zone::Dns;

/// One listener for a new Postfix, one for an old one.
const LISTENERS: &str = "[[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:0'\ntlsrpt = true\n\
                         [[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:0'\n";
const PLAIN: &str = "OK secure match=mx.a.test servername=hostname";
const TOLD: &str = " policy_type=sts policy_domain=a.test { policy_string = version: STSv1 } \
                    { policy_string = mode: enforce } { policy_string = mx: *.a.test } \
                    { policy_string = max_age: 86400 } mx_host_pattern=*.a.test";

#[tokio::test]
async fn a_listener_for_a_new_postfix_tells_what_it_reports_and_another_does_not() {
    let ca = Ca::new("Test CA");
    let text = policy("enforce", 86_400, &["*.a.test"]);
    let site = Site::policy(ca.server("mta-sts.a.test"), &text);
    let web = StsHost::start(&loopback(), 0, site).await;
    let dns = Dns::start(&format!(
        "a.test MX 10 mx.a.test\nmx.a.test A 192.0.2.1\nmta-sts.a.test A {}\n\
         _mta-sts.a.test TXT \"v=STSv1; id=1;\"\nb.test MX 10 mx.b.test\nmx.b.test A 192.0.2.2\n",
        web.ip()
    ))
    .await;
    let setup = Setup {
        config: &format!("{LISTENERS}[mta_sts]\nport = {}", web.port()),
        ca: Some(&ca),
        // In one second, so that each listener could have what the other was told.
        clock: Some(Arc::default()),
        ..Setup::default()
    };
    let house = House::start(&dns, 25, setup).await;
    let &[new, old] = house.maps() else {
        panic!("two listeners are configured");
    };
    let told = format!("{PLAIN}{TOLD}");
    for (address, want) in [(new, told.as_str()), (old, PLAIN), (new, &told)] {
        let mut postfix = Postfix::at(address).await;
        // The long answer ends where the next one begins.
        let wire = [request("a.test"), request("b.test"), request("a.test")].concat();
        postfix.send(&wire).await;
        assert_eq!(postfix.reply().await, want);
        assert_eq!(postfix.reply().await, "NOTFOUND ");
        assert_eq!(postfix.reply().await, want);
    }
    assert_eq!(web.connections(), 1);
}
