//! One contestant, once, warm.

use tokio::time::{Duration, Instant, sleep};

use crate::args::Workload;
use crate::contestant::Contestant;
use crate::load::asking::ask;
use crate::load::{Load, Sent, Way, huge, idle, send};
use crate::process::Cpu;
use crate::process::calls::Count;
use crate::report::Sample;
use crate::stage::Stage;
use crate::stage::sink::Book;

const MIB: usize = 1024 * 1024;

/// A queue that hands nothing on for so long has lost what is missing.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn turn(
    workload: Workload,
    stage: &mut Stage,
    contestant: &Contestant,
    load: Load,
) -> Sample {
    match workload {
        Workload::Idle => idle::measure(contestant, load.messages).await,
        Workload::Huge => huge::measure(stage, contestant, load).await,
        Workload::Broken => noticed(stage, contestant, load).await,
        _ if workload.asks() => {
            warm(stage, contestant, load).await;
            asked(contestant, load).await
        }
        _ => {
            warm(stage, contestant, load).await;
            timed(stage, contestant, load).await
        }
    }
}

/// System calls a message, where something stands between and counting is permitted.
pub(crate) async fn calls(
    workload: Workload,
    stage: &mut Stage,
    contestant: &Contestant,
    load: Load,
) -> Option<f64> {
    let special = matches!(workload, Workload::Idle | Workload::Huge | Workload::Broken);
    if special || contestant.processes.is_empty() {
        return None;
    }
    warm(stage, contestant, load).await;
    let count = Count::begin(&contestant.numbers())?;
    match contestant.target.way {
        Way::Asking(_) => asked(contestant, load).await,
        _ => timed(stage, contestant, load).await,
    };
    Some(count.end()? / load.messages as f64)
}

/// As much as opens connections and fills caches.
async fn warm(stage: &mut Stage, contestant: &Contestant, load: Load) {
    if let Way::Asking(_) = contestant.target.way {
        let each_once = Load {
            messages: load.domains,
            at_a_time: 1,
            ..load
        };
        ask(&contestant.target, each_once).await;
    } else if !load.stubborn && load.size < MIB {
        let messages = load.messages.min(load.at_a_time * load.per_session.min(20));
        timed(stage, contestant, Load { messages, ..load }).await;
    }
}

/// Sends it, until the sink has it; not one message is lost, doubled or corrupted.
pub(crate) async fn timed(stage: &mut Stage, contestant: &Contestant, load: Load) -> Sample {
    stage.report();
    let before = contestant.cpu();
    let began = Instant::now();
    let mut sent = send(&contestant.target, load).await;
    if contestant.queues {
        all_taken(stage, load.messages).await;
        sent.elapsed = began.elapsed();
        // They are those of the queue, which are not the sink's.
        sent.times.clear();
    }
    let sample = with_cpu(contestant, before, load, sent);
    let book = stage.report();
    assert_eq!(book.toll(load.messages), Toll::default());
    Sample {
        connections: book.connections as f64,
        ..sample
    }
}

/// Questions instead of messages.
async fn asked(contestant: &Contestant, load: Load) -> Sample {
    let before = contestant.cpu();
    let sent = ask(&contestant.target, load).await;
    let sample = with_cpu(contestant, before, load, sent);
    Sample {
        queries: sample.rate,
        rate: 0.0,
        ..sample
    }
}

/// What the sink's book shows of one that is broken on purpose.
async fn noticed(stage: &mut Stage, contestant: &Contestant, load: Load) -> Sample {
    stage.report();
    send(&contestant.target, load).await;
    let toll = stage.report().toll(load.messages);
    Sample {
        lost: toll.lost as f64,
        doubled: toll.doubled as f64,
        corrupted: toll.corrupted as f64,
        ..Sample::default()
    }
}

async fn all_taken(stage: &mut Stage, messages: usize) {
    let mut taken = 0;
    let mut progress = Instant::now();
    while taken < messages {
        let now = stage.taken();
        if now > taken {
            (taken, progress) = (now, Instant::now());
        }
        let lost = messages - taken;
        assert!(progress.elapsed() < PATIENCE, "{lost} messages are lost");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What went wrong with so many messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Toll {
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) corrupted: usize,
}

impl Book {
    pub(crate) fn toll(&self, messages: usize) -> Toll {
        Toll {
            lost: (0..messages as u64)
                .filter(|number| !self.taken.contains_key(number))
                .count(),
            doubled: self.taken.values().filter(|times| **times > 1).count(),
            corrupted: self.corrupted,
        }
    }
}

/// CPU is that since `before`.
fn with_cpu(contestant: &Contestant, before: Cpu, load: Load, sent: Sent) -> Sample {
    let after = contestant.cpu();
    let messages = load.messages as f64;
    Sample {
        user: (after.user - before.user) * 1e6 / messages,
        system: (after.system - before.system) * 1e6 / messages,
        ..seen_by_the_sender(load, sent)
    }
}

fn seen_by_the_sender(load: Load, sent: Sent) -> Sample {
    let mut times = sent.times;
    times.sort();
    let at = |share: usize| {
        let last = times.len().checked_sub(1);
        last.map_or(0.0, |last| {
            times[(times.len() * share / 100).min(last)].as_secs_f64()
        })
    };
    let rate = load.messages as f64 / sent.elapsed.as_secs_f64();
    let large = load.size >= MIB;
    Sample {
        rate,
        megabytes: if large {
            rate * load.size as f64 / 1e6
        } else {
            0.0
        },
        p50: at(50) * 1e3,
        p99: at(99) * 1e3,
        failed: sent.failed as f64,
        ..Sample::default()
    }
}
