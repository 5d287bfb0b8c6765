//! The domains that the operator lists: the only ones that a label holds.

use std::collections::HashMap;

use arc_swap::ArcSwap;
use prometheus::{IntCounter, IntCounterVec};

use super::kinds::ENCRYPTIONS;
use crate::name::{Destination, Domain};
use crate::policy::authorize::Authentication;
use crate::policy::failure::Failure;
use crate::policy::outcome::Seal;

/// The counters of each listed domain, made when it is listed.
#[derive(Debug, Default)]
pub(super) struct Listed(ArcSwap<HashMap<Domain, Counters>>);

#[derive(Debug)]
struct Counters {
    /// By [`Authentication::ALL`], under TLS.
    sealed: [IntCounter; Authentication::ALL.len()],
    open: IntCounter,
    blocked: Vec<(&'static str, IntCounter)>,
}

impl Counters {
    fn of(domain: &str, deliveries: &IntCounterVec, blocked: &IntCounterVec) -> Self {
        let [tls, plaintext] = ENCRYPTIONS;
        let delivered = |encryption, how: Authentication| {
            deliveries.with_label_values(&[domain, encryption, how.label()])
        };
        let reasons = Failure::POLICY_REASONS.into_iter();
        Self {
            sealed: Authentication::ALL.map(|how| delivered(tls, how)),
            open: delivered(plaintext, Authentication::None),
            blocked: reasons
                .map(|reason| (reason, blocked.with_label_values(&[domain, reason])))
                .collect(),
        }
    }
}

impl Listed {
    /// Lists these domains and no others. The counters of a list that stays the same stay.
    pub(super) fn replace(
        &self,
        domains: &[Domain],
        deliveries: &IntCounterVec,
        blocked: &IntCounterVec,
    ) {
        let before = self.0.load();
        if before.len() == domains.len() && domains.iter().all(|one| before.contains_key(one)) {
            return;
        }
        deliveries.reset();
        blocked.reset();
        let counters = |domain: &Domain| {
            let counters = Counters::of(domain.as_str(), deliveries, blocked);
            (domain.clone(), counters)
        };
        self.0.store(
            domains
                .iter()
                .map(counters)
                .collect::<HashMap<_, _>>()
                .into(),
        );
    }

    /// Counts a message that an MX accepted.
    pub(super) fn delivered(&self, destination: &Destination, seal: &Seal) {
        self.with(destination, |counters| match seal {
            Seal::Open(_) => counters.open.inc(),
            // The order of `ALL` is that of the declaration, which a test makes sure of.
            Seal::Tls { authentication, .. } => counters.sealed[*authentication as usize].inc(),
        });
    }

    /// Counts a leg that was kept back.
    pub(super) fn blocked(&self, destination: &Destination, reason: &str) {
        self.with(destination, |counters| {
            let found = counters.blocked.iter().find(|(known, _)| *known == reason);
            if let Some((_, counter)) = found {
                counter.inc();
            }
        });
    }

    fn with(&self, destination: &Destination, count: impl FnOnce(&Counters)) {
        let listed = self.0.load();
        if let Some(counters) = destination.domain().and_then(|domain| listed.get(domain)) {
            count(counters);
        }
    }
}
