//! waxseal between a load generator and a TLS sink, measured beside what else could stand there.
//!
//! | contestant | what stands between |
//! | --- | --- |
//! | `plain`, `tls` | nothing: plaintext to the sink; TLS to the sink, which is what an MTA pays by itself |
//! | `floor`, `floor-pool` | a minimal rustls proxy without policy, logs or time-outs; the same with a pool |
//! | `waxseal-fresh`, `waxseal` | waxseal without its pool, and with it |
//! | `waxseal-1-thread` | waxseal with one thread |
//! | `waxseal-socks5` | waxseal as SOCKS server: the MTA chooses the MX |
//! | `stunnel` | stunnel (`protocol = smtp`), where it is installed |
//! | `postfix`, `postfix-reuse`, `postfix-plain` | Postfix and its queue (root alone), which hands on over TLS, the same with reuse of connections, in plaintext |
//! | `postfix-waxseal`, `postfix-waxseal-lmtp` | the same Postfix, which hands on to waxseal |
//! | `acknowledges-early`, `flips-a-bit`, `sends-twice` | proxies that are broken on purpose |
//!
//! Policy tables are asked by clients of another kind: `waxseal-socketmap`, `echo` (a server that has one answer),
//! `mta-sts-resolver` (from the Python package index) and `tlspol` (postfix-tlspol, where it is on the search path).
//!
//! Each is a process of its own, so that its CPU time and memory are its own; all meet the same load, in turn, round
//! after round. The sink checks the sum of every message: none may be lost, doubled or corrupted; what is broken on
//! purpose has to be noticed.
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
mod contestant;
mod load;
mod process;
mod report;
mod rounds;
mod stage;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tls;
mod turn;
mod wire;
mod workload;

use clap::Parser;
use tokio::runtime::Runtime;

use self::args::{Args, Role};
use self::contestant::{echo, floor};
use self::stage::chaos::Chaos;
use self::stage::sink;

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
