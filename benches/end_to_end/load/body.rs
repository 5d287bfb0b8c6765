//! The body of a message, and the line in its head by which the sink knows whether it is whole.

use std::io::Result;

use flate2::Crc;

use crate::wire::Wire;

pub(crate) const MARK: &str = "X-Sum: ";

const END: &[u8] = b".\r\n";

/// A longer body is this much again and again.
const PIECE: usize = 1024 * 1024;

pub(crate) struct Body {
    piece: Vec<u8>,
    times: usize,
    /// Of all of it, and the end of data.
    sum: Crc,
}

impl Body {
    pub(crate) fn new(size: usize) -> Self {
        let times = size.div_ceil(PIECE).max(1);
        let piece = piece(size / times);
        let mut sum = Crc::new();
        for _ in 0..times {
            sum.update(&piece);
        }
        sum.update(END);
        Self { piece, times, sum }
    }

    /// Sends it after a `354`, as the message with this number.
    pub(crate) async fn send(&self, wire: &mut Wire, number: u64) -> Result<()> {
        let mut flight = self.head(number).into_bytes();
        for _ in 1..self.times {
            flight.extend_from_slice(&self.piece);
            wire.send(&flight).await?;
            flight.clear();
        }
        flight.extend_from_slice(&self.piece);
        flight.extend_from_slice(END);
        wire.send(&flight).await
    }

    /// The sum is that of number, body and end of data.
    fn head(&self, number: u64) -> String {
        let mut sum = Crc::new();
        sum.update(&number.to_le_bytes());
        sum.combine(&self.sum);
        format!("{MARK}{number} {:08x}\r\n\r\n", sum.sum())
    }
}

fn piece(size: usize) -> Vec<u8> {
    let line = b"The quick brown fox jumps over the lazy dog, and then sits down for a while.\r\n";
    let mut piece: Vec<u8> = line.iter().copied().cycle().take(size - 2).collect();
    // What was cut must not end in the CR of a line.
    if piece.ends_with(b"\r") {
        piece.pop();
    }
    piece.extend_from_slice(b"\r\n..a line that begins with a dot\r\n");
    piece
}
