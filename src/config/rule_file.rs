//! A rule file as written: the keys of `[[rule]]` and the words in them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use toml::Spanned;
use toml::value::Datetime;

use super::values::{OneOrMany, written};
use crate::name::{Destination, Domain, Host, NameError};
use crate::policy::handshake::{Fingerprint, TlsVersion};
use crate::policy::requirement::Mode;
use crate::policy::rules::{Floor, MxPattern, NameMatch, Pattern, Route, SenderScope, ServerName};

/// One rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    #[serde(default)]
    pub(super) rule: Vec<Spanned<Entry>>,
}

/// One `[[rule]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) domains: Vec<Spanned<DomainPattern>>,
    #[serde(default)]
    pub(super) mx: Vec<Spanned<MxHosts>>,
    pub(super) senders: Option<Spanned<Vec<Sender>>>,
    pub(super) tls: Spanned<LevelWord>,
    pub(super) floor: Option<Spanned<FloorWord>>,
    #[serde(rename = "match")]
    pub(super) matches: Option<Spanned<OneOrMany<MatchWord>>>,
    pub(super) mta_sts: Option<Spanned<bool>>,
    pub(super) servername: Option<Spanned<SniWord>>,
    pub(super) min_version: Option<Spanned<VersionWord>>,
    pub(super) ca_file: Option<Spanned<PathBuf>>,
    pub(super) fingerprints: Option<Spanned<Vec<Print>>>,
    pub(super) route: Option<Spanned<RouteText>>,
    pub(super) reason: Option<String>,
    pub(super) expires: Option<Spanned<Datetime>>,
    #[serde(default)]
    pub(super) mode: ModeWord,
}

/// `tls`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LevelWord {
    None,
    May,
    Encrypt,
    Standard,
    DaneOnly,
    Secure,
    Fingerprint,
}

impl LevelWord {
    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::May => "may",
            Self::Encrypt => "encrypt",
            Self::Standard => "standard",
            Self::DaneOnly => "dane-only",
            Self::Secure => "secure",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// `floor`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FloorWord {
    May,
    Encrypt,
}

impl From<FloorWord> for Floor {
    fn from(word: FloorWord) -> Self {
        match word {
            FloorWord::May => Self::May,
            FloorWord::Encrypt => Self::Encrypt,
        }
    }
}

/// `min_version`
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum VersionWord {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl From<VersionWord> for TlsVersion {
    fn from(word: VersionWord) -> Self {
        match word {
            VersionWord::Tls12 => Self::Tls12,
            VersionWord::Tls13 => Self::Tls13,
        }
    }
}

/// `mode`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ModeWord {
    #[default]
    Enforce,
    Observe,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Enforce => Self::Enforce,
            ModeWord::Observe => Self::Observe,
        }
    }
}

written! {
    DomainPattern: "a domain such as \"example.com\", \".example.com\" or \"*\"",
    MxHosts: "an MX host pattern such as \"*.hosting.example\"",
    Sender: "a sender domain such as \"example.com\" or \".example.com\"",
    MatchWord: "nexthop, dot-nexthop, hostname, mta-sts, a name or \".suffix\"",
    SniWord: "hostname, nexthop or a name",
    Print: "a fingerprint such as \"sha256:00:11:...\"",
    RouteText: "a host and port such as \"gateway.example.com:25\"",
}

/// One of `domains`.
#[derive(Debug, Clone)]
pub(super) struct DomainPattern(pub(super) Pattern);

impl FromStr for DomainPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self(Pattern::Any));
        }
        if let Some(parent) = text.strip_prefix("*.") {
            return Err(format!(
                "`{text}` is not a domain; write \".{parent}\" for every domain below {parent}"
            ));
        }
        if let Some(parent) = text.strip_prefix('.') {
            let parent = parent.parse().map_err(|error| no_name(text, error))?;
            return Ok(Self(Pattern::Suffix(parent)));
        }
        let name = text
            .parse()
            .map_err(|error| match (error, text.contains('[')) {
                (NameError::Literal, false) => {
                    format!("`{text}` is an address; write \"[{text}]\"")
                }
                _ => no_name(text, error),
            })?;
        Ok(Self(Pattern::Exact(name)))
    }
}

fn no_name(text: &str, error: NameError) -> String {
    if text.contains('@') {
        return format!(
            "`{text}` is a mail address; rules are about domains, write what follows the @"
        );
    }
    format!("`{text}` is not a domain: {error}")
}

/// One of `mx`.
#[derive(Debug, Clone)]
pub(super) struct MxHosts(pub(super) MxPattern);

impl FromStr for MxHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("`*` names every MX; write domains = [\"*\"], or in a [[destination]] network = [\"0.0.0.0/0\", \"::/0\"]".to_owned());
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(format!(
                "`{text}` is not an MX host pattern: it is an address, and has no name"
            ));
        }
        let below = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
        let pattern = match below {
            Some(parent) => parent.parse().map(MxPattern::Below),
            None => text.parse().map(MxPattern::Exact),
        };
        pattern
            .map(Self)
            .map_err(|error| format!("`{text}` is not an MX host pattern: {error}"))
    }
}

impl Serialize for MxHosts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// One of `senders`.
#[derive(Debug, Clone)]
pub(super) struct Sender(pub(super) SenderScope);

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("`*` names every sender; leave `senders` out".to_owned());
        }
        let domain = |text: &str| text.parse::<Domain>();
        let scope = match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
            Some(parent) => domain(parent).map(SenderScope::Suffix),
            None => domain(text).map(SenderScope::Exact),
        };
        scope.map(Self).map_err(|error| no_name(text, error))
    }
}

/// One of `match`.
#[derive(Debug, Clone)]
pub(super) struct MatchWord(pub(super) NameMatch);

impl FromStr for MatchWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = |text: &str| {
            let expected = Self::expected();
            host(text).map_err(|error| format!("`{text}` is none of {expected}: {error}"))
        };
        Ok(Self(match text {
            "nexthop" => NameMatch::Nexthop,
            "dot-nexthop" => NameMatch::DotNexthop,
            "hostname" => NameMatch::Hostname,
            "mta-sts" => NameMatch::MtaSts,
            _ => match text.strip_prefix('.') {
                Some(parent) => NameMatch::Below(name(parent)?),
                None => NameMatch::Name(name(text)?),
            },
        }))
    }
}

impl MatchWord {
    fn expected() -> &'static str {
        <Self as super::values::Written>::EXPECTED
    }
}

/// A host name with a dot in it. A single label is a misspelt word (`hostnme`) and no certificate's.
fn host(text: &str) -> Result<Host, String> {
    if !text.contains('.') {
        return Err("a name has a dot".to_owned());
    }
    text.parse().map_err(|error: NameError| error.to_string())
}

/// `servername`
#[derive(Debug, Clone)]
pub(super) struct SniWord(pub(super) ServerName);

impl FromStr for SniWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "hostname" => ServerName::Hostname,
            "nexthop" => ServerName::Nexthop,
            _ => ServerName::Name(host(text).map_err(|error| {
                format!("`{text}` is none of hostname, nexthop or a name: {error}")
            })?),
        }))
    }
}

/// One of `fingerprints`.
#[derive(Debug, Clone)]
pub(super) struct Print(pub(super) Fingerprint);

impl FromStr for Print {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Fingerprint::parse(text).map(Self).ok_or_else(|| {
            format!("`{text}` is not a fingerprint; write \"sha256:\" and 64 hexadecimal digits (`waxseal check DOMAIN --connect` prints them)")
        })
    }
}

/// `route`
#[derive(Debug, Clone)]
pub(super) struct RouteText(pub(super) Route);

impl FromStr for RouteText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let route = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let host = route_host(host)?;
            Some(Route { host, port })
        });
        route.map(Self).ok_or_else(|| {
            format!("`{text}` is not a host and port; write \"gateway.example.com:25\", \"[192.0.2.1]:25\" or \"[2001:db8::1]:25\"")
        })
    }
}

/// A name or a literal; IPv6 with or without its tag.
fn route_host(text: &str) -> Option<Destination> {
    let untagged = text
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .and_then(|inner| inner.parse().ok());
    match untagged {
        Some(address) => Some(Destination::Literal(address)),
        None => text.parse().ok(),
    }
}
