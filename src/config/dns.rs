//! `[dns]`: how names are looked up, and whose word it is that an answer is proven.

use std::fs;
use std::path::PathBuf;

use toml::Spanned;

use super::error::{ConfigError, Source};
use super::file::{self, Dns};
use crate::net::resolver::{Anchor, DaneNeed, DnsSettings, DnssecMode, Path};

pub(super) fn settings(dns: &Dns, source: Source<'_>) -> Result<DnsSettings, ConfigError> {
    Ok(DnsSettings {
        servers: dns.servers.iter().map(|server| server.0).collect(),
        timeout: dns.timeout.0,
        attempts: dns.attempts.as_usize(),
        cache_entries: u64::from(dns.cache_entries.0),
        failed_for: dns.failed_for.0,
        dnssec: match dns.dnssec {
            file::Dnssec::Auto => DnssecMode::Auto,
            file::Dnssec::TrustAd => DnssecMode::TrustAd,
            file::Dnssec::Validate => DnssecMode::Validate,
            file::Dnssec::Off => DnssecMode::Off,
        },
        path: if dns.trusted_path {
            Path::Trusted
        } else {
            Path::LoopbackOnly
        },
        anchor: match &dns.trust_anchor {
            Some(file) => anchor(file, source)?,
            None => Anchor::Iana,
        },
        dane: need(dns, source)?,
    })
}

fn need(dns: &Dns, source: Source<'_>) -> Result<DaneNeed, ConfigError> {
    match (*dns.dane.get_ref(), dns.dnssec) {
        (file::Dane::Opportunistic, _) => Ok(DaneNeed::Opportunistic),
        (file::Dane::Required, file::Dnssec::Off) => Err(source.error(
            &dns.dane.span(),
            "`dane = \"required\"` cannot be with `dnssec = \"off\"`: no mail would ever leave; write dnssec = \"auto\"",
        )),
        (file::Dane::Required, _) => Ok(DaneNeed::Required),
    }
}

fn anchor(file: &Spanned<PathBuf>, source: Source<'_>) -> Result<Anchor, ConfigError> {
    let path = source.resolve(file.get_ref());
    let wrong = |why: String| source.error(&file.span(), format!("{}: {why}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(wrong)
}
