//! The patterns of a policy for the names of MX hosts (RFC 8461 §4.1).
//!
//! A pattern is a host name, or `*.` and a name, which then stands for exactly one label: `*.a.example`
//! is for `mx.a.example`, neither for `a.example` nor for `x.mx.a.example`. No pattern is for an address,
//! even where an MX record wrongly points at one.

use std::net::IpAddr;
use std::str::FromStr;

use super::MxPattern;
use crate::name::{Host, NameError};

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// An address, or a name that ends in a number like one; no host of an MX record can match it. The
    /// caller may pass it over.
    #[error("it is an address, which no host matches")]
    Address,
    /// A U-label (RFC 8461 §3.2).
    #[error("an international name must be written as A-labels (xn--...)")]
    NotAscii,
    /// A `*` elsewhere than as the whole left-most label.
    #[error("`*` may only stand for the whole left-most label, as in `*.example.com`")]
    Wildcard,
    /// Not a host name.
    #[error("{0}")]
    Name(NameError),
}

impl FromStr for MxPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if is_address(text) {
            return Err(PatternError::Address);
        }
        // RFC 8461 §3.2: A-labels, not U-labels.
        if !text.is_ascii() {
            return Err(PatternError::NotAscii);
        }
        let (name, pattern): (_, fn(Host) -> Self) = match text.strip_prefix("*.") {
            Some(parent) => (parent, Self::OneLabelBelow),
            None => (text, Self::Exact),
        };
        // RFC 8461 §4.1: the wildcard is the entire left-most label.
        if name.contains('*') {
            return Err(PatternError::Wildcard);
        }
        let host: Host = name.parse().map_err(PatternError::Name)?;
        if ends_in_number(host.as_str()) {
            return Err(PatternError::Address);
        }
        Ok(pattern(host))
    }
}

/// Whether this is an address as such, or between the brackets of an address literal.
fn is_address(text: &str) -> bool {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let bare = bare.unwrap_or(text);
    let tagged = bare
        .get(..5)
        .is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    let bare = if tagged { &bare[5..] } else { bare };
    bare.parse::<IpAddr>().is_ok()
}

/// Whether the last label is a number, as in an IPv4 address and in no host name (RFC 1123 §2.1). Such a
/// name is also what would be left of an address behind `*.`.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Host {
        text.parse().unwrap()
    }

    #[test]
    fn patterns_have_one_spelling() {
        let good = |text: &str, want: &str| {
            assert_eq!(
                text.parse::<MxPattern>().unwrap().to_string(),
                want,
                "{text}"
            );
        };
        good("mx.a.example", "mx.a.example");
        good("MX.A.Example", "mx.a.example");
        good("*.a.example", "*.a.example");
        good("*.Example", "*.example");
        good("localhost", "localhost");
        good("xn--bcher-kva.example", "xn--bcher-kva.example");
        good("*.xn--bcher-kva.example", "*.xn--bcher-kva.example");
        good("mx.a.example.", "mx.a.example");
        good("mx_1.a.example", "mx_1.a.example");
        good("1.2.3.4.example", "1.2.3.4.example");
        good("mx.4you", "mx.4you");
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let bad = |text: &str, want: PatternError| {
            assert_eq!(text.parse::<MxPattern>(), Err(want), "{text:?}");
        };
        for address in [
            "192.0.2.1",
            "[192.0.2.1]",
            "2001:db8::1",
            "[2001:db8::1]",
            "[IPv6:2001:db8::1]",
            "::ffff:192.0.2.1",
            "*.0.2.1",
            "*.1",
            "192.0.2.1.",
            "300.0.2.1",
            "192.0.2",
        ] {
            bad(address, PatternError::Address);
        }
        bad("bücher.example", PatternError::NotAscii);
        bad("*.bücher.example", PatternError::NotAscii);
        bad("*", PatternError::Wildcard);
        bad("*.*.example", PatternError::Wildcard);
        bad("mx*.a.example", PatternError::Wildcard);
        bad("mx.*.example", PatternError::Wildcard);
        bad("**.a.example", PatternError::Wildcard);
        bad("*a.example", PatternError::Wildcard);
        bad("", PatternError::Name(NameError::Empty));
        bad("*.", PatternError::Name(NameError::Empty));
        bad(".a.example", PatternError::Name(NameError::Label));
        bad("*..example", PatternError::Name(NameError::Label));
        bad("mx..example", PatternError::Name(NameError::Label));
        bad(
            "a.example b.example",
            PatternError::Name(NameError::Character),
        );
        bad(
            "a.example, b.example",
            PatternError::Name(NameError::Character),
        );
        bad("mx.a.example:25", PatternError::Name(NameError::Character));
        bad("\"mx.a.example\"", PatternError::Name(NameError::Character));
        bad("[mx.a.example]", PatternError::Name(NameError::Character));
        bad(
            &"a.".repeat(127).repeat(2),
            PatternError::Name(NameError::TooLong),
        );
    }

    #[test]
    fn a_pattern_covers_a_host_or_one_label() {
        let covers =
            |text: &str, name: &str| text.parse::<MxPattern>().unwrap().covers(&host(name));
        assert!(covers("mx.a.example", "mx.a.example"));
        assert!(covers("mx.a.example", "MX.A.EXAMPLE."));
        assert!(covers("mx.xn--bcher-kva.example", "mx.bücher.example"));
        assert!(!covers("mx.a.example", "a.example"));
        assert!(!covers("mx.a.example", "mx.a.example.test"));
        assert!(!covers("a.example", "mx.a.example"));
        assert!(covers("*.a.example", "mx.a.example"));
        assert!(!covers("*.a.example", "a.example"));
        assert!(!covers("*.a.example", "x.mx.a.example"));
        assert!(!covers("*.a.example", "mxa.example"));
        assert!(!covers("*.a.example", "mx.ba.example"));
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-z0-9]{1,4}(\\.[a-z0-9]{1,4}){0,3}\\.[a-z]{2,3}"
    }

    proptest! {
        #[test]
        fn a_wildcard_is_exactly_one_label(parent in name(), labels in prop::collection::vec("[a-z0-9_-]{1,5}", 0..4)) {
            let pattern: MxPattern = format!("*.{parent}").parse().unwrap();
            let mut below = labels.clone();
            below.push(parent);
            prop_assert_eq!(pattern.covers(&host(&below.join("."))), labels.len() == 1);
        }

        #[test]
        fn no_pattern_covers_an_address(address: std::net::Ipv4Addr) {
            let text = address.to_string();
            let (_, parent) = text.split_once('.').unwrap();
            for text in [text.clone(), format!("*.{parent}"), format!("[{text}]")] {
                prop_assert_eq!(text.parse::<MxPattern>(), Err(PatternError::Address));
            }
        }

        #[test]
        fn a_pattern_reads_what_it_writes(text in "(\\*\\.)?[a-zA-Z0-9.*_-]{1,20}") {
            if let Ok(pattern) = text.parse::<MxPattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }
    }
}
