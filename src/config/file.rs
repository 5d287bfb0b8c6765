//! `waxseal.toml` as written: every key and its default. `docs/waxseal.toml` explains them, and a test
//! holds the two together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::destination::Messages;
use super::rule_file::MxHosts;
use super::values::{
    Endpoint, Hostname, ListedDomain, LogLevel, NameServer, Network, Number, Size, Wait,
};

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policies: Option<Spanned<PathBuf>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<Hostname>,
    pub(super) seal: bool,
    pub(super) listener: Vec<Spanned<Listener>>,
    pub(super) admin: Admin,
    pub(super) metrics: Metrics,
    pub(super) dns: Dns,
    pub(super) mta_sts: MtaSts,
    pub(super) store: Store,
    pub(super) mx: Mx,
    pub(super) pool: Pool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) destination: Vec<Spanned<Destination>>,
    pub(super) tls: Tls,
    pub(super) message: Message,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) log: Log,
    pub(super) audit: Audit,
}

impl Default for File {
    fn default() -> Self {
        Self {
            policies: None,
            hostname: None,
            seal: true,
            listener: vec![
                Spanned::new(0..0, Listener::on_loopback(Kind::Relay, 10025)),
                Spanned::new(0..0, Listener::on_loopback(Kind::Lmtp, 10024)),
            ],
            admin: Admin::default(),
            metrics: Metrics::default(),
            dns: Dns::default(),
            mta_sts: MtaSts::default(),
            store: Store::default(),
            mx: Mx::default(),
            pool: Pool::default(),
            destination: Vec::new(),
            tls: Tls::default(),
            message: Message::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            log: Log::default(),
            audit: Audit::default(),
        }
    }
}

/// One `[[listener]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) kind: Kind,
    pub(super) listen: Spanned<Endpoint>,
    #[serde(default = "loopback")]
    pub(super) allow: Spanned<Vec<Network>>,
    #[serde(default = "max_sessions")]
    pub(super) max_sessions: Number<1, 1_000_000>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_certificate: Option<Spanned<PathBuf>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_key: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) tls_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_client_ca: Option<Spanned<PathBuf>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tlsrpt: Option<Spanned<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<Spanned<Mode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mta_starttls: Option<Spanned<MtaStarttls>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bypass: Option<Spanned<Vec<Network>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) users_file: Option<Spanned<PathBuf>>,
}

/// `mode` of a `transparent` listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Redirect,
    Tproxy,
}

/// `mta_starttls` of a listener whose MTAs choose the MX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MtaStarttls {
    Hide,
    Terminate,
    Passthrough,
}

impl Listener {
    fn on_loopback(kind: Kind, port: u16) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            kind,
            listen: Spanned::new(0..0, Endpoint(listen)),
            allow: loopback(),
            max_sessions: max_sessions(),
            tls_certificate: None,
            tls_key: None,
            tls_required: false,
            tls_client_ca: None,
            tlsrpt: None,
            mode: None,
            mta_starttls: None,
            bypass: None,
            users_file: None,
        }
    }
}

fn loopback() -> Spanned<Vec<Network>> {
    let networks = ["127.0.0.0/8", "::1/128"];
    Spanned::new(
        0..0,
        networks.iter().filter_map(|net| net.parse().ok()).collect(),
    )
}

fn max_sessions() -> Number<1, 1_000_000> {
    Number(1000)
}

/// `kind` of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Relay,
    Lmtp,
    Socketmap,
    Transparent,
    Socks5,
}

/// `[admin]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: Spanned<Endpoint>,
    pub(super) enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_file: Option<Spanned<PathBuf>>,
    pub(super) hosts: Vec<Hostname>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_certificate: Option<Spanned<PathBuf>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_key: Option<Spanned<PathBuf>>,
}

impl Default for Admin {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 9825));
        Self {
            listen: Spanned::new(0..0, Endpoint(listen)),
            enabled: true,
            token_file: None,
            hosts: Vec::new(),
            tls_certificate: None,
            tls_key: None,
        }
    }
}

/// `[metrics]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Metrics {
    pub(super) domains: Vec<Spanned<ListedDomain>>,
}

/// `[dns]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dns {
    pub(super) servers: Vec<NameServer>,
    pub(super) timeout: Wait<1>,
    pub(super) attempts: Number<1, 100>,
    pub(super) cache_entries: Number<0, 100_000_000>,
    pub(super) failed_for: Wait<0>,
    pub(super) dnssec: Dnssec,
    pub(super) trusted_path: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trust_anchor: Option<Spanned<PathBuf>>,
    pub(super) dane: Spanned<Dane>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: seconds(5),
            attempts: Number(2),
            cache_entries: Number(8192),
            failed_for: seconds(15),
            dnssec: Dnssec::Auto,
            trusted_path: false,
            trust_anchor: None,
            dane: Spanned::new(0..0, Dane::Opportunistic),
        }
    }
}

/// `dnssec` of `[dns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Dnssec {
    Auto,
    TrustAd,
    Validate,
    Off,
}

/// `dane` of `[dns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dane {
    Opportunistic,
    Required,
}

/// `[mta_sts]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MtaSts {
    pub(super) enabled: bool,
    pub(super) timeout: Wait<1>,
    pub(super) port: Number<1, 65_535>,
}

impl Default for MtaSts {
    fn default() -> Self {
        Self {
            enabled: true,
            // RFC 8461 §3.3: one minute is the suggested limit.
            timeout: seconds(60),
            port: Number(443),
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Spanned<PathBuf>>,
}

/// `[mx]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Mx {
    pub(super) port: Number<1, 65_535>,
    pub(super) addresses: Addresses,
    pub(super) allow_networks: Vec<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<Number<1, { u32::MAX }>>,
    pub(super) max_hosts: Number<1, 1000>,
    pub(super) max_addresses: Number<1, 1000>,
    pub(super) dead_for: Wait<0>,
    pub(super) dead_entries: Number<0, 100_000_000>,
    pub(super) chunking: bool,
}

impl Default for Mx {
    fn default() -> Self {
        Self {
            port: Number(25),
            addresses: Addresses::Ipv6First,
            allow_networks: Vec::new(),
            mark: None,
            max_hosts: Number(10),
            max_addresses: Number(20),
            dead_for: seconds(60),
            dead_entries: Number(10_000),
            chunking: false,
        }
    }
}

/// `[pool]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) idle: Wait<0>,
    pub(super) max_age: Wait<1>,
    pub(super) max_messages: Number<1, 1_000_000>,
    pub(super) per_address: Number<1, 100_000>,
    pub(super) connections: Number<1, 1_000_000>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            idle: seconds(5),
            max_age: seconds(300),
            max_messages: Number(1000),
            per_address: Number(100),
            connections: Number(1000),
        }
    }
}

/// One `[[destination]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Destination {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) mx: Vec<Spanned<MxHosts>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) network: Vec<Spanned<Network>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<Number<1, 100_000>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<Messages>,
}

/// `addresses` of `[mx]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Addresses {
    #[serde(rename = "ipv6-first")]
    Ipv6First,
    #[serde(rename = "ipv4-first")]
    Ipv4First,
    #[serde(rename = "ipv6-only")]
    Ipv6Only,
    #[serde(rename = "ipv4-only")]
    Ipv4Only,
}

/// `[tls]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) roots: Spanned<RootSet>,
    pub(super) ca_files: Vec<Spanned<PathBuf>>,
    pub(super) plaintext_fallback: bool,
    pub(super) resume_for: Wait<0, 7>,
    pub(super) downgrade: Downgrade,
    pub(super) downgrade_hold: Wait<60_000, 30>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            roots: Spanned::new(0..0, RootSet::Webpki),
            ca_files: Vec::new(),
            plaintext_fallback: true,
            resume_for: Wait(Duration::from_hours(1)),
            downgrade: Downgrade::Warn,
            downgrade_hold: Wait(Duration::from_hours(3 * 24)),
        }
    }
}

/// `downgrade` of `[tls]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Downgrade {
    Warn,
    Defer,
}

/// `roots` of `[tls]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RootSet {
    Webpki,
    System,
    None,
}

/// `[message]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Message {
    pub(super) bare_newline: BareNewline,
    pub(super) max_size: Size,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            bare_newline: BareNewline::Reject,
            max_size: Size(1 << 30),
        }
    }
}

/// `bare_newline` of `[message]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum BareNewline {
    Reject,
    Normalise,
}

/// `[limits]`
#[expect(
    clippy::struct_field_names,
    reason = "the fields are the keys as written"
)]
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) max_recipients: Number<1, 1_000_000>,
    // RFC 5321 §4.5.3.1.4: a command line of 512 octets must be taken.
    pub(super) max_command_line: Number<512, 65_536>,
    pub(super) max_errors: Number<1, 1_000_000>,
    pub(super) max_legs: Number<1, 10_000>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_recipients: Number(1000),
            max_command_line: Number(4096),
            max_errors: Number(100),
            max_legs: Number(100),
        }
    }
}

/// `[timeouts]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Timeouts {
    pub(super) idle: Wait<1>,
    pub(super) mta_data: Wait<1>,
    pub(super) connect: Wait<1>,
    pub(super) greeting: Wait<1>,
    pub(super) ehlo: Wait<1>,
    pub(super) tls_handshake: Wait<1>,
    pub(super) reused: Wait<1>,
    pub(super) mail: Wait<1>,
    pub(super) rcpt: Wait<1>,
    pub(super) data: Wait<1>,
    pub(super) data_block: Wait<1>,
    pub(super) data_end: Wait<1>,
    pub(super) ready: Spanned<Wait<1>>,
    pub(super) drain: Wait<0>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: seconds(300),
            mta_data: seconds(180),
            connect: seconds(30),
            greeting: seconds(300),
            ehlo: seconds(300),
            tls_handshake: seconds(60),
            reused: seconds(10),
            mail: seconds(300),
            rcpt: seconds(300),
            data: seconds(120),
            data_block: seconds(180),
            data_end: seconds(600),
            ready: Spanned::new(0..0, seconds(240)),
            drain: seconds(30),
        }
    }
}

fn seconds<const LEAST_MS: u64>(seconds: u64) -> Wait<LEAST_MS> {
    Wait(Duration::from_secs(seconds))
}

/// `[log]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: LogFormat,
    pub(super) level: LogLevel,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// `[audit]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) keep: Number<0, 10_000>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<Spanned<PathBuf>>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            keep: Number(1000),
            file: None,
        }
    }
}
