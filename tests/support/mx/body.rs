//! The end of the data: found strictly, or as leniently as the victims of SMTP smuggling do.

use aws_lc_rs::digest;

use super::script::{EndOfData, Keep};
use crate::support::hex;

/// A line without an end is passed on in pieces of about this size.
const LONG_LINE: usize = 64 * 1024;

/// What became of some octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// All of them belong to the body.
    All,
    /// The body ended after this many of them.
    EndAfter(usize),
}

/// A body on its way in.
pub(super) struct Body {
    ends: EndOfData,
    keep: Keep,
    line: Vec<u8>,
    /// The line's beginning was already passed on: its dot, if any, is no end.
    mid_line: bool,
    /// Octets that came, of which not all need to be in `data` yet.
    pub(super) received: u64,
    pub(super) data: Vec<u8>,
    pub(super) raw_data: Vec<u8>,
    pub(super) length: u64,
    digest: digest::Context,
}

impl Body {
    pub(super) fn new(ends: EndOfData, keep: Keep) -> Self {
        Self {
            ends,
            keep,
            line: Vec::new(),
            mid_line: false,
            received: 0,
            data: Vec::new(),
            raw_data: Vec::new(),
            length: 0,
            digest: digest::Context::new(&digest::SHA256),
        }
    }

    pub(super) fn sha256(&self) -> String {
        hex(self.digest.clone().finish().as_ref())
    }

    /// Octets of a BDAT chunk.
    pub(super) fn take(&mut self, octets: &[u8]) {
        self.received += octets.len() as u64;
        self.pass_on(octets, octets);
    }

    /// Octets that follow DATA.
    pub(super) fn feed(&mut self, octets: &[u8]) -> Fed {
        let mut used = 0;
        while used < octets.len() {
            let rest = &octets[used..];
            let (taken, line) = match self.ends {
                EndOfData::Strict => self.take_strict(rest),
                EndOfData::Lenient => self.take_lenient(rest),
            };
            used += taken;
            self.received += taken as u64;
            match line {
                Line::Open => {}
                Line::Complete if self.is_the_end() => return Fed::EndAfter(used),
                Line::Complete => self.pass_line_on(),
            }
        }
        Fed::All
    }

    /// What came of a body that will not end.
    pub(super) fn cut(&mut self) {
        self.pass_line_on();
    }

    /// A line ends with CRLF; CR or LF alone are octets like others.
    fn take_strict(&mut self, rest: &[u8]) -> (usize, Line) {
        let taken = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        self.line.extend_from_slice(&rest[..taken]);
        if self.line.ends_with(b"\r\n") {
            return (taken, Line::Complete);
        }
        if self.line.len() > LONG_LINE {
            self.pass_beginning_on();
        }
        (taken, Line::Open)
    }

    /// A line ends with CRLF, LF or CR. Whether a CR stands alone shows with the next octet.
    fn take_lenient(&mut self, rest: &[u8]) -> (usize, Line) {
        if self.line.ends_with(b"\r") {
            let line_feed = usize::from(rest[0] == b'\n');
            self.line.extend_from_slice(&rest[..line_feed]);
            return (line_feed, Line::Complete);
        }
        let taken = memchr::memchr2(b'\r', b'\n', rest).map_or(rest.len(), |at| at + 1);
        self.line.extend_from_slice(&rest[..taken]);
        let line = if self.line.ends_with(b"\n") {
            Line::Complete
        } else {
            Line::Open
        };
        (taken, line)
    }

    fn is_the_end(&self) -> bool {
        let line = self.line.as_slice();
        match self.ends {
            EndOfData::Strict => !self.mid_line && line == b".\r\n",
            EndOfData::Lenient => matches!(line, b".\r\n" | b".\n" | b".\r"),
        }
    }

    fn pass_line_on(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        // RFC 5321 §4.5.2: the first dot of a line was added on the way.
        let stuffing = usize::from(!self.mid_line && line.starts_with(b"."));
        self.pass_on(&line, &line[stuffing..]);
        self.mid_line = false;
        line.clear();
        self.line = line;
    }

    /// All of a long line but its last octet, which may be half of a CRLF.
    fn pass_beginning_on(&mut self) {
        let last = self.line.pop();
        self.pass_line_on();
        self.line.extend(last);
        self.mid_line = true;
    }

    fn pass_on(&mut self, raw: &[u8], data: &[u8]) {
        self.length += data.len() as u64;
        self.digest.update(data);
        if self.keep == Keep::All {
            self.raw_data.extend_from_slice(raw);
            self.data.extend_from_slice(data);
        }
    }
}

enum Line {
    Open,
    Complete,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(ends: EndOfData, octets: &[u8]) -> Option<usize> {
        match Body::new(ends, Keep::All).feed(octets) {
            Fed::All => None,
            Fed::EndAfter(at) => Some(at),
        }
    }

    #[test]
    fn only_a_dot_between_two_crlf_is_a_strict_end() {
        for (octets, at) in [
            (&b"a\r\n.\r\nQUIT"[..], Some(6)),
            (b".\r\n", Some(3)),
            (b"a\n.\r\n", None),
            (b"a\r\n.\n", None),
            (b"a\r.\r", None),
            (b"a\n.\n", None),
            (b"a\r\n.\r", None),
            (b"a\r\n..\r\n", None),
            (b"a\r\n.\r\r\n", None),
            (b"a\r\n.\n\r\n", None),
        ] {
            assert_eq!(
                end(EndOfData::Strict, octets),
                at,
                "{:?}",
                octets.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn any_line_end_will_do_for_a_lenient_end() {
        for (octets, at) in [
            (&b"a\r\n.\r\nQUIT"[..], Some(6)),
            (b"a\n.\r\nQ", Some(5)),
            (b"a\r\n.\nQ", Some(5)),
            (b"a\n.\nQ", Some(4)),
            (b"a\r.\rQ", Some(4)),
            (b"a\r\n..\r\nQ", None),
            (b"a\r\n. \r\nQ", None),
        ] {
            assert_eq!(
                end(EndOfData::Lenient, octets),
                at,
                "{:?}",
                octets.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn octets_may_come_one_by_one() {
        for ends in [EndOfData::Strict, EndOfData::Lenient] {
            let mut body = Body::new(ends, Keep::All);
            let wire = b"..a\r\nb\r\n.\r\n";
            let fed: Vec<_> = wire.chunks(1).map(|octet| body.feed(octet)).collect();
            assert_eq!(
                fed.iter().position(|fed| *fed != Fed::All),
                Some(wire.len() - 1)
            );
            assert_eq!(body.data, b".a\r\nb\r\n");
            assert_eq!(body.raw_data, b"..a\r\nb\r\n");
        }
    }

    #[test]
    fn a_dot_in_the_middle_of_an_endless_line_is_no_end() {
        let mut wire = vec![b'x'; LONG_LINE];
        wire.extend_from_slice(b"\n.\r\n");
        assert_eq!(end(EndOfData::Strict, &wire), None);
    }
}
