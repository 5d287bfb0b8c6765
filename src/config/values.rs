//! Values as they are written in a file: durations, sizes, numbers with bounds, networks, addresses.
//!
//! Each type parses once and says what it expected; none can hold a value that would be absurd.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{Destination, Domain};

/// A value that is written as a string.
pub(super) trait Written: FromStr<Err = String> {
    /// What stands behind "expected" when it is something else than a string.
    const EXPECTED: &'static str;
}

struct Text<T>(PhantomData<T>);

impl<T: Written> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Reads a [`Written`] value.
pub(super) fn read_written<'de, T: Written, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    from.deserialize_str(Text(PhantomData))
}

/// Several [`Written`] values, or a single one that stands without brackets.
#[derive(Debug, Clone)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

struct Texts<T>(PhantomData<T>);

impl<'de, T: Written + Deserialize<'de>> Visitor<'de> for Texts<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or several in brackets", T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany<T>, E> {
        let one = text.parse().map_err(E::custom)?;
        Ok(OneOrMany(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany<T>, A::Error> {
        let mut many = Vec::new();
        while let Some(one) = list.next_element()? {
            many.push(one);
        }
        Ok(OneOrMany(many))
    }
}

impl<'de, T: Written + Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Texts(PhantomData))
    }
}

/// Makes types that are [`Written`] readable by serde.
macro_rules! written {
    ($($type:ty: $expected:literal,)*) => {$(
        impl $crate::config::values::Written for $type {
            const EXPECTED: &'static str = $expected;
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::config::values::read_written(from)
            }
        }
    )*};
}
pub(super) use written;

written! {
    Network: "a network such as \"192.0.2.0/24\"",
    Endpoint: "an address and port such as \"127.0.0.1:10025\"",
    NameServer: "an address such as \"127.0.0.1\" or \"[::1]:5353\"",
    Hostname: "a name such as \"mail.example.com\"",
    ListedDomain: "a domain such as \"example.com\"",
    LogLevel: "a level such as \"info\"",
}

/// A wait of at least `LEAST_MS` milliseconds and at most `MOST_DAYS` days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait<const LEAST_MS: u64, const MOST_DAYS: u64 = 1>(pub(super) Duration);

impl<const LEAST_MS: u64, const MOST_DAYS: u64> Written for Wait<LEAST_MS, MOST_DAYS> {
    const EXPECTED: &'static str = "a duration with a unit, such as \"30s\"";
}

impl<const LEAST_MS: u64, const MOST_DAYS: u64> FromStr for Wait<LEAST_MS, MOST_DAYS> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wait = humantime::parse_duration(text).map_err(|_| {
            format!("`{text}` is not a duration; write numbers with units, such as \"30s\" or \"1h 30m\"")
        })?;
        let least = Duration::from_millis(LEAST_MS);
        if wait < least {
            let least = humantime::format_duration(least);
            return Err(format!("`{text}` is too short; the least is {least}"));
        }
        let most = Duration::from_hours(24 * MOST_DAYS);
        if wait > most {
            let most = humantime::format_duration(most);
            return Err(format!("`{text}` is too long; the most is {most}"));
        }
        Ok(Self(wait))
    }
}

impl<'de, const LEAST_MS: u64, const MOST_DAYS: u64> Deserialize<'de>
    for Wait<LEAST_MS, MOST_DAYS>
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        read_written(from)
    }
}

impl<const LEAST_MS: u64, const MOST_DAYS: u64> Serialize for Wait<LEAST_MS, MOST_DAYS> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(self.0))
    }
}

/// A number between `LEAST` and `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Number<const LEAST: u32, const MOST: u32>(pub(super) u32);

impl<const LEAST: u32, const MOST: u32> Number<LEAST, MOST> {
    /// For limits of collections.
    pub(super) fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Number<1, 65_535> {
    /// The number of a port.
    pub(super) fn as_port(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }
}

struct Bounded<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Visitor<'_> for Bounded<LEAST, MOST> {
    type Value = Number<LEAST, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from {LEAST} to {MOST}")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match u32::try_from(number) {
            Ok(number) if (LEAST..=MOST).contains(&number) => Ok(Number(number)),
            _ => Err(E::custom(format!(
                "{number} is out of bounds; write a number from {LEAST} to {MOST}"
            ))),
        }
    }
}

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_i64(Bounded)
    }
}

/// A number of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
    ("", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
        number
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, (_, factor))| number.checked_mul(*factor))
            // TOML has no larger integer.
            .filter(|size| i64::try_from(*size).is_ok())
            .map(Self)
            .ok_or_else(|| {
                format!("`{text}` is not a size; write octets or a unit, such as \"64 KiB\" or \"50 MB\"")
            })
    }
}

impl fmt::Display for Size {
    /// In the largest unit that leaves no remainder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, factor)| self.0.is_multiple_of(*factor));
        match unit {
            Some((name, factor)) if self.0 > 0 => write!(f, "{} {name}", self.0 / factor),
            _ => self.0.fmt(f),
        }
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 102400 or \"64 KiB\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Size, E> {
        u64::try_from(number)
            .map(Size)
            .map_err(|_| E::custom(format!("{number} is not a size; 0 means no limit")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SizeVisitor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Network(pub(super) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.into()));
        }
        text.parse::<IpNet>().map(|net| Self(net.trunc())).map_err(|_| {
            format!("`{text}` is not a network; write one such as \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.1\"")
        })
    }
}

/// Where a listener listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Endpoint(pub(super) SocketAddr);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is not an address with a port; write \"127.0.0.1:10025\" or \"[::1]:10025\"")
        })
    }
}

/// A name server; the port may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct NameServer(pub(super) SocketAddr);

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(SocketAddr::new(address, 53)));
        }
        match text.parse::<SocketAddr>() {
            Ok(server) if server.port() != 0 => Ok(Self(server)),
            _ => Err(format!(
                "`{text}` is not the address of a name server; write \"127.0.0.1\" or \"[::1]:5353\""
            )),
        }
    }
}

/// The name that waxseal goes by: a domain name or an address literal (RFC 5321 §4.1.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Hostname(pub(super) String);

impl FromStr for Hostname {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.parse::<Destination>().map_err(|error| {
            format!("`{text}` is not a host name ({error}); write one such as \"mail.example.com\" or \"[192.0.2.1]\"")
        })?;
        Ok(Self(name.to_string()))
    }
}

/// A domain that has metrics of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedDomain(pub(super) Domain);

impl FromStr for ListedDomain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| {
            format!("`{text}` is not a domain ({error}); write one such as \"example.com\"")
        })
    }
}

impl Serialize for ListedDomain {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// What is logged: a level for waxseal, or directives of `tracing-subscriber`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLevel(String);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl LogLevel {
    /// The directives for `tracing-subscriber`. A plain level is waxseal's own: the libraries below it
    /// stay at `warn`, because at `debug` they speak of little else than themselves. What hickory warns of,
    /// whole messages of DNS, waxseal tells in its own words.
    pub fn directives(&self) -> String {
        if matches!(self.0.as_str(), "off" | "error" | "warn") || !is_plain(&self.0) {
            self.0.clone()
        } else {
            format!("warn,hickory_net=error,waxseal={}", self.0)
        }
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(['=', ',', '[', ':'])
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // EnvFilter takes a single word that is no level for the name of a module.
        let known = !is_plain(text) || LEVELS.contains(&text);
        if known && tracing_subscriber::EnvFilter::try_new(text).is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not a log level; write one of {} or directives such as \"info,waxseal::proxy=debug\"",
            LEVELS.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_reads_what_it_prints() {
        let good = |text: &str, octets: u64, printed: &str| {
            let size: Size = text.parse().unwrap();
            assert_eq!(
                (size.0, size.to_string().as_str()),
                (octets, printed),
                "{text}"
            );
            assert_eq!(size.to_string().parse::<Size>(), Ok(size));
        };
        good("0", 0, "0");
        good("64 KiB", 65536, "64 KiB");
        good("64kib", 65536, "64 KiB");
        good("50 MB", 50_000_000, "50 MB");
        good("1 GiB", 1 << 30, "1 GiB");
        good("102401", 102_401, "102401 B");
        for bad in ["", "MB", "-1", "1.5 MB", "1 XB", "99999999999 GiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_plain_level_is_for_waxseal_alone() {
        let directives = |text: &str| text.parse::<LogLevel>().map(|level| level.directives());
        assert_eq!(
            directives("debug").unwrap(),
            "warn,hickory_net=error,waxseal=debug"
        );
        assert_eq!(directives("error").unwrap(), "error");
        assert_eq!(
            directives("info,hickory_resolver=debug").unwrap(),
            "info,hickory_resolver=debug"
        );
        assert!(directives("inffo").is_err());
        assert!(directives("waxseal=loud").is_err());
    }
}
