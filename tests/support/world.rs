//! A whole small world: a waxseal, its DNS, and scripted MX hosts. The default is the happy path.

use std::fmt::Write;

use super::{
    house::{House, Setup},
    mta::{Delivery, Dialect, Mta, Reply},
    mx::{Mx, Script},
    net::loopback,
    zone::Dns,
};

/// Both ways in.
pub(crate) const BOTH: [Dialect; 2] = [Dialect::Smtp, Dialect::Lmtp];

/// A message that nobody minds.
pub(crate) const BODY: &[u8] = b"Subject: wax\r\n\r\n.dots\r\n..\r\nend\r\n";

/// A waxseal and what it talks to.
pub(crate) struct World<const N: usize> {
    pub(crate) mx: [Mx; N],
    pub(crate) dns: Dns,
    pub(crate) house: House,
}

impl World<1> {
    /// One MX, for `a.test`.
    pub(crate) async fn one(script: Script) -> Self {
        Self::with(script, "").await
    }

    /// One MX, for `a.test`, and a waxseal with this configuration laid over.
    pub(crate) async fn with(script: Script, config: &str) -> Self {
        World::of([("a.test", script)], config).await
    }
}

impl<const N: usize> World<N> {
    /// One MX for each domain.
    pub(crate) async fn of(domains: [(&str, Script); N], config: &str) -> Self {
        let ips: [String; N] = std::array::from_fn(|_| loopback());
        let mut zone = String::new();
        for ((domain, _), ip) in domains.iter().zip(&ips) {
            writeln!(zone, "{domain} MX 10 mx.{domain}\nmx.{domain} A {ip}").unwrap();
        }
        let mut addresses = ips.iter();
        let scripts = domains.map(|(_, script)| (addresses.next().unwrap().as_str(), script));
        Self::in_zone(&zone, scripts, config).await
    }

    /// MX hosts at these addresses, and DNS that says so or does not.
    pub(crate) async fn in_zone(zone: &str, mx: [(&str, Script); N], config: &str) -> Self {
        let mx = Mx::together(mx).await;
        let dns = Dns::start(zone).await;
        let setup = Setup {
            config,
            ..Setup::default()
        };
        let house = House::start(&dns, mx[0].port(), setup).await;
        Self { mx, dns, house }
    }

    /// An MTA that has greeted waxseal.
    pub(crate) async fn mta(&self, dialect: Dialect) -> Mta {
        match dialect {
            Dialect::Smtp => self.house.smtp_client().await,
            Dialect::Lmtp => self.house.lmtp_client().await,
        }
    }

    /// Sends one message in a session of its own.
    pub(crate) async fn deliver(&self, dialect: Dialect, to: &[&str], body: &[u8]) -> Delivery {
        let mut mta = self.mta(dialect).await;
        let sent = mta.deliver("s@b.test", to, body).await;
        mta.quit().await;
        sent
    }

    /// Sends one message over `relay`; the reply that decides its fate.
    pub(crate) async fn send(&self, to: &str) -> Reply {
        fate(&self.deliver(Dialect::Smtp, &[to], BODY).await)
    }
}

/// The reply that decides the fate of the first recipient.
pub(crate) fn fate(sent: &Delivery) -> Reply {
    let replies = [&sent.mail, &sent.rcpt[0], &sent.data];
    let refused = replies.into_iter().find(|reply| !reply.is_positive());
    refused.unwrap_or_else(|| &sent.end[0]).clone()
}

/// Code and enhanced code, such as `550 5.1.1`.
pub(crate) fn status(reply: &Reply) -> String {
    match reply.enhanced() {
        Some(enhanced) => format!("{} {enhanced}", reply.code),
        None => reply.code.to_string(),
    }
}

/// Code and enhanced code of each.
pub(crate) fn statuses(replies: &[Reply]) -> Vec<String> {
    replies.iter().map(status).collect()
}

/// The series that counts messages delivered in plaintext where nothing else was asked for.
pub(crate) const DELIVERED: &str = r#"waxseal_deliveries_total{authentication="none",encryption="plaintext",policy="opportunistic"}"#;

/// Whether a counter shows this number.
pub(crate) fn is(value: f64, count: u32) -> bool {
    (value - f64::from(count)).abs() < f64::EPSILON
}
