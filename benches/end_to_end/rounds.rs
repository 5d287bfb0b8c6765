//! Round after round each contestant takes its turn.

use clap::ValueEnum;

use crate::args::{Args, Workload};
use crate::contestant::start;
use crate::load::Load;
use crate::report::Table;
use crate::report::machine;
use crate::stage::Stage;
use crate::turn::{calls, turn};

pub(crate) async fn run_all(args: &Args) {
    let workloads = if args.workloads.is_empty() {
        Workload::value_variants()
    } else {
        &args.workloads
    };
    if args.bench && !args.json {
        println!("{}", machine::description());
    }
    let mut tables = Vec::new();
    for workload in workloads {
        let table = run(*workload, args).await;
        if !args.bench {
            println!("{}: well", table.workload());
        } else if !args.json {
            println!("{table}");
        }
        if *workload == Workload::Broken {
            assert_eq!(table.lines(false), [""; 0], "the bench is blind");
        }
        tables.push(table);
    }
    if args.bench && args.json {
        println!("{}", serde_json::to_string_pretty(&tables).unwrap());
    } else if args.bench {
        println!("## What is met, and what is not");
        for (head, reached) in [("Met", true), ("Not met", false)] {
            println!("\n{head}:\n");
            for line in tables.iter().flat_map(|table| table.lines(reached)) {
                println!("- {line}");
            }
        }
    }
}

async fn run(workload: Workload, args: &Args) -> Table {
    let mut load = workload.load();
    let mut rounds = args.rounds;
    if args.bench {
        load.messages = args.messages.unwrap_or(load.messages);
    } else {
        (load, rounds) = (workload.little(), 1);
    }
    let mut stage = Stage::new(workload, args).await;
    let mut table = Table::new(workload, load.messages);
    for round in 0..rounds {
        for name in workload.contestants() {
            if !takes_part(workload, name, args) {
                continue;
            }
            match start(&stage, name).await {
                Ok(contestant) => {
                    let load = workload.share(name, load);
                    let sample = turn(workload, &mut stage, &contestant, load).await;
                    table.add(name, sample);
                }
                Err(why) if round == 0 => eprintln!("{workload:?} without {name}: {why}"),
                Err(_) => {}
            }
        }
    }
    if args.bench {
        count_calls(&mut stage, &mut table, load).await;
    }
    table
}

fn takes_part(workload: Workload, name: &str, args: &Args) -> bool {
    // It starts slowly: for a test once is enough.
    let again = !args.bench && name == "postfix" && workload != Workload::Front;
    let wanted = args.only.is_empty() || args.only.iter().any(|only| only == name);
    wanted && !again
}

/// Once for each, when all rounds are over.
async fn count_calls(stage: &mut Stage, table: &mut Table, load: Load) {
    let load = Load {
        messages: load.messages.div_ceil(5),
        ..load
    };
    for name in table.names() {
        if let Ok(contestant) = start(stage, name).await {
            let load = table.kind.share(name, load);
            let calls = calls(table.kind, stage, &contestant, load).await;
            table.set_calls(name, calls.unwrap_or_default());
        }
    }
}
