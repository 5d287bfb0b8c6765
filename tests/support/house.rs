//! A waxseal of the test's own: in this process, on loopback, with the test's DNS and MX.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use toml::Table;
use waxseal::app::{App, Ports};
use waxseal::config::Config;
use waxseal::policy::act::Actor;
use waxseal::policy::outcome::Ingress;
use waxseal::time::{Clock, SystemClock};

use super::ca::Ca;
use super::clock::HandClock;
use super::mta::Mta;
use super::zone::Dns;

/// What differs from the defaults of a test.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// Laid over the configuration, key by key: TOML.
    pub(crate) config: &'a str,
    /// The one rule file; empty = no rules.
    pub(crate) rules: &'a str,
    /// Certificates of this CA are trusted, and no others.
    pub(crate) ca: Option<&'a Ca>,
    /// The clock; by default that of the system.
    pub(crate) clock: Option<Arc<HandClock>>,
}

/// A running waxseal.
pub(crate) struct House {
    app: App,
    folder: TempDir,
    clock: Arc<dyn Clock>,
}

impl House {
    /// Starts one that asks `dns` and dials MX hosts at `mx_port`.
    pub(crate) async fn start(dns: &Dns, mx_port: u16, setup: Setup<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = base(dns.address(), mx_port);
        lay_over(
            &mut config,
            setup.config.parse().expect("the overlay is TOML"),
        );
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        write_rules(folder.path(), setup.rules);
        if let Some(ca) = setup.ca {
            std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
            let trusted = "tls = { roots = 'none', ca_files = ['ca.pem'] }";
            lay_over(&mut config, trusted.parse().unwrap());
        }
        std::fs::write(folder.path().join("waxseal.toml"), config.to_string()).unwrap();
        let clock = match setup.clock {
            Some(clock) => clock as Arc<dyn Clock>,
            None => Arc::new(SystemClock),
        };
        // Who starts several must not carry them all about.
        let app = Box::pin(open(folder.path(), &clock)).await;
        Self { app, folder, clock }
    }

    /// Stops, and starts again with the same files.
    pub(crate) async fn restart(self) -> Self {
        let Self { app, folder, clock } = self;
        app.stop(Actor::Process).await;
        let app = open(folder.path(), &clock).await;
        Self { app, folder, clock }
    }

    /// One with the defaults of a test.
    pub(crate) async fn plain(dns: &Dns, mx_port: u16) -> Self {
        Self::start(dns, mx_port, Setup::default()).await
    }

    /// One with these rules.
    pub(crate) async fn with_rules(dns: &Dns, mx_port: u16, rules: &str) -> Self {
        Self::start(
            dns,
            mx_port,
            Setup {
                rules,
                ..Setup::default()
            },
        )
        .await
    }

    fn address(&self, kind: Ingress) -> SocketAddr {
        let found = self
            .app
            .listeners()
            .iter()
            .find(|(other, _)| *other == kind);
        found.expect("the listener is configured").1
    }

    /// The address of the `relay` listener.
    pub(crate) fn relay(&self) -> SocketAddr {
        self.address(Ingress::Relay)
    }

    /// The address of the `lmtp` listener.
    pub(crate) fn lmtp(&self) -> SocketAddr {
        self.address(Ingress::Lmtp)
    }

    /// The address of the first `socketmap` listener.
    pub(crate) fn map(&self) -> SocketAddr {
        *self.maps().first().expect("the listener is configured")
    }

    /// The addresses of all `socketmap` listeners.
    pub(crate) fn maps(&self) -> &[SocketAddr] {
        self.app.maps()
    }

    /// The address of the `socks5` listener.
    pub(crate) fn socks5(&self) -> SocketAddr {
        self.address(Ingress::Socks5)
    }

    /// The address of the `transparent` listener.
    pub(crate) fn transparent(&self) -> SocketAddr {
        self.address(Ingress::Transparent)
    }

    /// An MTA that has said EHLO to `relay`.
    pub(crate) async fn smtp_client(&self) -> Mta {
        Mta::smtp(self.relay()).await
    }

    /// An MTA that has said LHLO to `lmtp`.
    pub(crate) async fn lmtp_client(&self) -> Mta {
        Mta::lmtp(self.lmtp()).await
    }

    /// The address of the admin endpoint.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.app.admin().expect("admin is configured")
    }

    /// The folder of `waxseal.toml` and `policies/`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts other rules in place; a reload makes them count.
    pub(crate) fn write_rules(&self, rules: &str) {
        write_rules(self.folder(), rules);
    }

    /// Reloads, as SIGHUP does.
    pub(crate) async fn reload(&self) -> Result<String, String> {
        self.app.reload(Actor::Signal("SIGHUP")).await
    }

    /// The metrics, as Prometheus reads them.
    pub(crate) async fn metrics(&self) -> String {
        super::http::get(self.admin(), "/metrics").await.body
    }

    /// The value of one series, such as `waxseal_sessions{listener="relay"}`.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let metrics = self.metrics().await;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no series {series} in\n{metrics}"));
        value.parse().unwrap()
    }

    /// Drains and stops.
    pub(crate) async fn stop(self) {
        self.app.stop(Actor::Process).await;
    }
}

async fn open(folder: &Path, clock: &Arc<dyn Clock>) -> App {
    let config = Config::load(Some(&folder.join("waxseal.toml")));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let ports = Ports {
        clock: Arc::clone(clock),
        ..Ports::default()
    };
    let app = Box::pin(App::start(config, ports)).await;
    app.unwrap_or_else(|error| panic!("{error}"))
}

fn write_rules(folder: &Path, rules: &str) {
    std::fs::write(folder.join("policies").join("50-test.toml"), rules).unwrap();
}

fn base(dns: SocketAddr, mx_port: u16) -> Table {
    format!(
        r#"
        hostname = "waxseal.test"
        policies = "policies"
        [[listener]]
        kind = "relay"
        listen = "127.0.0.1:0"
        [[listener]]
        kind = "lmtp"
        listen = "127.0.0.1:0"
        [admin]
        listen = "127.0.0.1:0"
        [dns]
        servers = ["{dns}"]
        timeout = "1s"
        attempts = 1
        dnssec = "off"
        [store]
        path = "waxseal.db"
        # Each message on a connection of its own; `suite::pool` is about the others.
        [pool]
        idle = "0s"
        [mx]
        port = {mx_port}
        allow_networks = ["127.0.0.0/8", "::1/128"]
        "#
    )
    .parse()
    .unwrap()
}

/// Tables are merged, everything else is replaced.
fn lay_over(base: &mut Table, overlay: Table) {
    for (key, value) in overlay {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
