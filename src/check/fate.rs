//! What becomes of mail: sealed, encrypted, in the clear, or kept back.

use super::{Inspected, falls_back, most_telling, peers};
use crate::name::Destination;
use crate::policy::authorize::Authentication;
use crate::policy::failure::Failure;
use crate::policy::requirement::{Demand, Mode, Requirement};
use crate::policy::verdict::{Plan, Policy, Verdict};
use crate::proxy::settings::AfterFailedHandshake;

use super::Grade;

/// What becomes of mail to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It leaves only to a server that proves who it is, in this way.
    Sealed(Authentication),
    /// It leaves with TLS, to whoever answers.
    Encrypted,
    /// It leaves with TLS where that is offered. Nobody has looked whether it is.
    Offered,
    /// It leaves in the clear.
    Clear,
    /// It does not leave.
    Stopped(Failure),
}

impl Fate {
    /// For the exit code.
    pub(super) fn grade(&self) -> Grade {
        match self {
            Self::Sealed(_) => Grade::Authenticated,
            Self::Encrypted | Self::Offered | Self::Clear => Grade::Unauthenticated,
            Self::Stopped(failure)
                if failure.is_about_policy() || failure.reply().is_permanent() =>
            {
                Grade::Blocked
            }
            Self::Stopped(_) => Grade::TemporaryFailure,
        }
    }

    /// The first host that may be tried speaks for the plan; without one the most telling failure.
    pub(super) fn of_plan(plan: &Plan, destination: &Destination) -> Self {
        let mut candidates = plan.candidates.iter();
        match candidates.find_map(|candidate| candidate.way.as_ref().ok()) {
            Some(way) => Self::of_requirement(&way.requirement),
            None => Self::of_failures(plan, &[], destination),
        }
    }

    fn of_requirement(requirement: &Requirement) -> Self {
        match (&requirement.demand, requirement.mode) {
            (Demand::Plaintext, _) => Self::Clear,
            (Demand::Opportunistic, _) | (_, Mode::Observe) => Self::Offered,
            (Demand::Encryption, _) => Self::Encrypted,
            (Demand::Pkix { .. }, _) => Self::Sealed(Authentication::Pkix),
            (Demand::Dane { .. }, _) => Self::Sealed(Authentication::Dane),
            (Demand::Fingerprint(_), _) => Self::Sealed(Authentication::Fingerprint),
            (Demand::Unsatisfiable(failure), Mode::Enforce) => Self::Stopped(failure.clone()),
        }
    }

    /// Mail goes to the first host that proves what it must.
    pub(super) fn of_inspections(
        plan: &Plan,
        inspected: &[Inspected],
        fallback: AfterFailedHandshake,
        destination: &Destination,
    ) -> Self {
        for (inspected, (_, requirement)) in inspected.iter().zip(peers(plan)) {
            let seen = &inspected.seen;
            match (&seen.proof, &seen.handshake) {
                (Ok(proof), handshake) => {
                    return match (proof.authentication(), handshake) {
                        (Authentication::None, Some(_)) => Self::Encrypted,
                        (Authentication::None, None) => Self::Clear,
                        (authentication, _) => Self::Sealed(authentication),
                    };
                }
                (Err(failure), _) if falls_back(failure, requirement, fallback) => {
                    return Self::Clear;
                }
                (Err(_), _) => {}
            }
        }
        Self::of_failures(plan, inspected, destination)
    }

    fn of_failures(plan: &Plan, inspected: &[Inspected], destination: &Destination) -> Self {
        let failure = most_telling(plan, inspected);
        Self::Stopped(failure.cloned().unwrap_or_else(|| {
            // No host at all.
            Failure::NoUsableMx(destination.clone())
        }))
    }
}

/// Whose word decides about the first host that may be tried, or that none may.
pub(super) fn policy(verdict: &Verdict) -> Policy {
    match verdict {
        Verdict::Stop { policy, .. } => *policy,
        Verdict::Deliver(plan) => {
            let usable = plan.candidates.iter().find(|one| one.way.is_ok());
            let told = usable.or(plan.candidates.first());
            told.map_or(Policy::Opportunistic, |candidate| candidate.policy)
        }
    }
}
