//! Replies (RFC 5321 §4.2): a code, perhaps an enhanced code (RFC 2034, RFC 3463), one or more lines.
//!
//! What an MX says passes through as it is, whatever language or character set its text has; only
//! control characters are replaced, so that no text can end a line. Texts name mail addresses, so
//! [`Reply::status`] is what may be logged.

use std::fmt;
use std::sync::Arc;

use memchr::memchr;

/// Lines of one reply.
const MAX_LINES: usize = 100;
/// Octets of one reply's texts.
const MAX_OCTETS: usize = 64 * 1024;

/// One reply. Clones share its text.
#[derive(Clone)]
pub struct Reply {
    code: u16,
    text: Text,
}

/// The lines of a reply without code and CRLF, and a line feed between each two.
#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Said(Arc<[u8]>),
}

impl Reply {
    /// One line of waxseal's own; an empty `enhanced` is left out.
    pub fn new(code: u16, enhanced: &str, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        if enhanced.is_empty() {
            Self::multiline(code, &[text])
        } else {
            Self::multiline(code, &[format!("{enhanced} {text}")])
        }
    }

    /// One line that is always the same, its enhanced code included.
    pub fn fixed(code: u16, text: &'static str) -> Self {
        debug_assert!(harmless(text.as_bytes()).eq(text.bytes()));
        Self {
            code,
            text: Text::Fixed(text),
        }
    }

    /// Several lines of waxseal's own.
    pub fn multiline(code: u16, lines: &[impl AsRef<str>]) -> Self {
        let lines: Vec<Vec<u8>> = lines
            .iter()
            .map(|line| harmless(line.as_ref().as_bytes()).collect())
            .collect();
        Self::said(code, lines.join(&b'\n'))
    }

    fn said(code: u16, text: impl Into<Arc<[u8]>>) -> Self {
        Self {
            code,
            text: Text::Said(text.into()),
        }
    }

    /// The code, 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The texts, without code and CRLF; one at least.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text().split(|octet| *octet == b'\n')
    }

    fn text(&self) -> &[u8] {
        match &self.text {
            Text::Fixed(text) => text.as_bytes(),
            Text::Said(text) => text,
        }
    }

    /// 2xx: done.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx: go on.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx: later.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: never.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced code of the first line; none where its class is not the code's (RFC 2034 §4).
    pub fn enhanced(&self) -> Option<(u16, u16, u16)> {
        let word = self.lines().next()?.split(|octet| *octet == b' ').next()?;
        let mut parts = std::str::from_utf8(word).ok()?.split('.').map(digits);
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        (parts.next().is_none() && class == self.code / 100).then_some((class, subject, detail))
    }

    /// The reply with ` suffix` behind its last line.
    #[must_use]
    pub fn with_suffix(self, suffix: &str) -> Self {
        let mut text = Vec::with_capacity(self.text().len() + 1 + suffix.len());
        text.extend_from_slice(self.text());
        text.push(b' ');
        text.extend(harmless(suffix.as_bytes()));
        Self::said(self.code, text)
    }

    /// The reply with 451 in the place of 421, which would say that waxseal closes the session with the MTA
    /// (RFC 5321 §3.8), while it is the MX that closes its own.
    #[must_use]
    pub fn relayed(mut self) -> Self {
        if self.code == 421 {
            self.code = 451;
        }
        self
    }

    /// Writes the reply as it goes over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let code = digits_of(self.code);
        let mut write = |behind: u8, line: &[u8]| {
            out.extend_from_slice(&code);
            out.push(behind);
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        };
        let mut rest = self.text();
        while let Some(at) = memchr(b'\n', rest) {
            write(b'-', &rest[..at]);
            rest = &rest[at + 1..];
        }
        write(b' ', rest);
    }

    /// Code and enhanced code, such as `550 5.1.1`: what may be logged.
    pub fn status(&self) -> String {
        match self.enhanced() {
            Some((class, subject, detail)) => format!("{} {class}.{subject}.{detail}", self.code),
            None => self.code.to_string(),
        }
    }
}

impl PartialEq for Reply {
    fn eq(&self, other: &Self) -> bool {
        (self.code, self.text()) == (other.code, other.text())
    }
}

impl Eq for Reply {}

impl fmt::Debug for Reply {
    /// Without the texts, which may name mail addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reply({}, {} lines)",
            self.status(),
            self.lines().count()
        )
    }
}

/// One to three digits.
fn digits(text: &str) -> Option<u16> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// The digits of a code.
fn digits_of(code: u16) -> [u8; 3] {
    [code / 100, code / 10 % 10, code % 10].map(|digit| b'0' + (digit % 10) as u8)
}

/// The text without control characters, TAB excepted.
fn harmless(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().map(|octet| match octet {
        b'\t' => b'\t',
        octet if octet.is_ascii_control() => b'?',
        octet => *octet,
    })
}

/// Why a line is no part of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The line does not begin with a code from 200 to 599 and a blank, a hyphen or nothing.
    #[error("a line that is no reply")]
    Syntax,
    /// The lines of one reply have different codes.
    #[error("a reply with two codes")]
    Codes,
    /// More lines or octets than any sane reply has.
    #[error("an endless reply")]
    TooLong,
}

/// Puts the lines of one reply together.
#[derive(Debug, Default)]
pub struct ReplyParser {
    code: Option<u16>,
    lines: usize,
    text: Vec<u8>,
}

impl ReplyParser {
    /// Takes one line without its CRLF; gives the reply when the line was its last.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::Syntax)?;
        let code = std::str::from_utf8(code)
            .ok()
            .and_then(digits)
            .ok_or(ReplyError::Syntax)?;
        if !(200..600).contains(&code) {
            return Err(ReplyError::Syntax);
        }
        if *self.code.get_or_insert(code) != code {
            return Err(ReplyError::Codes);
        }
        // RFC 5321 §4.2: a code alone, without a blank, is to be accepted.
        let (more, text) = match rest.split_first() {
            None => (false, rest),
            Some((b' ', text)) => (false, text),
            Some((b'-', text)) => (true, text),
            Some(_) => return Err(ReplyError::Syntax),
        };
        if self.lines == MAX_LINES || self.text.len() + text.len() > MAX_OCTETS {
            return Err(ReplyError::TooLong);
        }
        self.lines += 1;
        if self.lines == 1 && !more {
            let text: Arc<[u8]> = harmless(text).collect();
            return Ok(Some(Reply::said(code, text)));
        }
        self.text.extend(harmless(text));
        if more {
            self.text.push(b'\n');
            return Ok(None);
        }
        Ok(Some(Reply::said(code, std::mem::take(&mut self.text))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Option<Reply>, ReplyError> {
        let mut parser = ReplyParser::default();
        let mut result = Ok(None);
        for line in text.split("\r\n") {
            result = parser.line(line.as_bytes());
            if result.is_err() {
                break;
            }
        }
        result
    }

    #[test]
    fn replies_parse() {
        let good = |text: &str, status: &str, lines: usize| {
            let reply = parse(text).unwrap().unwrap();
            assert_eq!(
                (reply.status().as_str(), reply.lines().count()),
                (status, lines),
                "{text}"
            );
        };
        good("250 2.1.0 Ok", "250 2.1.0", 1);
        good("250", "250", 1);
        good("250-a\r\n250-b\r\n250 c", "250", 3);
        good("550-5.1.1 no\r\n550 5.1.1 such user", "550 5.1.1", 2);
        good("450 5.1.1 the classes differ", "450", 1);
        good("250 2.0.0", "250 2.0.0", 1);
    }

    #[test]
    fn what_is_no_reply_says_why() {
        let bad = |text: &str, error| assert_eq!(parse(text), Err(error), "{text}");
        for text in [
            "",
            "25",
            "abc ok",
            "250x",
            "199 low",
            "600 high",
            "+25 x",
            "HTTP/1.1 200 OK",
        ] {
            bad(text, ReplyError::Syntax);
        }
        bad("250-a\r\n251 b", ReplyError::Codes);
        bad(
            &format!("{}250 x", "250-x\r\n".repeat(100)),
            ReplyError::TooLong,
        );
        bad(
            &format!("250-{0}\r\n250 {0}", "x".repeat(40_000)),
            ReplyError::TooLong,
        );
    }

    #[test]
    fn no_text_can_end_a_line() {
        let reply = Reply::new(451, "4.4.1", "a\r\n250 b\0").with_suffix("[x\r\ny]");
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        assert_eq!(wire, b"451 4.4.1 a??250 b? [x??y]\r\n");
    }

    #[test]
    fn a_421_from_elsewhere_does_not_end_this_session() {
        let reply = |code| Reply::new(code, "4.3.2", "busy");
        assert_eq!(reply(421).relayed(), reply(451));
        assert_eq!(reply(450).relayed(), reply(450));
    }

    #[test]
    fn debug_has_no_text() {
        let reply = Reply::new(550, "5.1.1", "<joe@example.com> unknown");
        assert_eq!(format!("{reply:?}"), "Reply(550 5.1.1, 1 lines)");
    }

    proptest! {
        #[test]
        fn a_reply_reads_what_it_writes(code in 200_u16..600, lines in prop::collection::vec("[ -~]{0,60}", 1..5)) {
            let reply = Reply::multiline(code, &lines);
            let mut wire = Vec::new();
            reply.write_to(&mut wire);
            let text = String::from_utf8(wire).unwrap();
            prop_assert_eq!(parse(text.trim_end_matches("\r\n")), Ok(Some(reply)));
        }
    }
}
