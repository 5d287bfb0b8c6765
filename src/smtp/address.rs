//! Paths: what stands between `<` and `>` in MAIL and RCPT (RFC 5321 §4.1.2).
//!
//! The text is kept as the MTA wrote it, less a source route, because the local part belongs to the
//! destination alone. Only the part behind the last `@` is read, to know where the mail goes. No `Debug`
//! shows a local part.

use std::fmt;

use crate::name::Destination;

/// Octets of a path. RFC 5321 §4.5.3.1.3 asks for 256; internationalized addresses are longer.
const MAX_PATH: usize = 1000;

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not enclosed in `<` and `>`, or a character that no address has.
    #[error("bad address syntax")]
    Syntax,
    /// There is no `@` and a domain behind it.
    #[error("the address has no domain")]
    NoDomain,
    /// What stands behind the `@` is no domain.
    #[error("bad domain in the address")]
    Domain,
    /// Longer than any address.
    #[error("the address is too long")]
    TooLong,
}

/// A mailbox as it was written, and where its mail goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    text: String,
    destination: Destination,
}

impl Mailbox {
    /// `local@domain`, without the angle brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain or literal behind the `@`.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// False when the address needs SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…@{}", self.destination)
    }
}

/// The sender of MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: a bounce (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The sender's domain or literal.
    pub fn domain(&self) -> Option<&Destination> {
        self.mailbox().map(Mailbox::destination)
    }

    /// What stands between the angle brackets.
    pub fn as_str(&self) -> &str {
        self.mailbox().map_or("", Mailbox::as_str)
    }

    /// False when the address needs SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.as_str().is_ascii()
    }

    fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

/// Splits `<path> rest` into a sender and the rest.
pub fn reverse_path(text: &str) -> Result<(ReversePath, &str), PathError> {
    let (inner, rest) = bracketed(text)?;
    if inner.is_empty() {
        return Ok((ReversePath::Null, rest));
    }
    Ok((ReversePath::Mailbox(mailbox(inner)?), rest))
}

/// Splits `<path> rest` into a recipient and the rest. A recipient without a domain (`<postmaster>`) has
/// nowhere to go from here.
pub fn forward_path(text: &str) -> Result<(Mailbox, &str), PathError> {
    let (inner, rest) = bracketed(text)?;
    Ok((mailbox(inner)?, rest))
}

/// Finds the `>` that ends the path: not one inside a quoted string.
fn bracketed(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.strip_prefix('<').ok_or(PathError::Syntax)?;
    let end = outside_quotes(inner)
        .find(|(_, octet)| *octet == b'>')
        .map(|(at, _)| at);
    let end = end.ok_or(PathError::Syntax)?;
    if end > MAX_PATH {
        return Err(PathError::TooLong);
    }
    Ok((&inner[..end], &inner[end + 1..]))
}

fn mailbox(path: &str) -> Result<Mailbox, PathError> {
    let text = without_source_route(path)?;
    let at = outside_quotes(text)
        .filter(|(_, octet)| *octet == b'@')
        .last();
    let (local, domain) = match at {
        Some((at, _)) => (&text[..at], &text[at + 1..]),
        None => return Err(PathError::NoDomain),
    };
    if domain.is_empty() {
        return Err(PathError::NoDomain);
    }
    if local.is_empty() || !is_local_part(local) {
        return Err(PathError::Syntax);
    }
    let destination = domain.parse().map_err(|_| PathError::Domain)?;
    Ok(Mailbox {
        text: text.to_owned(),
        destination,
    })
}

/// RFC 5321 appendix C: a source route is accepted and ignored.
fn without_source_route(path: &str) -> Result<&str, PathError> {
    if !path.starts_with('@') {
        return Ok(path);
    }
    path.split_once(':')
        .map(|(_, mailbox)| mailbox)
        .ok_or(PathError::Syntax)
}

/// A quoted string, or text without blanks, brackets and controls. Looser than RFC 5321's dot-string, as
/// every MTA is: only the destination may judge a local part.
fn is_local_part(local: &str) -> bool {
    if let Some(inner) = local.strip_prefix('"') {
        // The closing quote is there and is the end: outside the quotes nothing else is left.
        return inner.ends_with('"')
            && outside_quotes(local).next().is_none()
            && !local.contains(char::is_control);
    }
    !local.contains(|c: char| matches!(c, ' ' | '<' | '>' | '"' | '\\') || c.is_control())
}

/// The octets outside quoted strings, with their places. The quotes themselves are not among them. What
/// counts here is ASCII, so no octet of another character is taken for it.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut quoted = false;
    let mut escaped = false;
    text.bytes().enumerate().filter(move |(_, octet)| {
        if escaped {
            escaped = false;
            return !quoted;
        }
        match octet {
            b'\\' => escaped = true,
            b'"' => {
                quoted = !quoted;
                return false;
            }
            _ => {}
        }
        !quoted
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What [`outside_quotes`] says, character by character.
    fn characters_outside_quotes(text: &str) -> Vec<(usize, char)> {
        let (mut quoted, mut escaped) = (false, false);
        let mut outside = Vec::new();
        for (at, c) in text.char_indices() {
            let quote = c == '"' && !escaped;
            quoted ^= quote;
            escaped = c == '\\' && !escaped;
            if !quoted && !quote {
                outside.push((at, c));
            }
        }
        outside
    }

    proptest! {
        #[test]
        fn octets_outside_quotes_are_those_of_the_characters(text in "[a@>\"\\\\ü漢]{0,12}") {
            let octets: Vec<_> = outside_quotes(&text).map(|(at, _)| at).collect();
            let want: Vec<_> = characters_outside_quotes(&text)
                .iter()
                .flat_map(|(at, c)| *at..*at + c.len_utf8())
                .collect();
            prop_assert_eq!(octets, want);
        }
    }

    #[test]
    fn recipients_parse() {
        let good = |text: &str, kept: &str, destination: &str| {
            let (mailbox, rest) = forward_path(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(mailbox.as_str(), kept);
            assert_eq!(mailbox.destination().to_string(), destination);
            assert_eq!(rest, "");
        };
        good("<joe@Example.COM>", "joe@Example.COM", "example.com");
        good("<joe@[192.0.2.1]>", "joe@[192.0.2.1]", "[192.0.2.1]");
        good(
            "<\"a b@c>d\\\"\"@example.com>",
            "\"a b@c>d\\\"\"@example.com",
            "example.com",
        );
        good(
            "<@a.example,@b.example:joe@example.com>",
            "joe@example.com",
            "example.com",
        );
        good(
            "<jö@bücher.example>",
            "jö@bücher.example",
            "xn--bcher-kva.example",
        );
        good("<a@b@example.com>", "a@b@example.com", "example.com");
    }

    #[test]
    fn what_is_no_path_says_why() {
        let bad = |text: &str, want| assert_eq!(forward_path(text).unwrap_err(), want, "{text}");
        bad("joe@example.com", PathError::Syntax);
        bad("<joe@example.com", PathError::Syntax);
        bad("<postmaster>", PathError::NoDomain);
        bad("<joe@>", PathError::NoDomain);
        bad("<>", PathError::NoDomain);
        bad("<@example.com>", PathError::Syntax);
        bad("<joe blow@example.com>", PathError::Syntax);
        bad("<\"joe\"x@example.com>", PathError::Syntax);
        bad("<\"joe@example.com>", PathError::Syntax);
        bad("<joe@exa mple.com>", PathError::Domain);
        bad("<joe@192.0.2.1>", PathError::Domain);
        bad("<jo\0e@example.com>", PathError::Syntax);
        bad(
            &format!("<{}@example.com>", "x".repeat(1000)),
            PathError::TooLong,
        );
    }

    #[test]
    fn the_null_sender_has_no_domain() {
        let (path, rest) = reverse_path("<> SIZE=1").unwrap();
        assert_eq!((path.domain(), rest), (None, " SIZE=1"));
    }

    #[test]
    fn debug_hides_the_local_part() {
        let (mailbox, _) = forward_path("<joe@example.com>").unwrap();
        assert_eq!(format!("{mailbox:?}"), "…@example.com");
    }
}
