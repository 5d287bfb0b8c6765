//! The commands of an MTA (RFC 5321 §4.1.1, RFC 2033, and the extensions that waxseal offers).
//!
//! Liberal where Postfix is: verbs in any case, a blank behind the colon, blanks at the end. Strict where
//! it matters: an address stands in angle brackets, a parameter that was not offered is refused
//! (RFC 5321 §4.1.1.11), and no control character can get into a line for an MX.

use crate::smtp::address::{Mailbox, PathError, ReversePath, forward_path, reverse_path};
use crate::smtp::reply::Reply;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO with the client's name.
    Ehlo(String),
    /// HELO with the client's name.
    Helo(String),
    /// LHLO with the client's name (RFC 2033 §4.1).
    Lhlo(String),
    /// MAIL FROM.
    Mail(Mail),
    /// RCPT TO.
    Rcpt(Recipient),
    /// DATA.
    Data,
    /// BDAT (RFC 3030 §2).
    Bdat(Chunk),
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY.
    Vrfy,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// A known command that waxseal does not offer.
    NotImplemented,
}

/// MAIL FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub path: ReversePath,
    /// SIZE in octets (RFC 1870 §5).
    pub size: Option<u64>,
    /// BODY (RFC 6152 §3).
    pub body: Option<Body>,
    /// Whether SMTPUTF8 was given (RFC 6531 §3.4).
    pub charset: Charset,
    /// RET (RFC 3461 §4.3), `FULL` or `HDRS`.
    pub ret: Option<String>,
    /// ENVID (RFC 3461 §4.4), xtext.
    pub envid: Option<String>,
}

/// The BODY of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// ASCII.
    SevenBit,
    /// Octets above 127.
    EightBitMime,
}

impl Body {
    /// The value of the parameter.
    pub fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
        }
    }
}

/// The character set of addresses and header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// ASCII.
    Ascii,
    /// UTF-8, announced with SMTPUTF8.
    Utf8,
}

/// RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The recipient.
    pub path: Mailbox,
    /// NOTIFY (RFC 3461 §4.1).
    pub notify: Option<String>,
    /// ORCPT (RFC 3461 §4.2).
    pub orcpt: Option<Orcpt>,
}

/// The text of ORCPT, which is an address: no `Debug` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Orcpt(pub String);

impl std::fmt::Debug for Orcpt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// The head of a BDAT chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Octets that follow.
    pub size: u64,
    /// Whether the message ends with them.
    pub last: Last,
}

/// Whether a chunk is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// LAST was given.
    Yes,
    /// More chunks follow.
    No,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Not a verb.
    #[error("command not recognized")]
    Unknown,
    /// The line is not UTF-8, or has control characters.
    #[error("bad characters in the command")]
    Characters,
    /// What follows the verb is wrong.
    #[error("syntax error, expected: {0}")]
    Arguments(&'static str),
    /// The sender's address is wrong.
    #[error("{0}")]
    Sender(PathError),
    /// The recipient's address is wrong.
    #[error("{0}")]
    Recipient(PathError),
    /// BDAT without a readable size: nobody knows how many octets of content follow, and they must not be
    /// read as commands. The session has to be closed.
    #[error("syntax error, expected: BDAT size [LAST]")]
    Chunk,
    /// A parameter that waxseal did not offer.
    #[error("parameter not recognized or not offered")]
    Parameter,
    /// A parameter that was offered, with a wrong value or given twice.
    #[error("bad value of a parameter")]
    Value,
    /// BODY=BINARYMIME, which is not offered (RFC 3030 §3).
    #[error("BINARYMIME is not offered")]
    BinaryMime,
}

impl SyntaxError {
    /// The reply to the MTA.
    pub fn reply(self) -> Reply {
        let (code, enhanced) = match self {
            Self::Unknown | Self::Characters => (500, "5.5.2"),
            Self::Arguments(_) | Self::Value => (501, "5.5.4"),
            Self::Sender(_) => (501, "5.1.7"),
            Self::Recipient(_) => (501, "5.1.3"),
            Self::Chunk => (521, "5.5.4"),
            Self::Parameter => (555, "5.5.4"),
            Self::BinaryMime => (501, "5.6.1"),
        };
        Reply::new(code, enhanced, self.to_string())
    }
}

/// Reads one line without its CRLF.
pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    let line = std::str::from_utf8(line).map_err(|_| SyntaxError::Characters)?;
    if has_control(line) {
        return Err(SyntaxError::Characters);
    }
    let line = line.trim_ascii_end();
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = rest.trim_ascii_start();
    let alone = |command| {
        if rest.is_empty() {
            Ok(command)
        } else {
            Err(SyntaxError::Arguments("no argument"))
        }
    };
    let named = |command: fn(String) -> Command| {
        if rest.is_empty() {
            Err(SyntaxError::Arguments("a host name"))
        } else {
            Ok(command(rest.to_owned()))
        }
    };
    match Upper::of(verb).as_str() {
        "EHLO" => named(Command::Ehlo),
        "HELO" => named(Command::Helo),
        "LHLO" => named(Command::Lhlo),
        "MAIL" => mail(rest).map(Command::Mail),
        "RCPT" => rcpt(rest).map(Command::Rcpt),
        "DATA" => alone(Command::Data),
        "BDAT" => bdat(rest).map(Command::Bdat),
        "RSET" => alone(Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Vrfy),
        "HELP" => Ok(Command::Help),
        "QUIT" => alone(Command::Quit),
        "STARTTLS" => alone(Command::StartTls),
        "EXPN" | "TURN" | "ETRN" | "AUTH" | "SEND" | "SOML" | "SAML" => Ok(Command::NotImplemented),
        _ => Err(SyntaxError::Unknown),
    }
}

/// A control character other than TAB, be it one of ASCII or one of U+0080 to U+009F.
fn has_control(line: &str) -> bool {
    if line.is_ascii() {
        line.bytes().any(|b| b.is_ascii_control() && b != b'\t')
    } else {
        line.chars().any(|c| c.is_control() && c != '\t')
    }
}

/// A word in upper case, to be looked up in a table. A word longer than any in a table is empty.
struct Upper {
    letters: [u8; Self::LONGEST],
    length: usize,
}

impl Upper {
    /// `BINARYMIME`.
    const LONGEST: usize = 10;

    fn of(word: &str) -> Self {
        let mut letters = [0; Self::LONGEST];
        let room = letters.get_mut(..word.len()).unwrap_or_default();
        room.copy_from_slice(&word.as_bytes()[..room.len()]);
        room.make_ascii_uppercase();
        let length = room.len();
        Self { letters, length }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.letters[..self.length]).unwrap_or_default()
    }
}

/// What follows `keyword:`.
fn after_keyword<'t>(text: &'t str, keyword: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    let rest = rest.strip_prefix(':')?;
    head.eq_ignore_ascii_case(keyword)
        .then(|| rest.trim_ascii_start())
}

fn mail(text: &str) -> Result<Mail, SyntaxError> {
    let text = after_keyword(text, "FROM").ok_or(SyntaxError::Arguments("MAIL FROM:<address>"))?;
    let (path, rest) = reverse_path(text).map_err(SyntaxError::Sender)?;
    let mut mail = Mail {
        path,
        size: None,
        body: None,
        charset: Charset::Ascii,
        ret: None,
        envid: None,
    };
    for (keyword, value) in parameters(rest)? {
        match (Upper::of(keyword).as_str(), value) {
            ("SIZE", Some(value)) => once(&mut mail.size, size(value)?)?,
            ("BODY", Some(value)) => once(&mut mail.body, body(value)?)?,
            ("SMTPUTF8", None) if mail.charset == Charset::Ascii => mail.charset = Charset::Utf8,
            ("RET", Some(value)) => once(&mut mail.ret, one_of(value, &["FULL", "HDRS"])?)?,
            ("ENVID", Some(value)) => once(&mut mail.envid, xtext(value, 100)?.to_owned())?,
            ("SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID", _) => return Err(SyntaxError::Value),
            _ => return Err(SyntaxError::Parameter),
        }
    }
    Ok(mail)
}

fn rcpt(text: &str) -> Result<Recipient, SyntaxError> {
    let text = after_keyword(text, "TO").ok_or(SyntaxError::Arguments("RCPT TO:<address>"))?;
    let (path, rest) = forward_path(text).map_err(SyntaxError::Recipient)?;
    let mut recipient = Recipient {
        path,
        notify: None,
        orcpt: None,
    };
    for (keyword, value) in parameters(rest)? {
        match (Upper::of(keyword).as_str(), value) {
            ("NOTIFY", Some(value)) => once(&mut recipient.notify, notify(value)?)?,
            ("ORCPT", Some(value)) => once(&mut recipient.orcpt, orcpt(value)?)?,
            ("NOTIFY" | "ORCPT", None) => return Err(SyntaxError::Value),
            _ => return Err(SyntaxError::Parameter),
        }
    }
    Ok(recipient)
}

/// RFC 3030 §2: `BDAT size [LAST]`.
fn bdat(text: &str) -> Result<Chunk, SyntaxError> {
    let mut words = text.split_ascii_whitespace();
    let size = words.next().and_then(number).ok_or(SyntaxError::Chunk)?;
    let last = match words.next() {
        None => Last::No,
        Some(word) if word.eq_ignore_ascii_case("LAST") => Last::Yes,
        Some(_) => return Err(SyntaxError::Chunk),
    };
    if words.next().is_some() {
        Err(SyntaxError::Chunk)
    } else {
        Ok(Chunk { size, last })
    }
}

/// The `KEYWORD[=value]` words behind a path; a blank must stand before the first.
fn parameters(rest: &str) -> Result<impl Iterator<Item = (&str, Option<&str>)>, SyntaxError> {
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return Err(SyntaxError::Arguments("a blank behind the address"));
    }
    let words = rest.split_ascii_whitespace();
    Ok(words.map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    }))
}

/// RFC 5321 §4.1.1.11: a parameter stands once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), SyntaxError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(SyntaxError::Value),
    }
}

/// 1 to 20 digits.
fn number(text: &str) -> Option<u64> {
    let digits = text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn size(value: &str) -> Result<u64, SyntaxError> {
    number(value).ok_or(SyntaxError::Value)
}

fn body(value: &str) -> Result<Body, SyntaxError> {
    match Upper::of(value).as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        "BINARYMIME" => Err(SyntaxError::BinaryMime),
        _ => Err(SyntaxError::Value),
    }
}

fn one_of(value: &str, words: &[&str]) -> Result<String, SyntaxError> {
    let upper = value.to_ascii_uppercase();
    if words.contains(&upper.as_str()) {
        Ok(upper)
    } else {
        Err(SyntaxError::Value)
    }
}

/// RFC 3461 §4.1: `NEVER`, or a list of the others.
fn notify(value: &str) -> Result<String, SyntaxError> {
    let upper = value.to_ascii_uppercase();
    let listed = upper
        .split(',')
        .all(|word| matches!(word, "SUCCESS" | "FAILURE" | "DELAY"));
    if upper.len() <= 28 && (listed || upper == "NEVER") {
        Ok(upper)
    } else {
        Err(SyntaxError::Value)
    }
}

/// RFC 3461 §4.2: an address type and an address, in xtext or (RFC 6533 §3) UTF-8.
fn orcpt(value: &str) -> Result<Orcpt, SyntaxError> {
    let (kind, address) = value.split_once(';').ok_or(SyntaxError::Value)?;
    let known = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let utf8 = kind.eq_ignore_ascii_case("utf-8");
    if !known || value.len() > 500 || !(utf8 || xtext(address, 500).is_ok()) {
        return Err(SyntaxError::Value);
    }
    Ok(Orcpt(value.to_owned()))
}

/// RFC 3461 §4: printable ASCII; `+` begins two upper-case hexadecimal digits, `=` does not occur. What
/// the digits stand for is printable too: an encoded CRLF would end up in somebody's header. It may be
/// UTF-8, as Postfix writes the ORCPT of an international address.
fn xtext(value: &str, most: usize) -> Result<&str, SyntaxError> {
    let mut octets = value.bytes();
    let mut good = value.len() <= most;
    while let Some(octet) = octets.next() {
        good &= match octet {
            b'+' => match (
                octets.next().and_then(hex_digit),
                octets.next().and_then(hex_digit),
            ) {
                (Some(high), Some(low)) => matches!(high * 16 + low, b' '..=b'~' | 0x80..),
                _ => false,
            },
            b'=' => false,
            _ => octet.is_ascii_graphic(),
        };
    }
    if good {
        Ok(value)
    } else {
        Err(SyntaxError::Value)
    }
}

fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
