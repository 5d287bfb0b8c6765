//! Where destinations come from: the lines of a mail log, or of a list.
//!
//! Both are a stranger's: a line that is too long, or makes no sense, is passed over and counted, and no input makes
//! memory grow beyond [`MAX_DOMAINS`].

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::seen::{End, Seen, Tls};
use super::{exim, postfix};
use crate::name::Destination;

/// Longer lines are no log of an MTA.
const MAX_LINE: u64 = 64 * 1024;
/// Destinations that are kept apart.
const MAX_DOMAINS: usize = 500_000;

/// What was seen of each destination.
#[derive(Debug, Default)]
pub struct Tally {
    /// By destination.
    pub seen: HashMap<Destination, Counts>,
    /// Messages to destinations beyond those that could be kept.
    pub beyond: u64,
    /// Lines of a list that are no domain.
    pub unreadable: u64,
}

/// What was seen of one destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were taken, or whatever a list says.
    pub messages: u64,
    /// Tries that came to nothing.
    pub unsent: u64,
    /// Of the messages, those that left in plaintext.
    pub plaintext: u64,
    /// And those that left with TLS to a server that has not proven who it is.
    pub unproven: u64,
    /// And those that left to one that has.
    pub proven: u64,
}

impl Tally {
    /// Reads a log of Postfix or Exim; both may be in one.
    pub fn of_log(input: impl Read) -> io::Result<Self> {
        let mut tally = Self::default();
        let mut postfix = postfix::Reader::default();
        let mut exim = exim::Reader::default();
        for_lines(input, |line| {
            if let Some(seen) = postfix.read(line).or_else(|| exim.read(line)) {
                tally.add(seen);
            }
        })?;
        Ok(tally)
    }

    /// Reads a list: a domain a line, and how many messages, if anybody knows.
    pub fn of_list(input: impl Read) -> io::Result<Self> {
        let mut tally = Self::default();
        for_lines(input, |line| {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(domain) = words.next() else {
                return;
            };
            let count = words.next().map_or(Ok(1), str::parse::<u32>);
            match (domain.parse::<Destination>(), count, words.next()) {
                (Ok(destination), Ok(count), None) => tally.at(destination, |counts| {
                    counts.messages = counts.messages.saturating_add(count.into());
                }),
                _ => tally.unreadable += 1,
            }
        })?;
        Ok(tally)
    }

    fn add(&mut self, seen: Seen) {
        self.at(seen.destination, |counts| {
            if seen.end == End::Unsent {
                counts.unsent += 1;
                return;
            }
            counts.messages += 1;
            match seen.tls {
                Tls::Plaintext => counts.plaintext += 1,
                Tls::Unproven => counts.unproven += 1,
                Tls::Proven => counts.proven += 1,
                Tls::Untold => {}
            }
        });
    }

    fn at(&mut self, destination: Destination, count: impl FnOnce(&mut Counts)) {
        if self.seen.len() < MAX_DOMAINS || self.seen.contains_key(&destination) {
            count(self.seen.entry(destination).or_default());
        } else {
            self.beyond += 1;
        }
    }
}

/// Hands on each line; packed input (gzip) is unpacked.
fn for_lines(input: impl Read, mut take: impl FnMut(&str)) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let is_packed = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let mut input: Box<dyn BufRead> = if is_packed {
        Box::new(BufReader::new(MultiGzDecoder::new(input)))
    } else {
        Box::new(input)
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut input).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE {
            input.skip_until(b'\n')?;
            continue;
        }
        take(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn counts(tally: &Tally, domain: &str) -> Counts {
        tally.seen[&domain.parse().unwrap()]
    }

    const LOG: &str = "\
Nov 24 10:00:00 mail postfix/smtp[1]: Untrusted TLS connection established to mx.a.example[192.0.2.1]:25: TLSv1.3 with cipher x
Nov 24 10:00:00 mail postfix/smtp[1]: 4QcR1z3zX9: to=<u@a.example>, relay=mx.a.example[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
Nov 24 10:00:01 mail postfix/smtp[2]: 4QcR1z3zXA: to=<u@a.example>, relay=mx.a.example[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
Nov 24 10:00:01 mail postfix/smtp[2]: 4QcR1z3zXB: to=<u@a.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)
2026-11-24 10:00:00 1vNVd3-0007Pj-2C => u@b.example R=r T=t H=mx.b.example [192.0.2.1] X=TLS1.3:x:256 CV=yes C=\"250 ok\"
";

    #[test]
    fn a_log_is_counted_by_destination() {
        let want = Counts {
            messages: 2,
            unsent: 1,
            plaintext: 1,
            unproven: 1,
            proven: 0,
        };
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(LOG.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        for input in [LOG.as_bytes(), &packed] {
            let tally = Tally::of_log(input).unwrap();
            assert_eq!(counts(&tally, "a.example"), want);
            assert_eq!(counts(&tally, "b.example").proven, 1);
            assert_eq!(tally.seen.len(), 2);
        }
    }

    #[test]
    fn a_list_has_domains_and_perhaps_numbers() {
        let list = "# ours\nA.example\nb.example 12 # often\n\nu@c.example\nd.example x\ne.example 1 2\na.example\r\n";
        let tally = Tally::of_list(list.as_bytes()).unwrap();
        assert_eq!(counts(&tally, "a.example").messages, 2);
        assert_eq!(counts(&tally, "b.example").messages, 12);
        assert_eq!((tally.seen.len(), tally.unreadable), (2, 3));
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let long = "a".repeat(200_000);
        let list = format!("{long}\nb.example\n{long}");
        let tally = Tally::of_list(list.as_bytes()).unwrap();
        assert_eq!((tally.seen.len(), tally.unreadable), (1, 0));
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd_to_be_read(
            text in "(Nov 24 10:00:00 m postfix/smtp\\[1\\]: |2026-11-24 10:00:00 1vNVd3-0007Pj-2C )([A-Z0-9]{0,3}: to=<|=> |\\*\\* )[ -~é]{0,80}(>, relay=|H=|@b.example )[ -~]{0,60}"
        ) {
            let tally = Tally::of_log(text.as_bytes()).unwrap();
            prop_assert!(tally.seen.len() <= 1);
        }
    }
}
