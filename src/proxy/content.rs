//! The content of a message on its way from one MTA to all legs at once.
//!
//! One buffer of fixed size: what was read is scanned, written to every leg, and only then is more read.
//! So the slowest MX sets the pace, and a message of any size costs the same memory. The legs get the
//! very octets that the MTA sent. A CR or LF that stands alone, or a message that grows too large, ends
//! all legs at once by closing their connections, and the rest of the message is read and thrown away, so
//! that the MTA gets its reply in its place.

use std::time::Duration;

use crate::net::stream::{CHUNK, Wire, WireError};
use crate::policy::refusal::Refusal;
use crate::proxy::held::Held;
use crate::proxy::leg::{Leg, of_each};
use crate::proxy::settings::{BareNewline, Settings};
use crate::smtp::command::{Chunk, Last};
use crate::smtp::data::{ChunkGuard, DataScanner, Normaliser, Scan, Status};

/// Octets behind the dot that ends the data.
const FINAL_CRLF: u64 = 2;

/// How the content ended, seen from the MTA's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it went to the legs.
    Whole,
    /// waxseal refused it; the legs are gone.
    Refused(Refusal),
}

/// The state of one message's content.
#[derive(Debug, Default)]
pub(super) struct Content {
    octets: u64,
    guard: ChunkGuard,
}

/// How DATA is read.
enum Reader {
    /// Octet for octet.
    Verbatim(DataScanner),
    /// Newlines that stand alone become CRLF.
    Normalising(Normaliser, Vec<u8>),
}

impl Reader {
    fn new(bare_newline: BareNewline) -> Self {
        match bare_newline {
            BareNewline::Reject => Self::Verbatim(DataScanner::default()),
            BareNewline::Normalise => Self::Normalising(Normaliser::default(), Vec::new()),
        }
    }

    /// Scans `input`; what is to be sent is the second value, and the third how many octets sent so far
    /// are dots that do not count.
    fn read<'a>(&'a mut self, input: &'a [u8]) -> (Scan, &'a [u8], u64) {
        match self {
            Self::Verbatim(scanner) => {
                let scan = scanner.scan(input);
                (scan, &input[..scan.taken], scanner.stuffing())
            }
            Self::Normalising(normaliser, output) => {
                output.clear();
                let scan = normaliser.feed(input, output);
                (scan, output, normaliser.stuffing())
            }
        }
    }

    /// Finds the end of a message that has been refused.
    fn drain(&mut self, input: &[u8]) -> Scan {
        match self {
            Self::Verbatim(scanner) => scanner.drain(input),
            Self::Normalising(normaliser, output) => {
                output.clear();
                normaliser.feed(input, output)
            }
        }
    }
}

impl Content {
    /// Carries DATA up to its CRLF.CRLF.
    pub(super) async fn data(
        &mut self,
        wire: &mut Wire,
        legs: &mut Vec<Leg>,
        settings: &Settings,
    ) -> Result<Taken, WireError> {
        let mut reader = Reader::new(settings.bare_newline);
        let mut held = Held::of(legs);
        let mut refused = None;
        loop {
            let input = settled(wire.buffered());
            if input.is_empty() {
                wire.fill(CHUNK, settings.timeouts.mta_data).await?;
                continue;
            }
            let scan = if refused.is_some() {
                reader.drain(input)
            } else {
                let (scan, piece, stuffing) = reader.read(input);
                self.octets += piece.len() as u64;
                refused = match scan.status {
                    Status::BareNewline => Some(Refusal::BareNewline),
                    _ if self.too_big(settings, stuffing + FINAL_CRLF) => Some(Refusal::TooBig),
                    _ => None,
                };
                if refused.is_some() {
                    legs.clear();
                } else {
                    of_each(legs, |leg| leg.content(piece)).await;
                    held.keep(piece, legs).await;
                }
                scan
            };
            wire.consume(scan.taken);
            if scan.status == Status::End {
                held.end(legs).await;
                return Ok(refused.map_or(Taken::Whole, Taken::Refused));
            }
        }
    }

    /// Carries one chunk of BDAT. Legs that failed to begin are passed over by themselves.
    pub(super) async fn chunk(
        &mut self,
        wire: &mut Wire,
        chunk: Chunk,
        legs: &mut Vec<Leg>,
        settings: &Settings,
    ) -> Result<Taken, WireError> {
        self.octets = self.octets.saturating_add(chunk.size);
        let mut refused = match chunk {
            _ if self.too_big(settings, 0) => Some(Refusal::TooBig),
            // The end of the content may come with no octet of its own.
            Chunk { size: 0, .. } => self.judge(&[], 0, chunk.last),
            _ => None,
        };
        match refused {
            Some(_) => legs.clear(),
            None => {
                of_each(legs, |leg| leg.begin_chunk(chunk)).await;
            }
        }
        let mut left = chunk.size;
        while left > 0 {
            let input = filled(wire, settings.timeouts.mta_data).await?;
            let length = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
            let piece = &input[..length];
            left -= length as u64;
            refused = refused.or_else(|| self.judge(piece, left, chunk.last));
            match refused {
                Some(_) => legs.clear(),
                None => {
                    of_each(legs, |leg| leg.content(piece)).await;
                }
            }
            wire.consume(length);
        }
        Ok(refused.map_or(Taken::Whole, Taken::Refused))
    }

    /// Judges a piece before it is sent; `left` octets of its chunk are still to come.
    fn judge(&mut self, piece: &[u8], left: u64, last: Last) -> Option<Refusal> {
        let clean = self.guard.scan(piece).is_ok()
            && (left > 0 || last == Last::No || self.guard.finish().is_ok());
        (!clean).then_some(Refusal::BareNewline)
    }

    /// RFC 1870 §3: the size has neither the final dot line nor the dots that were doubled.
    fn too_big(&self, settings: &Settings, framing: u64) -> bool {
        let octets = self.octets.saturating_sub(framing);
        settings.max_size.is_some_and(|most| octets > most)
    }
}

/// What can be judged already. A CR at the end waits for the octet behind it: an MX that takes a CR alone
/// for a newline must not get one that would have been refused a moment later.
fn settled(input: &[u8]) -> &[u8] {
    match input {
        [head @ .., b'\r'] if head.last() != Some(&b'\r') => head,
        _ => input,
    }
}

/// Reads and throws away `octets` octets.
pub(super) async fn swallow(
    wire: &mut Wire,
    mut octets: u64,
    within: Duration,
) -> Result<(), WireError> {
    while octets > 0 {
        let input = filled(wire, within).await?;
        let length = usize::try_from(octets).map_or(input.len(), |left| left.min(input.len()));
        wire.consume(length);
        octets -= length as u64;
    }
    Ok(())
}

/// What is in the buffer, after reading if it was empty.
async fn filled(wire: &mut Wire, within: Duration) -> Result<&[u8], WireError> {
    if wire.buffered().is_empty() {
        wire.fill(CHUNK, within).await?;
    }
    Ok(wire.buffered())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cr_at_the_end_waits_but_two_of_them_are_judged_at_once() {
        assert_eq!(settled(b"a\r"), b"a");
        assert_eq!(settled(b"\r"), b"");
        assert_eq!(settled(b"a\r\n"), b"a\r\n");
        assert_eq!(settled(b"a\r\r"), b"a\r\r");
    }
}
