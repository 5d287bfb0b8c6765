//! What was read and is not yet consumed, in memory that is lent.
//!
//! Most connections wait most of the time, so an empty buffer has no memory of its own: it is lent some when octets
//! are to be read, and gives it back when all of them are consumed, or when none came. Each thread keeps a few
//! pieces for the next who reads.

use std::cell::RefCell;

/// Octets of content read at once, and the most that a buffer holds. Smaller reads cost more of the processor.
pub const CHUNK: usize = 64 * 1024;

/// Octets read at once where commands or replies are expected.
pub const LINES: usize = 8 * 1024;

/// Pieces of either size that a thread keeps.
const SPARE: usize = 8;

/// Memory that is lent: [`LINES`] or [`CHUNK`] octets, or none.
type Piece = Box<[u8]>;

thread_local! {
    static SHELF: RefCell<Shelf> = RefCell::default();
}

/// The pieces that nobody uses.
#[derive(Default)]
struct Shelf {
    lines: Vec<Piece>,
    chunks: Vec<Piece>,
}

impl Shelf {
    fn of(&mut self, size: usize) -> &mut Vec<Piece> {
        if size == LINES {
            &mut self.lines
        } else {
            &mut self.chunks
        }
    }
}

fn lend(size: usize) -> Piece {
    let spare = SHELF.with_borrow_mut(|shelf| shelf.of(size).pop());
    spare.unwrap_or_else(|| vec![0; size].into())
}

fn give_back(piece: Piece) {
    SHELF.with_borrow_mut(|shelf| {
        let spare = shelf.of(piece.len());
        if spare.len() < SPARE {
            spare.push(piece);
        }
    });
}

/// A buffer of at most [`CHUNK`] octets.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    piece: Piece,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What is in it.
    pub(super) fn octets(&self) -> &[u8] {
        &self.piece[self.start..self.end]
    }

    /// Drops the first `octets`.
    pub(super) fn consume(&mut self, octets: usize) {
        self.start += octets;
        debug_assert!(self.start <= self.end);
        self.settle();
    }

    /// Where more can be read to, until there are `most` in all or it is full. What `read` returns is how many were.
    pub(super) fn fill<T>(&mut self, most: usize, read: impl FnOnce(&mut [u8]) -> (usize, T)) -> T {
        let size = if most <= LINES { LINES } else { CHUNK };
        if self.start > 0 {
            self.piece.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.piece.len() && self.end < size {
            let full = std::mem::replace(&mut self.piece, lend(size));
            if !full.is_empty() {
                self.piece[..self.end].copy_from_slice(&full);
                give_back(full);
            }
        }
        let room = self.piece.len().min(most);
        let (octets, result) = read(&mut self.piece[self.end..room.max(self.end)]);
        self.end += octets;
        self.settle();
        result
    }

    /// An empty buffer needs no memory.
    fn settle(&mut self) {
        if self.start == self.end && !self.piece.is_empty() {
            (self.start, self.end) = (0, 0);
            give_back(std::mem::take(&mut self.piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `octets` as far as there is room, and tells how much room there was.
    fn fill(buffer: &mut Buffer, most: usize, octets: &[u8]) -> usize {
        buffer.fill(most, |room| {
            let read = octets.len().min(room.len());
            room[..read].copy_from_slice(&octets[..read]);
            (read, room.len())
        })
    }

    #[test]
    fn what_is_read_behind_a_rest_follows_it() {
        let mut buffer = Buffer::default();
        assert_eq!(fill(&mut buffer, LINES, b"one two"), LINES);
        buffer.consume(4);
        assert_eq!(fill(&mut buffer, LINES, b" three"), LINES - 3);
        assert_eq!(buffer.octets(), b"two three");
    }

    #[test]
    fn it_holds_no_more_than_was_asked_for() {
        let mut buffer = Buffer::default();
        assert_eq!(fill(&mut buffer, 5, b"123456789"), 5);
        assert_eq!(buffer.octets(), b"12345");
        assert_eq!(fill(&mut buffer, 5, b"6"), 0);
        assert_eq!(fill(&mut buffer, CHUNK, &vec![b'6'; CHUNK]), LINES - 5);
        assert_eq!(fill(&mut buffer, CHUNK, b"7"), CHUNK - LINES);
        assert_eq!(buffer.octets().last(), Some(&b'7'));
        let mut large = Buffer::default();
        assert_eq!(fill(&mut large, CHUNK * 2, b""), CHUNK);
    }

    #[test]
    fn an_empty_buffer_has_no_memory_and_a_thread_keeps_a_few_pieces() {
        let mut buffers: Vec<Buffer> = (0..SPARE * 2).map(|_| Buffer::default()).collect();
        for buffer in &mut buffers {
            fill(buffer, CHUNK, b"x");
        }
        for buffer in &mut buffers {
            buffer.consume(1);
            assert!(buffer.piece.is_empty());
            fill(buffer, CHUNK, b"");
            assert!(buffer.piece.is_empty());
        }
        let kept = SHELF.with_borrow(|shelf| (shelf.lines.len(), shelf.chunks.len()));
        assert_eq!(kept, (0, SPARE));
    }
}
