//! Who meets which load, in turn.

use crate::args::{Args, Workload};
use crate::contestant::{Contestant, Stage};
use crate::idle;
use crate::load::{Load, Sent, send};
use crate::process::{Cpu, Process};
use crate::report::{Sample, Table};
use crate::sink::Book;

const RELAYS: &[&str] = &[
    "plain",
    "tls",
    "floor",
    "floor-pool",
    "waxseal-fresh",
    "waxseal",
    "stunnel",
];

const ALL: [Workload; 8] = [
    Workload::One,
    Workload::Twenty,
    Workload::Domains,
    Workload::Bulk,
    Workload::Latency,
    Workload::Chosen,
    Workload::Idle,
    Workload::Chaos,
];

const KIB: usize = 1024;

impl Workload {
    fn contestants(self) -> &'static [&'static str] {
        match self {
            Self::Chosen => &["tls", "floor", "waxseal-socks5", "stunnel"],
            Self::Idle => &["floor", "floor-pool", "waxseal", "stunnel"],
            Self::Chaos => &["waxseal-fresh", "waxseal"],
            _ => RELAYS,
        }
    }

    /// The load, and as much of it as a test takes.
    fn load(self) -> (Load, usize) {
        let load = |messages, per_session, at_a_time, size| Load {
            messages,
            per_session,
            at_a_time,
            size,
            domains: 1,
            stubborn: false,
        };
        match self {
            Self::One | Self::Chosen => (load(5000, 1, 50, 4 * KIB), 20),
            Self::Twenty => (load(20_000, 20, 50, 4 * KIB), 40),
            Self::Domains => {
                let load = load(20_000, 20, 50, 4 * KIB);
                (
                    Load {
                        domains: 100,
                        ..load
                    },
                    40,
                )
            }
            Self::Bulk => (load(160, 1, 8, 10 * KIB * KIB), 2),
            Self::Latency => (load(5000, 5000, 1, 4 * KIB), 20),
            Self::Idle => (load(2000, 1, 1, 0), 10),
            Self::Chaos => {
                let load = load(2000, 5, 50, 4 * KIB);
                (
                    Load {
                        domains: 100,
                        stubborn: true,
                        ..load
                    },
                    20,
                )
            }
        }
    }
}

pub(crate) async fn run_all(args: &Args) {
    let workloads = if args.workloads.is_empty() {
        ALL.as_slice()
    } else {
        &args.workloads
    };
    let mut tables = Vec::new();
    for workload in workloads {
        let table = run(*workload, args).await;
        if !args.bench {
            println!("{}: well", table.workload());
        } else if !args.json {
            println!("{table}");
        }
        tables.push(table);
    }
    if args.bench && args.json {
        println!("{}", serde_json::to_string_pretty(&tables).unwrap());
    }
}

async fn run(workload: Workload, args: &Args) -> Table {
    let chaos = (workload == Workload::Chaos).then_some(args.seed);
    let mut stage = Stage::new(chaos).await;
    let (mut load, few) = workload.load();
    let rounds = if args.bench { args.rounds } else { 1 };
    load.messages = args.messages.unwrap_or(load.messages);
    if !args.bench {
        load.messages = few;
    }
    let mut table = Table::new(workload, load.messages);
    for _ in 0..rounds {
        for name in workload.contestants() {
            if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
                continue;
            }
            let Some(contestant) = stage.start(name, chaos.is_some()) else {
                eprintln!("{name} is not installed: skipped");
                continue;
            };
            let sample = turn(workload, &mut stage, &contestant, load).await;
            table.add(name, sample);
        }
    }
    table
}

/// One contestant, once, warm.
async fn turn(
    workload: Workload,
    stage: &mut Stage,
    contestant: &Contestant,
    load: Load,
) -> Sample {
    if workload == Workload::Idle {
        return idle::measure(contestant, load.messages).await;
    }
    let warm_up = Load {
        messages: load.at_a_time * load.per_session.min(20),
        ..load
    };
    if !load.stubborn && load.size < KIB * KIB {
        send(&contestant.target, warm_up).await;
    }
    stage.sink.ask("report");
    let cpu = || contestant.process.as_ref().map(Process::cpu);
    let before = cpu().unwrap_or_default();
    let sent = send(&contestant.target, load).await;
    let after = cpu().unwrap_or_default();
    let book = checked(&mut stage.sink, load.messages);
    Sample {
        connections: book.connections as f64,
        ..sample(load, sent, before, after)
    }
}

/// Not one message is lost, doubled or corrupted.
fn checked(sink: &mut Process, messages: usize) -> Book {
    let book: Book = serde_json::from_str(&sink.ask("report")).unwrap();
    let lost = messages - book.taken.len();
    let doubled = book.taken.values().filter(|times| **times > 1).count();
    assert_eq!(
        (lost, doubled, book.corrupted),
        (0, 0, 0),
        "lost, doubled, corrupted"
    );
    book
}

fn sample(load: Load, sent: Sent, before: Cpu, after: Cpu) -> Sample {
    let mut times = sent.times;
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64();
    let messages = load.messages as f64;
    Sample {
        rate: messages / sent.elapsed.as_secs_f64(),
        user: (after.user - before.user) * 1e6 / messages,
        system: (after.system - before.system) * 1e6 / messages,
        p50: at(50) * 1e3,
        p99: at(99) * 1e3,
        failed: sent.failed as f64,
        ..Sample::default()
    }
}
