//! A policy is fetched over HTTPS, or the reason is told: one fault a row (RFC 8461 §3.3).

mod addresses;
mod answers;
mod certificates;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use waxseal::mtasts::{FetchError, Policy};
use waxseal::net::dial::Dialer;
use waxseal::net::https::{Fetch, FetchSettings, HttpsFetcher};
use waxseal::net::resolver::{Anchor, DaneNeed, DnsResolver, DnsSettings, DnssecMode, Path};

use crate::support::ca::Ca;
use crate::support::net::loopback;
use crate::support::sts_host::{End, Response, Site, StsHost, policy};
use crate::support::within;
use crate::support::zone::Dns;

/// The web server of `a.test`.
const HOST: &str = "mta-sts.a.test";

type Answer = Result<(Policy, Arc<str>), FetchError>;

fn text() -> String {
    policy("enforce", 86_400, &["mx.a.test"])
}

/// A web server, its DNS, and whoever fetches. The default is the happy path.
struct World {
    ca: Ca,
    host: StsHost,
    dns: Dns,
    dialer: Dialer,
    settings: FetchSettings,
}

impl World {
    async fn new() -> Self {
        let ca = Ca::new("Test CA");
        let site = Site::policy(ca.server(HOST), &text());
        let host = StsHost::start(&loopback(), 0, site).await;
        let dns = Dns::start(&format!("{HOST} A {}", host.ip())).await;
        let dialer = Dialer {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..Dialer::default()
        };
        let settings = FetchSettings {
            port: host.port(),
            ..FetchSettings::default()
        };
        Self {
            ca,
            host,
            dns,
            dialer,
            settings,
        }
    }

    fn fetcher(&self) -> HttpsFetcher {
        let resolver = Arc::new(resolver(self.dns.address()));
        HttpsFetcher::new(resolver, &self.dialer, &self.ca.roots(), self.settings).unwrap()
    }

    async fn fetch_for(&self, domain: &str) -> Answer {
        let domain = domain.parse().unwrap();
        within("a fetch", self.fetcher().policy(&domain)).await
    }

    async fn fetch(&self) -> Answer {
        self.fetch_for("a.test").await
    }

    /// The reason why there is no policy.
    async fn refusal(&self) -> FetchError {
        self.fetch().await.unwrap_err()
    }
}

fn resolver(server: SocketAddr) -> DnsResolver {
    let settings = DnsSettings {
        servers: vec![server],
        timeout: Duration::from_secs(5),
        attempts: 1,
        cache_entries: 100,
        failed_for: Duration::ZERO,
        dnssec: DnssecMode::Off,
        path: Path::LoopbackOnly,
        anchor: Anchor::Iana,
        dane: DaneNeed::Opportunistic,
    };
    DnsResolver::new(&settings).unwrap()
}

/// Sockets of this process that lead to `address`.
fn sockets_to(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else {
        panic!("{address} is not IPv4");
    };
    // The kernel prints the octets of the address as one number of the machine's byte order.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let remote = format!("{ip:08X}:{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let leads_there = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Without a file descriptor the socket has no inode.
        fields[2] == remote && fields[9] != "0"
    };
    table.lines().filter(leads_there).count()
}

#[tokio::test]
async fn the_policy_comes_from_the_web_server_of_the_domain() {
    let world = World::new().await;
    let (policy, told) = world.fetch().await.unwrap();
    assert_eq!(&*told, text());
    assert_eq!(Ok(policy), text().parse());
    let request = world.host.request();
    assert_eq!(request.line(), "GET /.well-known/mta-sts.txt HTTP/1.1");
    assert_eq!(request.sni.as_deref(), Some(HOST));
    let host = format!("{HOST}:{}", world.host.port());
    assert_eq!(request.field("Host"), Some(host.as_str()));
    let agent = format!("waxseal/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.field("User-Agent"), Some(agent.as_str()));
    assert_eq!(request.field("Connection"), Some("close"));
    assert_eq!(request.field("Accept-Encoding"), Some("identity"));
    for nothing in ["Cookie", "Referer", "Authorization"] {
        assert_eq!(request.field(nothing), None, "{nothing}");
    }
}

#[tokio::test]
async fn a_domain_is_asked_for_by_its_own_name_whatever_the_aliases() {
    let world = World::new().await;
    let zone = format!(
        "{HOST} CNAME sts.provider.test\nsts.provider.test A {}",
        world.host.ip()
    );
    world.dns.replace(&zone);
    world.fetch().await.unwrap();
    assert_eq!(world.host.request().sni.as_deref(), Some(HOST));
}

#[tokio::test]
async fn each_fetch_is_a_connection_of_its_own_and_none_is_left_behind() {
    let world = World::new().await;
    let fetcher = world.fetcher();
    let domain = "a.test".parse().unwrap();
    let end = End::Never;
    world.host.answer(Response {
        end,
        ..Response::text(&text())
    });
    for fetches in 1..=3 {
        fetcher.policy(&domain).await.unwrap();
        assert_eq!(world.host.connections(), fetches);
        gone(&world.host).await;
    }
}

/// Waits until a web server has no connection and nobody here a socket that leads to it.
async fn gone(host: &StsHost) {
    host.idle().await;
    let none = async {
        while sockets_to(host.address()) > 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the end of all sockets", none).await;
}

/// Runs one test of this program in a process of its own, with another environment.
fn elsewhere(test: &str, environment: &[(&str, &str)]) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let names = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let mut environment = names.map(|name| (name, url.as_str())).to_vec();
    environment.extend([("NO_PROXY", ""), ("no_proxy", "")]);
    let test = "suite::fetch::the_policy_comes_from_the_web_server_of_the_domain";
    elsewhere(test, &environment);
    let nobody = proxy.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}
