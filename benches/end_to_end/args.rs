//! What is asked for.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

use crate::contestant::broken::Flaw;

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
        #[arg(long, requires = "odds")]
        seed: Option<u64>,
        /// One step in so many.
        #[arg(long, requires = "seed")]
        odds: Option<u32>,
    },
    /// The minimal policy table.
    #[command(hide = true)]
    Echo { port: u16 },
    /// The minimal proxy.
    #[command(hide = true)]
    Floor {
        port: u16,
        sink: SocketAddr,
        #[arg(long)]
        pool: bool,
        /// What it does wrong.
        #[arg(long)]
        flaw: Option<Flaw>,
    },
}

/// A kind of load.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// 4 KiB, 1 message per connection, 50 at a time.
    One,
    /// 4 KiB, 20 messages per connection, 50 at a time.
    Twenty,
    /// As `twenty`, to 100 domains on one MX in turn.
    Domains,
    /// As `twenty`, to 1,000 domains on one MX in turn.
    Thousand,
    /// As `twenty`, waxseal with one runtime thread and with one for each processor.
    Threads,
    /// 10 MiB, 8 at a time.
    Bulk,
    /// One message of 1 GiB.
    Huge,
    /// 4 KiB, one session at a time.
    Latency,
    /// 4 KiB, 1 message per connection, and the MTA chooses the MX.
    Chosen,
    /// 2,000 idle sessions, KiB of resident memory for each.
    Idle,
    /// 4 KiB, 20 messages per connection, to Postfix, which hands on what it has queued: until the sink has it.
    Front,
    /// 16 clients ask a policy table for domains whose answers it knows.
    Table16,
    /// 64 clients ask a policy table for domains whose answers it knows.
    Table64,
    /// A sink that closes, stalls, resets or says 421 at one step in 60; who sends tries again until there is a 250.
    Chaos,
    /// The same, and contestants that are broken on purpose: the run fails unless it notices.
    Broken,
}
