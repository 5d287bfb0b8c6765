//! Names of mail domains and of mail hosts, parsed once.
//!
//! A recipient domain arrives from an MTA in any case, with or without a trailing dot, sometimes as
//! Unicode; a host name arrives from DNS. Below this module there is one spelling only: A-labels
//! (RFC 5890 §2.3.2.1), lower case, no trailing dot. So two names are equal when their texts are.
//!
//! An address literal (RFC 5321 §4.1.3) is a destination of its own: it has no MX, no TLSA and no
//! MTA-STS policy.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// Longest textual name without a trailing dot (RFC 1035 §2.3.4: 255 octets on the wire).
const MAX_NAME: usize = 253;
/// Longest label (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left once a trailing dot is taken away.
    #[error("the name is empty")]
    Empty,
    /// More than 253 characters.
    #[error("the name is longer than 253 characters")]
    TooLong,
    /// A label is empty or has more than 63 characters.
    #[error("a label of the name is empty or longer than 63 characters")]
    Label,
    /// A character that no host name has.
    #[error("the name has a character other than letters, digits, '-' and '_'")]
    Character,
    /// Not valid as an internationalized name (UTS 46).
    #[error("the name is not a valid internationalized domain name")]
    Idna,
    /// An address where a name was expected, or a malformed address literal.
    #[error("not a valid address literal")]
    Literal,
}

/// Parses `text` into the one spelling: A-labels, lower case, no trailing dot.
fn canonical(text: &str) -> Result<Arc<str>, NameError> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    // A Unicode name may be up to four times as long in UTF-8; anything above is not worth a look.
    if text.len() > 4 * MAX_NAME {
        return Err(NameError::TooLong);
    }
    let ascii = if !text.is_ascii() {
        idna::domain_to_ascii(text)
            .map_err(|_| NameError::Idna)?
            .into()
    } else if text.bytes().any(|b| b.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        Cow::Borrowed(text)
    };
    if ascii.len() > MAX_NAME {
        return Err(NameError::TooLong);
    }
    for label in ascii.as_bytes().split(|b| *b == b'.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err(NameError::Label);
        }
        // `_` is not a host name character, yet MX hosts with it exist and resolve.
        if !label
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            return Err(NameError::Character);
        }
    }
    Ok(ascii.into())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as A-labels, lower case, without a trailing dot.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// True when this name is `parent` or lies below it.
            pub fn is_within(&self, parent: &str) -> bool {
                self.0
                    .strip_suffix(parent)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                canonical(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// A mail domain: what stands behind the `@`.
    Domain
}
name_type! {
    /// The name of a mail host: what an MX record points at.
    Host
}

impl From<Domain> for Host {
    /// The implicit MX of RFC 5321 §5.1: a domain without MX records is its own host.
    fn from(domain: Domain) -> Self {
        Self(domain.0)
    }
}

impl From<Host> for Domain {
    /// A host that a rule routes to is looked up like a domain of its own.
    fn from(host: Host) -> Self {
        Self(host.0)
    }
}

/// Where a recipient's mail goes: a domain, or an address literal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Destination {
    /// A domain, resolved through its MX records.
    Domain(Domain),
    /// An address literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`, dialled as it is.
    Literal(IpAddr),
}

impl Destination {
    /// The domain, unless this is an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }
}

/// What is dialled on the way to a destination: a named host, or the address of a literal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MailHost {
    /// A host with a name: of an MX record, of the domain itself (implicit MX), or of a rule's route.
    Named(Host),
    /// An address without a name.
    Address(IpAddr),
}

impl MailHost {
    /// The host's name, if it has one.
    pub fn name(&self) -> Option<&Host> {
        match self {
            Self::Named(host) => Some(host),
            Self::Address(_) => None,
        }
    }
}

impl fmt::Display for MailHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(host) => host.fmt(f),
            Self::Address(address) => Destination::Literal(*address).fmt(f),
        }
    }
}

impl FromStr for Destination {
    type Err = NameError;

    /// Parses what follows the `@` of a path (RFC 5321 §4.1.2: `Domain / address-literal`).
    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some(inner) = text.strip_prefix('[') else {
            // A bare IPv4 address is no domain: all-digit top-level labels do not exist.
            if text.parse::<Ipv4Addr>().is_ok() {
                return Err(NameError::Literal);
            }
            return text.parse().map(Self::Domain);
        };
        let inner = inner.strip_suffix(']').ok_or(NameError::Literal)?;
        let tagged = inner
            .get(..5)
            .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
            .and_then(|_| inner.get(5..));
        let address = match tagged {
            Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => inner.parse::<Ipv4Addr>().map(IpAddr::V4),
        };
        address.map(Self::Literal).map_err(|_| NameError::Literal)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(IpAddr::V4(v4)) => write!(f, "[{v4}]"),
            Self::Literal(IpAddr::V6(v6)) => write!(f, "[IPv6:{v6}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_spelling() {
        let good = |text: &str, want: &str| {
            assert_eq!(text.parse::<Domain>().unwrap().as_str(), want, "{text}");
        };
        good("example.com", "example.com");
        good("Example.COM.", "example.com");
        good("bücher.example", "xn--bcher-kva.example");
        good("BÜCHER.example", "xn--bcher-kva.example");
        good("xn--bcher-kva.example", "xn--bcher-kva.example");
        good("mail_1.example", "mail_1.example");
        good("localhost", "localhost");
    }

    #[test]
    fn what_is_no_name_says_why() {
        let bad = |text: &str, want: NameError| {
            assert_eq!(text.parse::<Domain>(), Err(want), "{text:?}");
        };
        bad("", NameError::Empty);
        bad(".", NameError::Empty);
        bad("a..b", NameError::Label);
        bad(".example.com", NameError::Label);
        bad("exa mple.com", NameError::Character);
        bad("example.com/x", NameError::Character);
        bad("exam\u{0}ple.com", NameError::Character);
        bad(&"a".repeat(64), NameError::Label);
        bad(&"abc.".repeat(64), NameError::TooLong);
        bad(&"ü".repeat(600), NameError::TooLong);
    }

    #[test]
    fn the_longest_name_has_253_characters() {
        assert!("a.".repeat(127).parse::<Domain>().is_ok());
        assert_eq!(
            format!("{}ab", "a.".repeat(126)).parse::<Domain>(),
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn a_destination_is_a_domain_or_a_literal() {
        let good = |text: &str, want: &str| {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), want);
        };
        good("Example.com", "example.com");
        good("[192.0.2.1]", "[192.0.2.1]");
        good("[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]");
        good("[ipv6:::1]", "[IPv6:::1]");
        for bad in [
            "192.0.2.1",
            "[192.0.2]",
            "[192.0.2.1",
            "[2001:db8::1]",
            "[x]",
            "[]",
        ] {
            assert_eq!(bad.parse::<Destination>(), Err(NameError::Literal), "{bad}");
        }
    }

    #[test]
    fn within_is_by_whole_labels() {
        let host: Host = "mx.a.example".parse().unwrap();
        assert!(host.is_within("a.example"));
        assert!(host.is_within("mx.a.example"));
        assert!(!host.is_within("x.a.example"));
        assert!(
            !"mxa.example"
                .parse::<Host>()
                .unwrap()
                .is_within("a.example")
        );
    }
}
