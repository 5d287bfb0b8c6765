//! Attacks, and what keeps them from working. Each test fails when its guard is taken out.

mod replies;
mod smuggling;
mod starttls;

use crate::support::house::{House, Setup};
use crate::support::mx::{Mx, Script};
use crate::support::zone::Dns;

/// A house and one MX, `mx.a.test` at `127.2.<net>.1`; DNS answers as long as this lives.
struct Scene {
    mx: Mx,
    house: House,
    _dns: Dns,
}

impl Scene {
    async fn start(net: u8, script: Script, config: &str) -> Self {
        let ip = format!("127.2.{net}.1");
        let mx = Mx::start(&ip, 0, script).await;
        let dns = Dns::start(&format!("a.test MX 10 mx.a.test\nmx.a.test A {ip}")).await;
        let setup = Setup {
            config,
            ..Setup::default()
        };
        let house = House::start(&dns, mx.port(), setup).await;
        Self {
            mx,
            house,
            _dns: dns,
        }
    }
}
