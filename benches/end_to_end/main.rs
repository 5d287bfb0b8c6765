//! waxseal between a load generator and a TLS sink, measured beside what else could stand there.
//!
//! | contestant | what stands between |
//! | --- | --- |
//! | `plain`, `tls` | nothing: plaintext to the sink; TLS to the sink, which is what an MTA pays by itself |
//! | `floor`, `floor-pool` | a minimal rustls proxy without policy, logs or time-outs; the same with a pool |
//! | `waxseal-fresh`, `waxseal` | waxseal without its pool, and with it |
//! | `stunnel` | stunnel (`protocol = smtp`), where it is installed |
//!
//! Each is a process of its own, so that its CPU time and memory are its own; all meet the same load, in turn, round
//! after round. The sink checks the sum of every message: none may be lost, doubled or corrupted.
//!
//! `cargo bench --bench end_to_end -- one` measures; `-- --help` tells the rest; `cargo test --bench end_to_end`
//! sends a few messages through each, so that it stays alive.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a bench that cannot go on must say so and stop, and its result is what it prints"
)]

mod args;
mod asking;
mod body;
mod broken;
mod calls;
mod chaos;
mod contestant;
mod echo;
mod floor;
mod gate;
mod huge;
mod idle;
mod load;
mod machine;
mod policies;
mod postfix;
mod process;
mod proxied;
mod report;
mod rounds;
mod sink;
mod stage;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tables;
mod targets;
mod tls;
mod turn;
mod wire;
mod workload;

use clap::Parser;
use tokio::runtime::Runtime;

use self::args::{Args, Role};
use self::chaos::Chaos;

fn main() {
    let args = Args::parse();
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = Runtime::new().unwrap();
    match args.role {
        Some(Role::Sink { port, seed, odds }) => {
            let chaos = seed.zip(odds).map(|(seed, odds)| Chaos { seed, odds });
            runtime.block_on(sink::serve(port, chaos));
        }
        Some(Role::Echo { port }) => runtime.block_on(echo::serve(port)),
        Some(Role::Floor {
            port,
            sink,
            pool,
            flaw,
        }) => {
            runtime.block_on(floor::serve(port, sink, pool, flaw));
        }
        None => runtime.block_on(rounds::run_all(&args)),
    }
}
