//! `waxseal simulate`: what the rules would mean for the destinations of a mail log, or of a list.
//!
//! Each destination is asked of the same gate that carries mail, as `waxseal check` asks it, and its fate is weighed by
//! the number of messages that the log has. Without `--connect` that is what the policies demand; where the log tells
//! what TLS there was, messages that left in plaintext are held against it. Nothing but domains is kept of the log, no
//! mail is sent, and nothing that is found out goes into the store of a waxseal that runs.

use std::io::{self, Read};

use futures_util::StreamExt;
use futures_util::stream;

use crate::check::{self, Depth, Fate};
use crate::name::Destination;
use crate::policy::rules::Origin;
use crate::policy::verdict::Policy;
use crate::proxy::gate::Gate;

mod exim;
mod postfix;
mod report;
mod seen;
mod source;

pub use source::{Counts, Tally};

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A mail log of Postfix or Exim.
    Log,
    /// A domain a line.
    List,
}

/// Reads an input.
pub fn read(kind: Kind, input: impl Read) -> io::Result<Tally> {
    match kind {
        Kind::Log => Tally::of_log(input),
        Kind::List => Tally::of_list(input),
    }
}

/// How destinations are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Whether the MX hosts are dialled.
    pub depth: Depth,
    /// How many destinations are under way at once.
    pub jobs: usize,
}

/// What becomes of mail to one destination.
#[derive(Debug)]
struct Line {
    destination: Destination,
    counts: Counts,
    against: Against,
    fate: Fate,
    policy: Policy,
    rule: Option<Origin>,
}

/// Messages that have left, says the log, as they would not any more. Whoever connects knows better than a log.
#[derive(Debug, Clone, Copy, Default)]
struct Against {
    /// In plaintext, where TLS is demanded.
    plaintext: u64,
    /// To a server that proved nothing, where that is demanded. What that MTA trusts or looks for is its own matter, so
    /// that this is a question and no answer.
    unproven: u64,
}

impl Against {
    fn of(fate: &Fate, counts: Counts, depth: Depth) -> Self {
        let (plaintext, unproven) = match (fate, depth) {
            (Fate::Sealed(_), Depth::Facts) => (counts.plaintext, counts.unproven),
            (Fate::Encrypted, Depth::Facts) => (counts.plaintext, 0),
            _ => (0, 0),
        };
        Self {
            plaintext,
            unproven,
        }
    }
}

/// The answer.
#[derive(Debug)]
pub struct Simulation {
    /// Most messages first.
    lines: Vec<Line>,
    beyond: u64,
    unreadable: u64,
}

/// Asks the gate about each destination; `tick` hears of each that is done.
pub async fn run(gate: &Gate, tally: Tally, effort: Effort, tick: impl Fn()) -> Simulation {
    let ask = async |(destination, counts)| {
        let line = ask(gate, destination, counts, effort.depth).await;
        tick();
        line
    };
    let asked = stream::iter(tally.seen).map(ask);
    let mut lines: Vec<Line> = asked.buffer_unordered(effort.jobs).collect().await;
    lines.sort_by_cached_key(|line| {
        let most = std::cmp::Reverse((line.counts.messages, line.counts.unsent));
        (most, line.destination.to_string())
    });
    Simulation {
        lines,
        beyond: tally.beyond,
        unreadable: tally.unreadable,
    }
}

async fn ask(gate: &Gate, destination: Destination, counts: Counts, depth: Depth) -> Line {
    let request = check::Request {
        destination: destination.clone(),
        sender: None,
        depth,
    };
    let report = check::run(gate, request).await;
    Line {
        destination,
        counts,
        against: Against::of(report.fate(), counts, depth),
        fate: report.fate().clone(),
        policy: report.policy(),
        rule: report.rule_origin().cloned(),
    }
}
