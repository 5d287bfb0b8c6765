//! What a session costs that does nothing: resident memory at three points of its life.

use crate::contestant::Contestant;
use crate::load::{envelope, open};
use crate::report::Sample;
use crate::sink::first_line;
use crate::wire::Wire;

const LARGE: usize = 256 * 1024;

/// Opens `sessions`, and looks at the process before RCPT, with a connection to the MX, and after 256 KiB.
pub(crate) async fn measure(contestant: &Contestant, sessions: usize) -> Sample {
    let process = contestant.process.as_ref().unwrap();
    let empty = process.resident();
    let each = |resident: f64| (resident - empty) / sessions as f64;
    let mut wires = Vec::new();
    for _ in 0..sessions {
        wires.push(open(&contestant.target).await.unwrap());
    }
    let mut sample = Sample {
        before_rcpt: each(process.resident()),
        ..Sample::default()
    };
    for wire in &mut wires {
        wire.send(envelope(0, 1).as_bytes()).await.unwrap();
        wire.expect(2).await.unwrap();
        wire.expect(2).await.unwrap();
    }
    sample.with_mx = each(process.resident());
    for (number, wire) in wires.iter_mut().enumerate() {
        large(wire, number as u64).await.unwrap();
    }
    sample.after_large = each(process.resident());
    sample.resident = process.resident() / 1024.0;
    sample
}

async fn large(wire: &mut Wire, number: u64) -> std::io::Result<()> {
    wire.send(b"DATA\r\n").await?;
    wire.expect(3).await?;
    let line = b"A line of a large message that is sent once and then forgotten.\r\n";
    let body: Vec<u8> = line.repeat(LARGE / line.len());
    wire.send(first_line(number, &body).as_bytes()).await?;
    wire.send(&body).await?;
    wire.send(b".\r\n").await?;
    wire.expect(2).await
}
