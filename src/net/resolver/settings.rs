//! What the operator says about DNS, and what the system says where the operator says nothing.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::dnssec::TrustAnchors;

/// Where the system keeps its name servers (resolv.conf(5)).
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How DNS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Name servers; empty = those of the system.
    pub servers: Vec<SocketAddr>,
    /// For one query to one server.
    pub timeout: Duration,
    /// Queries before a look-up has failed.
    pub attempts: usize,
    /// Answers kept.
    pub cache_entries: u64,
    /// How long a look-up that failed is not tried again; zero = it is tried every time.
    pub failed_for: Duration,
    /// Whose word it is that an answer is proven.
    pub dnssec: DnssecMode,
    /// Whether the operator vouches for the path to the name servers.
    pub path: Path,
    /// The trust anchor of waxseal's own validation.
    pub anchor: Anchor,
    /// What follows where no answer can be proven.
    pub dane: DaneNeed,
}

/// Whose word it is that an answer is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnssecMode {
    /// That of validating name servers on a trusted path, or else waxseal's own.
    Auto,
    /// That of the name servers, by the AD bit (RFC 4035 §4.9.3).
    TrustAd,
    /// waxseal's own.
    Validate,
    /// Nobody's: there is no DANE.
    Off,
}

/// Whether anybody else can write on the path to the name servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// The operator says that nobody can.
    Trusted,
    /// The operator says nothing: only loopback is trusted, or what resolv.conf calls `trust-ad`.
    LoopbackOnly,
}

/// What follows where no answer can be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaneNeed {
    /// There is no DANE, loudly, and mail goes out (RFC 7672's opportunistic DANE).
    Opportunistic,
    /// Mail waits.
    Required,
}

/// The keys that every chain of signatures has to begin with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Anchor {
    /// Those of the root zone, by IANA, built in.
    #[default]
    Iana,
    /// Those of a file: DNSKEY records in master-file format. Known to parse.
    File(String),
}

impl Anchor {
    pub(super) fn keys(&self) -> Arc<TrustAnchors> {
        let keys = match self {
            Self::Iana => TrustAnchors::default(),
            // It was parsed once; without keys everything is bogus, which blocks.
            Self::File(text) => text.parse().unwrap_or_else(|_| TrustAnchors::empty()),
        };
        Arc::new(keys)
    }
}

impl FromStr for Anchor {
    type Err = String;

    /// Takes the text of a file.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            "write DNSKEY records, one per line, such as `. 172800 IN DNSKEY 257 3 8 AwEAA...`";
        match text.parse::<TrustAnchors>() {
            Ok(keys) if !keys.is_empty() => Ok(Self::File(text.to_owned())),
            Ok(_) => Err(format!("there is no key in it; {wanted}")),
            Err(error) => Err(format!("{error}; {wanted}")),
        }
    }
}

/// DNS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system has no usable resolver configuration.
    #[error(
        "cannot set up DNS: {RESOLV_CONF}: {0}; name the servers in waxseal.toml: [dns] servers = [\"127.0.0.1\"]"
    )]
    System(String),
    /// AD would be believed over a path that anybody may write on.
    #[error(
        "[dns] dnssec = \"trust-ad\" believes {0}, which is not on loopback; if nobody else can write on the path to it say trusted_path = true, or let waxseal validate: dnssec = \"validate\""
    )]
    UntrustedPath(SocketAddr),
}

/// The name servers, and whether the path to them is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) path_is_trusted: bool,
}

impl Upstream {
    pub(super) fn of(settings: &DnsSettings) -> Result<Self, SetupError> {
        let upstream = if settings.servers.is_empty() {
            let text = fs::read(RESOLV_CONF).map_err(|e| SetupError::System(e.to_string()))?;
            Self::of_system(&text, settings.path)?
        } else {
            Self::new(settings.servers.clone(), settings.path == Path::Trusted)
        };
        match upstream.servers.iter().find(|s| !s.ip().is_loopback()) {
            Some(server) if settings.dnssec == DnssecMode::TrustAd && !upstream.path_is_trusted => {
                Err(SetupError::UntrustedPath(*server))
            }
            _ => Ok(upstream),
        }
    }

    fn new(servers: Vec<SocketAddr>, vouched_for: bool) -> Self {
        let all_loopback = servers.iter().all(|server| server.ip().is_loopback());
        Self {
            path_is_trusted: vouched_for || all_loopback,
            servers,
        }
    }

    fn of_system(resolv_conf: &[u8], path: Path) -> Result<Self, SetupError> {
        let config = resolv_conf::Config::parse(resolv_conf)
            .map_err(|error| SetupError::System(error.to_string()))?;
        let servers: Vec<SocketAddr> = config
            .nameservers
            .iter()
            .map(|address| SocketAddr::new(IpAddr::from(address), 53))
            .collect();
        if servers.is_empty() {
            return Err(SetupError::System("it names no name server".to_owned()));
        }
        Ok(Self::new(servers, path == Path::Trusted || config.trust_ad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(text: &str, path: Path) -> Result<Upstream, SetupError> {
        Upstream::of_system(text.as_bytes(), path)
    }

    #[test]
    fn the_path_is_trusted_on_loopback_or_where_somebody_vouches_for_it() {
        let trusted = |text, path| system(text, path).unwrap().path_is_trusted;
        assert!(trusted("nameserver 127.0.0.53\n", Path::LoopbackOnly));
        assert!(trusted("nameserver ::1\n", Path::LoopbackOnly));
        assert!(!trusted("nameserver 192.0.2.1\n", Path::LoopbackOnly));
        assert!(!trusted(
            "nameserver 127.0.0.1\nnameserver 192.0.2.1\n",
            Path::LoopbackOnly
        ));
        assert!(trusted("nameserver 192.0.2.1\n", Path::Trusted));
        assert!(trusted(
            "nameserver 192.0.2.1\noptions edns0 trust-ad\n",
            Path::LoopbackOnly
        ));
    }

    #[test]
    fn a_system_without_name_servers_says_what_to_do() {
        let error = system("search example.com\n", Path::LoopbackOnly).unwrap_err();
        assert!(error.to_string().contains("[dns] servers ="), "{error}");
    }

    #[test]
    fn an_anchor_is_one_dnskey_at_least() {
        for bad in ["", "; nothing\n", ". IN DS 1 8 2 00\n", "nonsense"] {
            assert!(bad.parse::<Anchor>().is_err(), "{bad}");
        }
    }
}
