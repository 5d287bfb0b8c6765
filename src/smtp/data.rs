//! Where a message ends, and what must not stand in it.
//!
//! RFC 5321 §4.1.1.4: only CRLF "." CRLF ends the data. Servers disagree about a CR or LF that stands
//! alone, and that disagreement is SMTP smuggling (the CVE-2023-51764 family): one message here, two
//! there. So such octets are refused, or made CRLF where the operator says so, and never passed on.
//!
//! The scanners keep their state between any two pieces of input and allocate nothing. Most of a message is
//! lines that end as they should and begin with no dot: those are passed over in blocks, of which each is
//! looked at without a branch, so that the compiler makes vectors of it. Only the rest is walked.

use memchr::memchr2;

/// What a scanner found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Octets of the input that belong to the message, the end of data included.
    pub taken: usize,
    /// Why it stopped there.
    pub status: Status,
}

/// Why a scanner stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The input is used up.
    More,
    /// The message ends here.
    End,
    /// The octet behind what was taken shows that a CR or LF stood alone.
    BareNewline,
}

/// Where in a line the last octet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Behind CRLF, or at the beginning.
    #[default]
    LineStart,
    /// Behind the dot that begins a line.
    Dot,
    /// Behind that dot and a CR.
    DotCr,
    /// Somewhere else in a line.
    Text,
    /// Behind a CR.
    Cr,
}

impl Place {
    /// Behind a block in which every CR and LF was half of a CRLF and no line began with a dot.
    fn behind_quiet(last: u8) -> Self {
        match last {
            b'\n' => Self::LineStart,
            b'\r' => Self::Cr,
            _ => Self::Text,
        }
    }
}

/// Octets that are looked at at once.
const BLOCK: usize = 128;

/// How many octets behind the first need no walk, in whole blocks: every CR and LF among them is half of a
/// CRLF, and no CRLF among them has a dot behind it. The first octet is the one before them.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "with lazy operators this is no vector code, and fifteen times as slow"
)]
fn quiet(input: &[u8]) -> usize {
    let blocks = |from| input.get(from..).unwrap_or_default().as_chunks::<BLOCK>().0;
    let rows = blocks(0).iter().zip(blocks(1)).zip(blocks(2));
    let quiet = rows.take_while(|((before, octets), behind)| {
        let mut loud = false;
        for i in 0..BLOCK {
            let cr = before[i] == b'\r';
            loud |= (cr != (octets[i] == b'\n')) | (cr & (behind[i] == b'.'));
        }
        !loud
    });
    quiet.count() * BLOCK
}

/// Finds the end of DATA and passes the octets as they are.
#[derive(Debug, Default)]
pub struct DataScanner {
    place: Place,
    stuffing: u64,
}

impl DataScanner {
    /// Scans the next octets, up to the end of data or to a CR or LF that stands alone.
    pub fn scan(&mut self, input: &[u8]) -> Scan {
        self.run(input, Bare::Stops)
    }

    /// Scans the next octets for the end of data alone.
    pub fn drain(&mut self, input: &[u8]) -> Scan {
        self.run(input, Bare::Passes)
    }

    /// Dots that began a line so far: they belong to DATA, not to the message (RFC 5321 §4.5.2).
    pub fn stuffing(&self) -> u64 {
        self.stuffing
    }

    fn run(&mut self, input: &[u8], bare: Bare) -> Scan {
        let mut at = 0;
        // The octet before a block has to be there, and what is not quiet is walked before the next look.
        let mut look = 1;
        while at < input.len() {
            if at >= look && matches!(self.place, Place::Text | Place::Cr) {
                let quiet = quiet(&input[at - 1..]);
                if quiet > 0 {
                    at += quiet;
                    self.place = Place::behind_quiet(input[at - 1]);
                }
                look = at + BLOCK;
                continue;
            }
            if self.place == Place::Text {
                match memchr2(b'\r', b'\n', &input[at..]) {
                    None => break,
                    Some(distance) => at += distance,
                }
            }
            let step = step(self.place, input[at]);
            match (step, bare) {
                (Step::Bare(_), Bare::Stops) => {
                    return Scan {
                        taken: at,
                        status: Status::BareNewline,
                    };
                }
                (Step::End, _) => {
                    self.place = Place::default();
                    return Scan {
                        taken: at + 1,
                        status: Status::End,
                    };
                }
                (Step::To(place) | Step::Bare(place), _) => {
                    self.stuffing += u64::from(place == Place::Dot);
                    self.place = place;
                }
            }
            at += 1;
        }
        Scan {
            taken: input.len(),
            status: Status::More,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bare {
    Stops,
    Passes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    To(Place),
    /// A CR or LF stood alone; in a message that is only drained the scan goes on from there.
    Bare(Place),
    End,
}

fn step(place: Place, octet: u8) -> Step {
    match (place, octet) {
        (Place::LineStart, b'.') => Step::To(Place::Dot),
        (Place::Dot, b'\r') => Step::To(Place::DotCr),
        (Place::DotCr, b'\n') => Step::End,
        (Place::Cr, b'\n') => Step::To(Place::LineStart),
        (Place::Cr | Place::DotCr, b'\r') => Step::Bare(Place::Cr),
        (Place::Cr | Place::DotCr, _) | (_, b'\n') => Step::Bare(Place::Text),
        (_, b'\r') => Step::To(Place::Cr),
        _ => Step::To(Place::Text),
    }
}

/// Makes every CR or LF that stands alone a CRLF.
///
/// Only a true CRLF.CRLF of the input ends the data. A line that is a lone dot only because a newline at
/// its beginning or end was made one is written `..`, so that no MX can take it for the end.
#[derive(Debug, Default)]
pub struct Normaliser {
    line: Line,
    stuffing: u64,
}

/// Where in a line the normaliser is. What a variant names has been read; a dot at the beginning of a line
/// and a CR are written only once it is known what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Start(Newline),
    Dot(Newline),
    DotCr(Newline),
    Text,
    Cr,
}

/// How the line before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newline {
    /// With CRLF.
    True,
    /// With a CR or LF alone.
    Made,
}

impl Default for Line {
    fn default() -> Self {
        Self::Start(Newline::True)
    }
}

impl Normaliser {
    /// Reads the next octets up to the end of data, and appends what is to be sent to `out`.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Scan {
        let mut at = 0;
        while at < input.len() {
            if self.line == Line::Text {
                let rest = &input[at..];
                let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..run]);
                at += run;
                if at == input.len() {
                    break;
                }
            }
            match self.octet(input[at], out) {
                Fed::Read => at += 1,
                Fed::Again => {}
                Fed::End => {
                    self.line = Line::default();
                    return Scan {
                        taken: at + 1,
                        status: Status::End,
                    };
                }
            }
        }
        Scan {
            taken: input.len(),
            status: Status::More,
        }
    }

    /// Dots that began a line so far: they belong to DATA, not to the message (RFC 5321 §4.5.2).
    pub fn stuffing(&self) -> u64 {
        self.stuffing
    }

    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) -> Fed {
        let (write, next, fed): (&[u8], Line, Fed) = match (self.line, octet) {
            (Line::Start(newline), b'.') => (b"", Line::Dot(newline), Fed::Read),
            (Line::Dot(newline), b'\r') => (b"", Line::DotCr(newline), Fed::Read),
            (Line::DotCr(Newline::True), b'\n') => (b".\r\n", Line::default(), Fed::End),
            (Line::DotCr(Newline::Made), b'\n') => (b"..\r\n", Line::default(), Fed::Read),
            (Line::Dot(_), b'\n') => (b"..\r\n", Line::Start(Newline::Made), Fed::Read),
            (Line::DotCr(_), _) => (b"..\r\n", Line::Start(Newline::Made), Fed::Again),
            (Line::Dot(_), _) => (b".", Line::Text, Fed::Again),
            (Line::Cr, b'\n') => (b"\r\n", Line::default(), Fed::Read),
            (Line::Cr, _) => (b"\r\n", Line::Start(Newline::Made), Fed::Again),
            (Line::Start(_) | Line::Text, b'\r') => (b"", Line::Cr, Fed::Read),
            (Line::Start(_) | Line::Text, b'\n') => {
                (b"\r\n", Line::Start(Newline::Made), Fed::Read)
            }
            (Line::Start(_), _) => (b"", Line::Text, Fed::Again),
            (Line::Text, _) => (&[octet], Line::Text, Fed::Read),
        };
        out.extend_from_slice(write);
        self.stuffing += u64::from(matches!(next, Line::Dot(_)));
        self.line = next;
        fed
    }
}

enum Fed {
    /// The octet is used up.
    Read,
    /// The octet is looked at once more in the new state.
    Again,
    /// The message ends with this octet.
    End,
}

/// A CR or LF stood alone in a BDAT chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a CR or LF that stands alone")]
pub struct BareNewline;

/// Watches the chunks of BDAT, whose end needs no search, for a CR or LF that stands alone.
#[derive(Debug, Default)]
pub struct ChunkGuard {
    scanner: DataScanner,
}

impl ChunkGuard {
    /// Looks at the next octets.
    pub fn scan(&mut self, input: &[u8]) -> Result<(), BareNewline> {
        let mut rest = input;
        loop {
            let scan = self.scanner.scan(rest);
            match scan.status {
                Status::More => return Ok(()),
                // RFC 3030 §2: a line with a dot alone is content like any other.
                Status::End => rest = &rest[scan.taken..],
                Status::BareNewline => return Err(BareNewline),
            }
        }
    }

    /// The content ends here.
    pub fn finish(&self) -> Result<(), BareNewline> {
        match self.scanner.place {
            Place::Cr | Place::DotCr => Err(BareNewline),
            Place::LineStart | Place::Dot | Place::Text => Ok(()),
        }
    }
}

/// Makes the raw content of BDAT into the dot-stuffed content of DATA (RFC 5321 §4.5.2).
#[derive(Debug)]
pub struct DotStuffer {
    line_start: bool,
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self { line_start: true }
    }
}

impl DotStuffer {
    /// Appends the next octets to `out`, a second dot before every dot that begins a line. The content has
    /// been through a [`ChunkGuard`], so every LF ends a line.
    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for line in input.split_inclusive(|octet| *octet == b'\n') {
            if self.line_start && line.first() == Some(&b'.') {
                out.push(b'.');
            }
            out.extend_from_slice(line);
            self.line_start = line.last() == Some(&b'\n');
        }
    }

    /// Appends the end of data, after a CRLF where the content has none at its end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        self.line_start = true;
    }
}

/// Makes the dot-stuffed content of DATA, its end included, into the whole of a BDAT with one chunk: the command
/// and the raw content. The data has been through a scanner, so every LF ends a line.
pub fn one_chunk(data: &[u8]) -> Vec<u8> {
    let content = data.strip_suffix(b".\r\n").unwrap_or(data);
    let mut raw = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        // RFC 5321 §4.5.2: the first dot of a line was added on the way.
        raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    // RFC 3030 §2: the size is that of what follows the line, and LAST may come with the first chunk.
    let command = format!("BDAT {} LAST\r\n", raw.len());
    [command.as_bytes(), &raw].concat()
}

#[cfg(test)]
mod tests;
