//! Why there was no answer, in words that an administrator can act on.
//!
//! The HTTP library wraps what happened into several errors of its own. What counts is found by its type at
//! the bottom of them, never by its text.

use std::error::Error;
use std::io;
use std::iter;

use rustls::CertificateError as Bad;
use rustls::Error as TlsError;

use crate::mtasts::{FetchError, excerpt};
use crate::time::UnixTime;

/// Names of a certificate that are told; it may have thousands.
const MAX_NAMES: usize = 5;

type Cause<'e> = &'e (dyn Error + 'static);

/// What went wrong, where `trusted` says whose trust anchors count.
pub(super) fn of(error: &reqwest::Error, trusted: &str) -> FetchError {
    let causes: Vec<Cause<'_>> =
        iter::successors(Some(error as Cause<'_>), |e| below(*e)).collect();
    if let Some(told) = find::<FetchError>(&causes) {
        return told.clone();
    }
    if let Some(tls) = find::<TlsError>(&causes) {
        return FetchError::Tls(tls_in_words(tls, trusted));
    }
    if error.is_timeout() {
        return FetchError::TimedOut;
    }
    let bottom = causes.last().map_or_else(String::new, ToString::to_string);
    match causes.iter().rev().find_map(kind) {
        Some(io::ErrorKind::UnexpectedEof) if error.is_connect() => {
            FetchError::Tls("the server closed the connection during the handshake".to_owned())
        }
        Some(io::ErrorKind::UnexpectedEof) => {
            FetchError::Protocol("the server closed the connection too early".to_owned())
        }
        Some(kind) if error.is_connect() || is_loss(kind) => {
            FetchError::Unreachable(kind.to_string())
        }
        _ if error.is_connect() || error.is_builder() => FetchError::Unreachable(bottom),
        _ => FetchError::Protocol(bottom),
    }
}

/// What an error wraps. The `source` of an `io::Error` leaves out the very error that it was made of.
fn below(error: Cause<'_>) -> Option<Cause<'_>> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as Cause<'_>),
        None => error.source(),
    }
}

fn find<'e, E: Error + 'static>(causes: &[Cause<'e>]) -> Option<&'e E> {
    causes.iter().find_map(|cause| cause.downcast_ref())
}

fn kind(cause: &Cause<'_>) -> Option<io::ErrorKind> {
    cause.downcast_ref().map(io::Error::kind)
}

fn is_loss(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe
    )
}

fn tls_in_words(error: &TlsError, trusted: &str) -> String {
    match error {
        TlsError::InvalidCertificate(bad) => certificate_in_words(bad, trusted),
        TlsError::AlertReceived(alert) => format!("the server broke it off: {alert:?}"),
        TlsError::InvalidMessage(_) => "what the server says is not TLS".to_owned(),
        TlsError::PeerIncompatible(why) => {
            format!("the server offers nothing that TLS 1.2 or 1.3 here can use: {why:?}")
        }
        other => other.to_string(),
    }
}

fn certificate_in_words(bad: &Bad, trusted: &str) -> String {
    match bad {
        Bad::ExpiredContext { not_after, .. } => {
            format!(
                "the certificate expired on {}",
                UnixTime(not_after.as_secs())
            )
        }
        Bad::NotValidYetContext { not_before, .. } => {
            let from = UnixTime(not_before.as_secs());
            format!("the certificate is not valid before {from}")
        }
        Bad::NotValidForNameContext {
            expected,
            presented,
        } => {
            let wanted = expected.to_str();
            format!(
                "the certificate is not for {wanted}, but {}",
                names(presented)
            )
        }
        Bad::UnknownIssuer => format!(
            "the issuer of the certificate is not trusted ({trusted}), or the server does not send an intermediate certificate"
        ),
        Bad::BadSignature => "a signature in the certificate chain is wrong".to_owned(),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "the certificate is not meant for servers".to_owned()
        }
        Bad::Other(other) => match other.0.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                "the certificate is that of a CA, or self-signed as one".to_owned()
            }
            _ => format!("the certificate cannot be used: {}", other.0),
        },
        other => format!("the certificate cannot be used: {other}"),
    }
}

/// The names that a certificate has instead of the one that was looked for.
fn names(presented: &[String]) -> String {
    // RFC 8461 §3.3: matching is performed only against the DNS-ID identifiers.
    let names: Vec<&str> = presented.iter().filter_map(|name| dns_id(name)).collect();
    if names.is_empty() {
        return "has no DNS name in subjectAltName (a common name does not count)".to_owned();
    }
    let told: Vec<String> = names.iter().take(MAX_NAMES).map(|n| excerpt(n)).collect();
    let more = match names.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("for {}{more}", told.join(", "))
}

/// The name in what the library calls `DnsName("mx.example")`.
fn dns_id(presented: &str) -> Option<&str> {
    presented.strip_prefix("DnsName(\"")?.strip_suffix("\")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_a_strangers_words() {
        let none = names(&["IpAddress(127.0.0.1)".to_owned()]);
        assert!(none.starts_with("has no DNS name"), "{none}");
        let one = names(&["DnsName(\"\x1b[31m\n.test\")".to_owned()]);
        assert_eq!(one, r#"for "\u{1b}[31m\n.test""#);
        let many: Vec<_> = (0..1000)
            .map(|n| format!("DnsName(\"{n}.test\")"))
            .collect();
        let many = names(&many);
        assert!(many.ends_with(r#""4.test" and 995 more"#), "{many}");
    }
}
