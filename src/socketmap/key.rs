//! What Postfix asks its TLS policy table about.
//!
//! The key is the next hop as written: for most mail the recipient's domain, and where there is no answer its parents,
//! as `.example.com`. A next hop with brackets or a port is nobody's domain: it comes from `relayhost`,
//! `transport_maps` or `content_filter`, and has no MX records that would lead to it.

use std::net::{IpAddr, Ipv6Addr};

use crate::name::{Destination, NameError};

/// What a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A domain, or an address literal without a port: what stands behind the `@` of a recipient.
    Destination(Destination),
    /// A parent domain; what holds for a domain is said when the domain itself is asked for.
    Parent,
    /// A next hop with brackets around a name, or with a port: the MTA's own configuration has chosen it.
    NextHop,
    /// An address, a mailbox, a path: nothing that mail is routed by.
    Other,
    /// It should be a domain, and is none.
    NotADomain(NameError),
}

impl Key {
    /// Parses a key.
    pub fn parse(text: &str) -> Self {
        if text.starts_with('.') {
            return Self::Parent;
        }
        if text.is_empty() || text.contains(['@', '/', ' ']) || text.parse::<IpAddr>().is_ok() {
            return Self::Other;
        }
        if let Some(inner) = bracketed(text) {
            return literal(text, inner).map_or(Self::NextHop, Self::Destination);
        }
        if text.contains([':', '[', ']']) {
            return Self::NextHop;
        }
        match text.parse() {
            Ok(destination) => Self::Destination(destination),
            Err(error) => Self::NotADomain(error),
        }
    }
}

fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// An address literal as in mail (RFC 5321 §4.1.3), or as in `main.cf`, where IPv6 has no tag.
fn literal(text: &str, inner: &str) -> Option<Destination> {
    let untagged = inner.parse::<Ipv6Addr>().ok();
    let untagged = untagged.map(|address| Destination::Literal(IpAddr::V6(address)));
    untagged.or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_asked_for_in_any_spelling() {
        for text in ["example.com", "Example.COM.", "example.com."] {
            let want = Destination::Domain("example.com".parse().unwrap());
            assert_eq!(Key::parse(text), Key::Destination(want), "{text}");
        }
        let want = Destination::Domain("xn--bcher-kva.example".parse().unwrap());
        assert_eq!(Key::parse("bücher.example"), Key::Destination(want));
    }

    #[test]
    fn a_literal_has_no_port() {
        let literal = |text: &str| Key::Destination(text.parse().unwrap());
        assert_eq!(Key::parse("[192.0.2.1]"), literal("[192.0.2.1]"));
        assert_eq!(
            Key::parse("[ipv6:2001:db8::1]"),
            literal("[IPv6:2001:db8::1]")
        );
        assert_eq!(Key::parse("[2001:db8::1]"), literal("[IPv6:2001:db8::1]"));
        assert_eq!(Key::parse("[192.0.2.1]:25"), Key::NextHop);
        assert_eq!(Key::parse("[2001:db8::1]:25"), Key::NextHop);
    }

    #[test]
    fn what_the_mta_chose_itself_is_a_next_hop() {
        for text in [
            "[gw.example]",
            "[gw.example]:587",
            "gw.example:587",
            "gw.example:submission",
            "[gw.example",
            "[]",
        ] {
            assert_eq!(Key::parse(text), Key::NextHop, "{text}");
        }
    }

    #[test]
    fn parents_addresses_mailboxes_and_paths_are_no_destinations() {
        for text in [".example.com", ".com", "."] {
            assert_eq!(Key::parse(text), Key::Parent, "{text}");
        }
        for text in [
            "",
            "192.0.2.1",
            "2001:db8::1",
            "ottokar@example.com",
            "@example.com",
            "/var/run/lmtp",
            "a b.example",
        ] {
            assert_eq!(Key::parse(text), Key::Other, "{text}");
        }
    }

    #[test]
    fn what_should_be_a_domain_is_not_passed_over() {
        for text in [
            "a..example",
            "exa$mple.com",
            &"a".repeat(64),
            "xn--\u{fc}.example",
        ] {
            assert!(
                matches!(Key::parse(text), Key::NotADomain(_)),
                "{text}: {:?}",
                Key::parse(text)
            );
        }
    }
}
