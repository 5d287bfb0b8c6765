//! What is asked for.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

/// Measures waxseal between a load generator and a TLS sink.
#[derive(Parser, Debug)]
pub(crate) struct Args {
    /// What is measured. Default: everything.
    #[arg(value_enum)]
    pub(crate) workloads: Vec<Workload>,
    /// How often each contestant takes its turn.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Messages of each turn. Default: what the workload is made for.
    #[arg(long)]
    pub(crate) messages: Option<usize>,
    /// Only these contestants (targets that need others are left out).
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// What the sink's chaos is made of.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Cargo says so when it wants a measurement and not a test.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What a child process is.
#[derive(Subcommand, Debug)]
#[command(hide = true)]
pub(crate) enum Role {
    /// The mail server at the end.
    #[command(hide = true)]
    Sink {
        port: u16,
        /// Breaks connections at random, by this seed.
        #[arg(long)]
        chaos: Option<u64>,
    },
    /// The minimal proxy.
    #[command(hide = true)]
    Floor {
        port: u16,
        sink: SocketAddr,
        #[arg(long)]
        pool: bool,
    },
}

/// A kind of load.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// 4 KiB, 1 message per connection, 50 at a time.
    One,
    /// 4 KiB, 20 messages per connection, 50 at a time.
    Twenty,
    /// The same, to 100 domains on one MX in turn.
    Domains,
    /// 10 MiB, 8 at a time.
    Bulk,
    /// 4 KiB, one session at a time.
    Latency,
    /// 4 KiB, 1 message per connection, and the MTA chooses the MX.
    Chosen,
    /// 2,000 idle sessions.
    Idle,
    /// A sink that closes, stalls and resets at random.
    Chaos,
}
