//! `waxseal check DOMAIN`: what is known, what follows, and with `--connect` what the MX hosts show.
//!
//! The same gate that carries mail answers here, so the answer is what a message would meet. The exit
//! code is for scripts: 0 mail leaves to an authenticated server, 1 it may leave unauthenticated or in
//! plaintext, 2 it would be blocked or refused, 3 it would be deferred for now.

use std::sync::Arc;

use crate::dane;
use crate::dns::Tlsa;
use crate::name::{Destination, Domain};
use crate::policy::authorize::Peer;
use crate::policy::decide::Decision;
use crate::policy::failure::{Failure, Fault};
use crate::policy::requirement::{Demand, Requirement};
use crate::policy::verdict::{Plan, Verdict};
use crate::proxy::gate::Gate;
use crate::proxy::settings::AfterFailedHandshake;
use crate::proxy::upstream::Inspection;
use crate::time::{Clock, SystemClock};

mod fate;
mod mta_sts;
mod report;

pub use fate::Fate;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The recipient domain.
    pub destination: Destination,
    /// The sender domain, where a rule may depend on it.
    pub sender: Option<Domain>,
    /// Whether the MX hosts are dialled.
    pub depth: Depth,
}

/// How far a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// DNS and rules.
    Facts,
    /// Every address of every MX host is dialled.
    Connect,
}

/// What mail to the domain would meet. The exit code of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// It leaves to an authenticated server.
    Authenticated,
    /// It may leave unauthenticated, or in plaintext.
    Unauthenticated,
    /// It would be blocked or refused.
    Blocked,
    /// It would be deferred; later it may be different.
    TemporaryFailure,
}

impl Grade {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Authenticated => 0,
            Self::Unauthenticated => 1,
            Self::Blocked => 2,
            Self::TemporaryFailure => 3,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Unauthenticated => "unauthenticated",
            Self::Blocked => "blocked",
            Self::TemporaryFailure => "temporary-failure",
        }
    }
}

/// The answer.
#[derive(Debug)]
pub struct Report {
    request: Request,
    decision: Arc<Decision>,
    mta_sts: Option<mta_sts::View>,
    inspected: Vec<Inspected>,
    fate: Fate,
    grade: Grade,
}

/// What one address at one port showed.
#[derive(Debug)]
struct Inspected {
    peer: Peer,
    port: u16,
    seen: Inspection,
    /// Each TLSA record that it had to match one of, and what came of it.
    tlsa: Vec<(Tlsa, Result<dane::Match, dane::Why>)>,
}

/// Asks the gate.
pub async fn run(gate: &Gate, request: Request) -> Report {
    let decision = gate
        .decide(&request.destination, request.sender.as_ref())
        .await;
    let mut inspected = Vec::new();
    if let (Depth::Connect, Verdict::Deliver(plan)) = (request.depth, &decision.verdict) {
        for (peer, requirement) in peers(plan) {
            let seen = gate.inspect(&peer, plan.port, requirement).await;
            inspected.push(Inspected {
                tlsa: tlsa(requirement, &seen),
                port: plan.port,
                peer,
                seen,
            });
        }
    }
    let destination = &request.destination;
    let fate = match (&decision.verdict, request.depth) {
        (Verdict::Stop { failure, .. }, _) => Fate::Stopped(failure.clone()),
        (Verdict::Deliver(plan), Depth::Facts) => Fate::of_plan(plan, destination),
        (Verdict::Deliver(plan), Depth::Connect) => {
            let fallback = gate.settings.after_failed_handshake;
            Fate::of_inspections(plan, &inspected, fallback, destination)
        }
    };
    let mta_sts = mta_sts::View::of(gate, &decision.facts).await;
    Report {
        request,
        decision,
        mta_sts,
        inspected,
        grade: fate.grade(),
        fate,
    }
}

/// Each TLSA record held against the certificates that were shown.
fn tlsa(
    requirement: &Requirement,
    seen: &Inspection,
) -> Vec<(Tlsa, Result<dane::Match, dane::Why>)> {
    match (&requirement.demand, &seen.handshake) {
        (Demand::Dane { set, references }, Some(handshake)) => {
            dane::explain(set, references, &handshake.chain, SystemClock.now())
        }
        _ => Vec::new(),
    }
}

fn peers(plan: &Plan) -> Vec<(Peer, &Requirement)> {
    let mut peers = Vec::new();
    for candidate in &plan.candidates {
        if let Ok(way) = &candidate.way {
            for address in &way.addresses {
                let peer = Peer {
                    host: candidate.host.clone(),
                    address: *address,
                };
                peers.push((peer, &*way.requirement));
            }
        }
    }
    peers
}

/// The failure that the MTA would be told where no host will do: a policy that was not met beats the
/// network, and the later one beats the earlier one.
fn most_telling<'f>(plan: &'f Plan, inspected: &'f [Inspected]) -> Option<&'f Failure> {
    let untried = plan
        .candidates
        .iter()
        .filter_map(|candidate| candidate.way.as_ref().err());
    let failed = inspected
        .iter()
        .filter_map(|inspected| inspected.seen.proof.as_ref().err());
    untried.chain(failed).reduce(|worst, next| {
        if worst.is_about_policy() && !next.is_about_policy() {
            worst
        } else {
            next
        }
    })
}

fn falls_back(failure: &Failure, requirement: &Requirement, setting: AfterFailedHandshake) -> bool {
    matches!(
        failure,
        Failure::Attempt {
            fault: Fault::Handshake(_),
            ..
        }
    ) && requirement.allows_plaintext()
        && setting == AfterFailedHandshake::Plaintext
}
