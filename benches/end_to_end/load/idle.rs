//! What a session costs that does nothing: resident memory at three points of its life.

use tokio::time::{Duration, sleep};

use crate::contestant::Contestant;
use crate::load::body::Body;
use crate::load::{envelope, open};
use crate::report::Sample;
use crate::wire::Wire;

const LARGE: usize = 256 * 1024;

/// Until a session is idle, and what it does not need is let go.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens `sessions`, and looks at the process before RCPT, with a connection to the MX, and after 256 KiB.
pub(crate) async fn measure(contestant: &Contestant, sessions: usize) -> Sample {
    let empty = contestant.resident();
    let each = |resident: f64| (resident - empty) / sessions as f64;
    let mut wires = Vec::new();
    for _ in 0..sessions {
        wires.push(open(&contestant.target).await.unwrap());
    }
    let mut sample = Sample {
        before_rcpt: each(contestant.resident()),
        ..Sample::default()
    };
    for wire in &mut wires {
        wire.send(envelope(0, 1).as_bytes()).await.unwrap();
        wire.expect(2).await.unwrap();
        wire.expect(2).await.unwrap();
    }
    sample.with_mx = each(contestant.resident());
    let body = Body::new(LARGE);
    for (number, wire) in wires.iter_mut().enumerate() {
        large(wire, &body, number as u64).await.unwrap();
    }
    sleep(PAUSE).await;
    sample.after_large = each(contestant.resident());
    sample.resident = contestant.resident() / 1024.0;
    sample
}

async fn large(wire: &mut Wire, body: &Body, number: u64) -> std::io::Result<()> {
    wire.send(b"DATA\r\n").await?;
    wire.expect(3).await?;
    body.send(wire, number).await?;
    wire.expect(2).await
}
