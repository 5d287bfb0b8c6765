//! One delivery as a mail log tells it. Only the domain is kept of an address.

use crate::name::Destination;

/// A delivery, or a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whose mail.
    pub(super) destination: Destination,
    /// What came of it.
    pub(super) end: End,
    /// What the log tells of TLS.
    pub(super) tls: Tls,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The message was taken.
    Sent,
    /// It waits, or has failed.
    Unsent,
}

/// What a log tells of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// There was none.
    Plaintext,
    /// There was, and the server did not prove who it is, by what that MTA trusts and asked for.
    Unproven,
    /// There was, and it did.
    Proven,
    /// Nothing.
    Untold,
}

/// Whether a host in brackets, such as `[127.0.0.1]`, is this machine: a content filter, not an MX.
pub(super) fn is_loopback(address: &str) -> bool {
    let parsed = address.parse::<std::net::IpAddr>();
    parsed.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The domain of a mail address, and what follows the address.
///
/// `text` begins with the address. A local part in quotes may hold anything, such as a second address.
pub(super) fn domain(text: &str) -> Option<(Destination, &str)> {
    let at = match text.strip_prefix('"') {
        Some(quoted) => 1 + end_of_quotes(quoted)?,
        None => text.find(|c: char| c == '@' || c.is_whitespace() || "<>".contains(c))?,
    };
    let behind = text.get(at..)?.strip_prefix('@')?;
    let end = behind.find(|c: char| c.is_whitespace() || ">,".contains(c));
    let (name, rest) = behind.split_at(end.unwrap_or(behind.len()));
    Some((name.parse().ok()?, rest))
}

/// The offset behind the quote that ends a local part.
fn end_of_quotes(text: &str) -> Option<usize> {
    let mut escaped = false;
    let found = text.char_indices().find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    found.map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_domain_is_kept() {
        let good = |text: &str, want: &str, rest: &str| {
            let (domain, left) = domain(text).unwrap();
            assert_eq!((domain.to_string().as_str(), left), (want, rest), "{text}");
        };
        good("a@B.example>, relay", "b.example", ">, relay");
        good("a@b.example R=x", "b.example", " R=x");
        good("a@[192.0.2.1]>", "[192.0.2.1]", ">");
        good("\"x@y.example> \\\" z\"@b.example>,", "b.example", ">,");
        for bad in [
            "",
            "a",
            "a b@c.example",
            "<>",
            "a@",
            "a@b..example>",
            "a@c@d.example",
            "\"a@b.example",
            "\"a\"b@c.example",
            "\"\\\"@b.example>",
        ] {
            assert_eq!(domain(bad), None, "{bad}");
        }
    }

    #[test]
    fn this_machine_is_no_mx() {
        for own in ["127.0.0.1", "::1", "127.3.4.5", "::ffff:127.0.0.1"] {
            assert!(is_loopback(own), "{own}");
        }
        assert!(!is_loopback("192.0.2.1") && !is_loopback("unix") && !is_loopback(""));
    }
}
