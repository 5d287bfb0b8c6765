//! What a `[[destination]]` means: how much goes to the MX hosts and networks that it names.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use toml::Spanned;

use super::error::{ConfigError, Source};
use super::file::{self, File};
use super::values::{Number, Wait, written};
use crate::policy::cap::{Cap, Limits, Names, Rate};
use crate::policy::rules::MxPattern;

/// Messages of a time that are remembered for it, at most.
const MOST: usize = 100_000;

/// `messages` as written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Messages(pub(super) Rate);

written! {
    Messages: "a rate such as \"100/1m\"",
}

impl FromStr for Messages {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not a rate; write how many and in what time, such as \"100/1m\"")
        };
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().map_err(|_| wrong())?;
        if !(1..=MOST).contains(&count) {
            return Err(format!(
                "`{text}` is out of bounds; write from 1 to {MOST} messages, and a shorter time where that is too few"
            ));
        }
        let Wait(per) = per.trim().parse::<Wait<1>>()?;
        Ok(Self(Rate { count, per }))
    }
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Messages {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// All of them, in order.
pub(super) fn caps(file: &File, source: Source<'_>) -> Result<Vec<Cap>, ConfigError> {
    let mut caps: Vec<Cap> = Vec::new();
    for written in &file.destination {
        no_name_twice(written.get_ref(), &caps, source)?;
        caps.push(cap(written, source)?);
    }
    Ok(caps)
}

fn cap(written: &Spanned<file::Destination>, source: Source<'_>) -> Result<Cap, ConfigError> {
    let wrong = |message: &str| Err(source.error(&written.span(), message));
    let destination = written.get_ref();
    let limits = Limits {
        connections: destination.connections.map(Number::as_usize),
        messages: destination.messages.map(|messages| messages.0),
    };
    if destination.mx.is_empty() && destination.network.is_empty() {
        return wrong("the [[destination]] names nothing; add `mx` or `network`");
    }
    if limits == Limits::default() {
        return wrong("the [[destination]] has no limit; add `connections` or `messages`");
    }
    let (hosts, networks) = (destination.mx.iter(), destination.network.iter());
    Ok(Cap {
        names: Names {
            hosts: hosts.map(|one| one.get_ref().0.clone()).collect(),
            networks: networks.map(|one| one.get_ref().0).collect(),
        },
        limits,
    })
}

/// The first one that names an MX counts, so whoever stands behind it with the same name waits in vain.
fn no_name_twice(
    written: &file::Destination,
    before: &[Cap],
    source: Source<'_>,
) -> Result<(), ConfigError> {
    let (hosts, networks) = (written.mx.iter(), written.network.iter());
    let hosts = hosts.filter_map(|one| {
        let mut before = before.iter().flat_map(|cap| &cap.names.hosts);
        let first = before.find(|first| includes(first, &one.get_ref().0))?;
        Some((one.span(), first.to_string()))
    });
    let networks = networks.filter_map(|one| {
        let mut before = before.iter().flat_map(|cap| &cap.names.networks);
        let first = before.find(|first| first.contains(&one.get_ref().0))?;
        Some((one.span(), first.to_string()))
    });
    match hosts.chain(networks).next() {
        None => Ok(()),
        Some((span, first)) => Err(source.error(
            &span,
            format!("a [[destination]] above names {first}, and the first one counts; put this one before it, or remove it"),
        )),
    }
}

/// True where every host of `pattern` is one of `wider`, too.
fn includes(wider: &MxPattern, pattern: &MxPattern) -> bool {
    match pattern {
        MxPattern::Exact(host) => wider.covers(host),
        MxPattern::Below(parent) => {
            wider == pattern || matches!(wider, MxPattern::Below(_)) && wider.covers(parent)
        }
    }
}
