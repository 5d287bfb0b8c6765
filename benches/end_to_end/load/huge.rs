//! One message of 1 GiB: the peak of resident memory, before it and after it.

use crate::contestant::Contestant;
use crate::load::Load;
use crate::report::Sample;
use crate::stage::Stage;
use crate::turn::timed;

const MIB: usize = 1024 * 1024;

/// Sends a message of 1 MiB, which makes the peak that is then to stay, and the large one.
pub(crate) async fn measure(stage: &mut Stage, contestant: &Contestant, load: Load) -> Sample {
    let small = Load { size: MIB, ..load };
    timed(stage, contestant, small).await;
    let before = contestant.peak();
    let sample = timed(stage, contestant, load).await;
    let peak = contestant.peak();
    Sample {
        peak: peak / 1024.0,
        grown: (peak - before) / 1024.0,
        ..sample
    }
}
