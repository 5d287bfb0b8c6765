//! Netstrings: the length in decimal digits, a colon, so many octets, a comma (cr.yp.to/proto/netstrings.txt).

use std::io::Write;

use super::MAX_REQUEST;

/// Room for several requests of the usual length, and for the longest one.
const CAPACITY: usize = 4096;

/// Why what has arrived is not a netstring. Its end cannot be found, so the connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something else than digits and a colon.
    #[error("a request must begin with its length in digits and a colon")]
    Length,
    /// A length such as `007`, which the definition forbids.
    #[error("the length of a request must not begin with a zero")]
    LeadingZero,
    /// More than [`MAX_REQUEST`] octets.
    #[error("a request must not be longer than {MAX_REQUEST} octets")]
    TooLong,
    /// The octet behind the content is not a comma.
    #[error("a request must end in a comma")]
    NoComma,
}

/// What has arrived of requests, in a buffer of fixed size.
#[derive(Debug)]
pub struct Inbox {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            buffer: vec![0; CAPACITY].into(),
            start: 0,
            end: 0,
        }
    }
}

impl Inbox {
    /// Where the next octets go. Never empty once [`pull`](Self::pull) has told that no whole request is left.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// Takes note that so many octets have been put into [`room`](Self::room).
    pub fn filled(&mut self, octets: usize) {
        self.end = self.buffer.len().min(self.end + octets);
    }

    /// The content of the next whole request; `None` where more has to arrive first.
    pub fn pull(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let Some((content, taken)) = first(&self.buffer[self.start..self.end])? else {
            return Ok(None);
        };
        let begin = self.start + content.start;
        let end = self.start + content.end;
        self.start += taken;
        Ok(Some(&self.buffer[begin..end]))
    }
}

/// Where the content of the first netstring of `input` is, and how many octets it takes in all.
fn first(input: &[u8]) -> Result<Option<(std::ops::Range<usize>, usize)>, Malformed> {
    let mut length = 0;
    let mut digits = 0;
    loop {
        match input.get(digits) {
            None => return Ok(None),
            Some(b':') if digits > 0 => break,
            Some(digit) if digit.is_ascii_digit() => {
                if digits == 1 && length == 0 {
                    return Err(Malformed::LeadingZero);
                }
                length = length * 10 + usize::from(digit - b'0');
            }
            Some(_) => return Err(Malformed::Length),
        }
        if length > MAX_REQUEST {
            return Err(Malformed::TooLong);
        }
        digits += 1;
    }
    let begin = digits + 1;
    let end = begin + length;
    match input.get(end) {
        None => Ok(None),
        Some(b',') => Ok(Some((begin..end, end + 1))),
        Some(_) => Err(Malformed::NoComma),
    }
}

/// Writes a netstring whose content are `parts`, one behind the other.
pub(super) fn write(parts: &[&str], to: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // Writing to memory does not fail.
    let _ = write!(to, "{length}:");
    for part in parts {
        to.extend_from_slice(part.as_bytes());
    }
    to.push(b',');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that `input` holds, given in pieces of `size`.
    fn read(input: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<(), Malformed>) {
        let mut inbox = Inbox::default();
        let mut found = Vec::new();
        let mut rest = input;
        loop {
            loop {
                match inbox.pull() {
                    Ok(Some(content)) => found.push(content.to_vec()),
                    Ok(None) => break,
                    Err(malformed) => return (found, Err(malformed)),
                }
            }
            if rest.is_empty() {
                return (found, Ok(()));
            }
            let room = inbox.room();
            assert!(!room.is_empty());
            let octets = size.min(room.len()).min(rest.len());
            room[..octets].copy_from_slice(&rest[..octets]);
            inbox.filled(octets);
            rest = &rest[octets..];
        }
    }

    fn all(input: &str) -> (Vec<String>, Result<(), Malformed>) {
        let (found, end) = read(input.as_bytes(), CAPACITY);
        let texts = found.into_iter().map(|one| String::from_utf8(one).unwrap());
        (texts.collect(), end)
    }

    #[test]
    fn netstrings_follow_each_other() {
        let good = |input: &str, want: &[&str]| {
            assert_eq!(
                all(input),
                (want.iter().map(ToString::to_string).collect(), Ok(())),
                "{input:?}"
            );
        };
        good("", &[]);
        good("0:,", &[""]);
        good("3:a b,", &["a b"]);
        good("1:a,2:b,,0:,", &["a", "b,", ""]);
        good("3:a", &[]);
        good("3", &[]);
        good("1:a,12", &["a"]);
    }

    #[test]
    fn what_is_no_netstring_says_why() {
        let bad = |input: &str, want: Malformed| {
            assert_eq!(all(input).1, Err(want), "{input:?}");
        };
        bad("x", Malformed::Length);
        bad(":", Malformed::Length);
        bad("-1:a,", Malformed::Length);
        bad("1 :a,", Malformed::Length);
        bad("+1:a,", Malformed::Length);
        bad("GET / HTTP/1.1\r\n", Malformed::Length);
        bad("00:,", Malformed::LeadingZero);
        bad("01:a,", Malformed::LeadingZero);
        bad("1:ab", Malformed::NoComma);
        bad("0:a", Malformed::NoComma);
        bad("2049", Malformed::TooLong);
        bad("9999999999999999999999999999", Malformed::TooLong);
    }

    #[test]
    fn the_longest_request_is_taken_and_a_longer_one_is_not_waited_for() {
        let longest = "x".repeat(MAX_REQUEST);
        let (found, end) = all(&format!("{MAX_REQUEST}:{longest},1:a,"));
        assert_eq!((found.len(), end), (2, Ok(())));
        assert_eq!(
            all(&format!("{}:", MAX_REQUEST + 1)).1,
            Err(Malformed::TooLong)
        );
    }

    #[test]
    fn what_is_whole_is_read_before_what_is_wrong() {
        let (found, end) = all("1:a,1:b,oops");
        assert_eq!((found.len(), end), (2, Err(Malformed::Length)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_arrives(
            contents in prop::collection::vec("\\PC{0,300}", 0..40),
            size in 1..700_usize,
        ) {
            let mut wire = Vec::new();
            for content in &contents {
                let (head, tail) = content.split_at(content.floor_char_boundary(content.len() / 2));
                write(&[head, tail], &mut wire);
            }
            let want = contents.iter().map(|content| content.as_bytes().to_vec());
            prop_assert_eq!(read(&wire, size), (want.collect(), Ok(())));
        }

        #[test]
        fn how_it_arrives_makes_no_difference(
            input in prop::collection::vec(prop::sample::select(b"0123:,a ".to_vec()), 0..60),
            size in 1..10_usize,
        ) {
            prop_assert_eq!(read(&input, size), read(&input, CAPACITY));
        }

        #[test]
        fn nothing_that_arrives_is_a_surprise(
            input in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let (found, _) = read(&input, CAPACITY);
            prop_assert!(found.iter().map(Vec::len).sum::<usize>() <= input.len());
        }
    }
}
