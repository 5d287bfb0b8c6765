//! What an MX offers in its reply to EHLO (RFC 5321 §4.1.1.1).

use std::fmt;

use crate::smtp::reply::Reply;

/// An extension that waxseal knows what to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extension {
    /// RFC 2920.
    Pipelining,
    /// RFC 1870.
    Size,
    /// RFC 6152.
    EightBitMime,
    /// RFC 2034.
    EnhancedStatusCodes,
    /// RFC 3461.
    Dsn,
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 3030.
    Chunking,
    /// RFC 3207.
    StartTls,
    /// RFC 8689.
    RequireTls,
}

impl Extension {
    const ALL: [Self; 9] = [
        Self::Pipelining,
        Self::Size,
        Self::EightBitMime,
        Self::EnhancedStatusCodes,
        Self::Dsn,
        Self::SmtpUtf8,
        Self::Chunking,
        Self::StartTls,
        Self::RequireTls,
    ];

    /// Those that an MTA gets to see of an MX that it chose itself: what waxseal can carry, and nothing that
    /// is between waxseal and the MX (STARTTLS) or that the MX offers only under TLS.
    const PASSED_ON: [Self; 7] = [
        Self::Pipelining,
        Self::Size,
        Self::EightBitMime,
        Self::EnhancedStatusCodes,
        Self::Dsn,
        Self::SmtpUtf8,
        Self::Chunking,
    ];

    fn keyword(self) -> &'static str {
        match self {
            Self::Pipelining => "PIPELINING",
            Self::Size => "SIZE",
            Self::EightBitMime => "8BITMIME",
            Self::EnhancedStatusCodes => "ENHANCEDSTATUSCODES",
            Self::Dsn => "DSN",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Chunking => "CHUNKING",
            Self::StartTls => "STARTTLS",
            Self::RequireTls => "REQUIRETLS",
        }
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// The extensions that a server offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    offered: u16,
    size: Option<u64>,
}

impl Capabilities {
    /// Those of a server that knows only HELO.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a positive reply to EHLO. The first line is the server's greeting; keywords that waxseal
    /// does not know are passed over.
    pub fn parse(reply: &Reply) -> Self {
        let mut capabilities = Self::none();
        for line in reply.lines().skip(1) {
            let line = String::from_utf8_lossy(line);
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else {
                continue;
            };
            let known = Extension::ALL
                .into_iter()
                .find(|e| e.keyword().eq_ignore_ascii_case(keyword));
            let Some(extension) = known else { continue };
            capabilities.offered |= extension.bit();
            if extension == Extension::Size {
                // RFC 1870 §4: no number or zero means no fixed limit.
                capabilities.size = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            }
        }
        capabilities
    }

    /// True when the server offers `extension`.
    pub fn has(&self, extension: Extension) -> bool {
        self.offered & extension.bit() != 0
    }

    /// The largest message in octets that the server takes, if it says so.
    pub fn max_size(&self) -> Option<u64> {
        self.size
    }

    /// The lines of EHLO that an MTA gets to see of an MX that it chose itself, where waxseal takes messages up
    /// to `max_size`.
    pub fn passed_on(&self, max_size: Option<u64>) -> Vec<String> {
        let line = |extension: Extension| match extension {
            // RFC 1870 §4: zero means no fixed limit.
            Extension::Size => {
                let most = self.size.into_iter().chain(max_size).min();
                format!("SIZE {}", most.unwrap_or(0))
            }
            other => other.to_string(),
        };
        Extension::PASSED_ON
            .into_iter()
            .filter(|extension| self.has(*extension))
            .map(line)
            .collect()
    }

    /// The keywords of what is offered, in a fixed order.
    pub fn names(&self) -> Vec<&'static str> {
        Extension::ALL
            .into_iter()
            .filter(|e| self.has(*e))
            .map(Extension::keyword)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Capabilities {
        Capabilities::parse(&Reply::multiline(250, lines))
    }

    #[test]
    fn keywords_are_read_in_any_case_and_place() {
        let offers = parse(&[
            "mx.example PIPELINING",
            "starttls",
            "Size 1000",
            "XFOO bar",
            "",
            "8BITMIME",
        ]);
        assert_eq!(offers.names(), ["SIZE", "8BITMIME", "STARTTLS"]);
        assert_eq!(offers.max_size(), Some(1000));
    }

    #[test]
    fn size_without_a_number_has_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE x", "SIZE -1"] {
            let offers = parse(&["mx", line]);
            assert!(offers.has(Extension::Size), "{line}");
            assert_eq!(offers.max_size(), None, "{line}");
        }
    }

    #[test]
    fn an_mta_sees_what_waxseal_can_carry_and_the_lesser_size() {
        let offers = parse(&[
            "mx",
            "SIZE 1000",
            "STARTTLS",
            "REQUIRETLS",
            "AUTH PLAIN",
            "XCLIENT NAME",
            "dsn",
        ]);
        assert_eq!(offers.passed_on(None), ["SIZE 1000", "DSN"]);
        assert_eq!(offers.passed_on(Some(10)), ["SIZE 10", "DSN"]);
        assert_eq!(parse(&["mx", "SIZE"]).passed_on(None), ["SIZE 0"]);
        assert_eq!(parse(&["mx"]).passed_on(Some(10)), [""; 0]);
    }

    #[test]
    fn every_extension_has_a_bit_of_its_own() {
        for extension in Extension::ALL {
            let offers = parse(&["mx", extension.keyword()]);
            assert_eq!(offers.names(), [extension.keyword()]);
        }
    }
}
