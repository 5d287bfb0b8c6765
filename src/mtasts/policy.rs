//! The text of a policy (RFC 8461 §3.2).
//!
//! Lines of `key: value`, in any order, ended by CRLF or LF. `version`, `mode` and `max_age` are
//! required, and at least one `mx` unless the mode is `none`. Unknown keys are for later versions and are
//! ignored. Nothing is guessed: a line that is not well-formed makes the whole text invalid, and the reason
//! names the line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::pattern::PatternError;
use super::{MAX_MAX_AGE, Mode, MxPattern, Policy, excerpt, record};

/// The most `mx` lines that a policy may have. More are refused rather than dropped, because a host
/// whose line was dropped would get no mail.
pub const MAX_MX: usize = 1000;

/// Why a text is not a policy (RFC 8461 §3.2). Lines count from one; what is quoted is cut and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// U+FEFF in front.
    #[error("it begins with a byte order mark; it must be saved as UTF-8 without one")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// The line of the first wrong octet.
        line: usize,
    },
    /// A line that is not `key: value`.
    #[error("line {line} is not \"key: value\": {text}")]
    NotAField {
        /// The line.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A key without a value.
    #[error("line {line} has no value after {key}")]
    NoValue {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// A control character.
    #[error("line {line} has a control character: {text}")]
    Control {
        /// The line.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// Another version.
    #[error("line {line}: the version is {value} instead of STSv1")]
    Version {
        /// The line.
        line: usize,
        /// What stands there.
        value: String,
    },
    /// An unknown mode.
    #[error("line {line}: the mode is {value} instead of enforce, testing or none")]
    Mode {
        /// The line.
        line: usize,
        /// What stands there.
        value: String,
    },
    /// Not a number of seconds.
    #[error("line {line}: max_age is {value} instead of a number of 1 to 10 digits")]
    MaxAge {
        /// The line.
        line: usize,
        /// What stands there.
        value: String,
    },
    /// Not a pattern.
    #[error("line {line}: mx is {value}: {why}")]
    Mx {
        /// The line.
        line: usize,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        why: PatternError,
    },
    /// More than [`MAX_MX`] lines of `mx`.
    #[error("line {line} is one `mx` more than the 1000 that are read")]
    TooManyMx {
        /// The line.
        line: usize,
    },
    /// A required key that is not there.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// Every `mx` is an address.
    #[error("every `mx` is an address, which no host matches")]
    OnlyAddresses,
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        parse(text.as_bytes())
    }
}

impl fmt::Display for Policy {
    /// The policy as a text that parses to it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version: STSv1")?;
        writeln!(f, "mode: {}", self.mode.word())?;
        for pattern in &self.mx {
            writeln!(f, "mx: {pattern}")?;
        }
        writeln!(f, "max_age: {}", self.max_age.as_secs())
    }
}

/// Reads the text of a policy.
///
/// # Errors
/// Where it is none, for the first reason that there is.
pub fn parse(text: &[u8]) -> Result<Policy, PolicyError> {
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(PolicyError::ByteOrderMark);
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let good = text.iter().take(error.valid_up_to());
        let line = 1 + good.filter(|octet| **octet == b'\n').count();
        PolicyError::NotUtf8 { line }
    })?;
    let mut read = Read::default();
    for (at, text) in text.split('\n').enumerate() {
        let line = Line::new(at + 1, text);
        // Deviates from RFC 8461 §3.2: lines without any text are passed over, because editors leave
        // them and they say nothing.
        if !line.text.is_empty() {
            read.field(&line)?;
        }
    }
    read.finish()
}

/// One line.
struct Line<'t> {
    number: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    fn new(number: usize, text: &'t str) -> Self {
        let text = text.strip_suffix('\r').unwrap_or(text);
        // RFC 8461 §3.2: `sts-policy-field *WSP`.
        let text = text.trim_end_matches([' ', '\t']);
        Self { number, text }
    }

    /// Key and value: `sts-policy-ext-name ":" *WSP sts-policy-ext-value`, which the known fields are too.
    fn split(&self) -> Result<(&'t str, &'t str), PolicyError> {
        let line = self.number;
        let parts = self.text.split_once(':');
        let (key, value) = parts
            .filter(|(key, _)| record::is_name(key))
            .ok_or_else(|| PolicyError::NotAField {
                line,
                text: excerpt(self.text),
            })?;
        let value = value.trim_start_matches([' ', '\t']);
        if value.is_empty() {
            return Err(PolicyError::NoValue {
                line,
                key: excerpt(key),
            });
        }
        if value.bytes().any(|octet| octet.is_ascii_control()) {
            return Err(PolicyError::Control {
                line,
                text: excerpt(self.text),
            });
        }
        Ok((key, value))
    }
}

/// What has been read so far.
#[derive(Default)]
struct Read {
    version: Option<()>,
    mode: Option<Mode>,
    max_age: Option<Duration>,
    mx_lines: usize,
    mx: Vec<MxPattern>,
}

impl Read {
    /// Takes one line.
    ///
    /// RFC 8461 §3.2: keys are compared to the letter; of a repeated one the first line counts, except
    /// for `mx`; unknown ones are ignored.
    fn field(&mut self, line: &Line<'_>) -> Result<(), PolicyError> {
        let (key, value) = line.split()?;
        match key {
            "version" if self.version.is_none() => self.version = Some(version(line, value)?),
            "mode" if self.mode.is_none() => self.mode = Some(mode(line, value)?),
            "max_age" if self.max_age.is_none() => self.max_age = Some(max_age(line, value)?),
            "mx" => self.mx(line, value)?,
            _ => {}
        }
        Ok(())
    }

    fn mx(&mut self, line: &Line<'_>, value: &str) -> Result<(), PolicyError> {
        let line = line.number;
        self.mx_lines += 1;
        if self.mx_lines > MAX_MX {
            return Err(PolicyError::TooManyMx { line });
        }
        match value.parse() {
            Ok(pattern) => self.mx.push(pattern),
            // `Domain` of RFC 5321 §4.1.2 has room for an IPv4 address, so this is no fault of syntax.
            Err(PatternError::Address) => {}
            Err(why) => {
                let value = excerpt(value);
                return Err(PolicyError::Mx { line, value, why });
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Policy, PolicyError> {
        // RFC 8461 §3.2: a policy that lacks a field is invalid.
        self.version.ok_or(PolicyError::Missing("version"))?;
        let mode = self.mode.ok_or(PolicyError::Missing("mode"))?;
        let max_age = self.max_age.ok_or(PolicyError::Missing("max_age"))?;
        // RFC 8461 §3.2: `mx` may be left out where the mode is `none`.
        if self.mx.is_empty() && mode != Mode::None {
            return Err(match self.mx_lines {
                0 => PolicyError::Missing("mx"),
                _ => PolicyError::OnlyAddresses,
            });
        }
        Ok(Policy {
            mode,
            max_age,
            mx: self.mx,
        })
    }
}

fn version(line: &Line<'_>, value: &str) -> Result<(), PolicyError> {
    if value == "STSv1" {
        return Ok(());
    }
    Err(PolicyError::Version {
        line: line.number,
        value: excerpt(value),
    })
}

fn mode(line: &Line<'_>, value: &str) -> Result<Mode, PolicyError> {
    let known = Mode::ALL.into_iter().find(|mode| mode.word() == value);
    known.ok_or_else(|| PolicyError::Mode {
        line: line.number,
        value: excerpt(value),
    })
}

fn max_age(line: &Line<'_>, value: &str) -> Result<Duration, PolicyError> {
    // RFC 8461 §3.2: 1*10(DIGIT), where `parse` alone would take a sign.
    let digits = value.len() <= 10 && value.bytes().all(|octet| octet.is_ascii_digit());
    let seconds = value.parse::<u64>().ok().filter(|_| digits);
    let age = seconds.ok_or_else(|| PolicyError::MaxAge {
        line: line.number,
        value: excerpt(value),
    })?;
    Ok(Duration::from_secs(age).min(MAX_MAX_AGE))
}

#[cfg(test)]
mod tests;
