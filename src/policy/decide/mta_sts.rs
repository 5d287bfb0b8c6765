//! What an MTA-STS policy asks of a host (RFC 8461 §4).

use std::sync::Arc;

use super::{Asked, Question};
use crate::mtasts::Policy as StsPolicy;
use crate::name::{Host, MailHost};
use crate::policy::facts::{Dane, HostFacts, MtaSts, NoMtaSts, Unknown};
use crate::policy::failure::Failure;
use crate::policy::requirement::{Demand, Reference};
use crate::policy::rules::MtaStsUse;
use crate::policy::verdict::Policy;

/// What is known where the rule does not want to know.
const NOT_ASKED: &MtaSts = &MtaSts::Absent(NoMtaSts::NotAsked);

impl Question<'_> {
    /// The domain's policy, unless the rule says that it does not count.
    pub(in crate::policy) fn mta_sts(&self) -> &MtaSts {
        match self.rule.map(|rule| rule.mta_sts) {
            Some(MtaStsUse::Ignored) => NOT_ASKED,
            None | Some(MtaStsUse::Followed) => &self.facts.mta_sts,
        }
    }

    /// What `policy` asks of the host where it is enforced.
    pub(super) fn by_mta_sts(&self, policy: &StsPolicy, facts: &HostFacts) -> Asked {
        let name = facts.host.name();
        let Some(name) = name.filter(|name| policy.covers(name)) else {
            return Asked::of(self.not_named(&facts.host), Policy::MtaSts);
        };
        match &facts.dane {
            // RFC 8461 §2: a policy never overrides DANE that fails, and where DANE can prove, it proves.
            Dane::LookupFailed { .. } => Asked::of(self.published(facts), Policy::Dane),
            Dane::Published(set) if set.is_usable() => {
                Asked::of(self.published(facts), Policy::Dane)
            }
            Dane::Published(_) | Dane::Absent(_) => Asked::of(self.pkix(name), Policy::MtaSts),
        }
    }

    /// RFC 8461 §4.2: the certificate names the host of the MX record, and not just any host of the policy.
    fn pkix(&self, name: &Host) -> Demand {
        Demand::Pkix {
            references: vec![Reference::Name(name.clone())],
            roots: Arc::clone(self.roots),
        }
    }

    /// The host's name, where the domain's policy has it, enforced or tested.
    pub(in crate::policy) fn named_by_policy<'h>(&self, host: &'h MailHost) -> Option<&'h Host> {
        let name = host.name()?;
        match &self.facts.mta_sts {
            MtaSts::Policy(fetched) if fetched.policy.covers(name) => Some(name),
            _ => None,
        }
    }

    /// No policy names the host.
    pub(super) fn not_named(&self, host: &MailHost) -> Demand {
        let failure = match (&self.facts.mta_sts, self.facts.next_hop.domain()) {
            (MtaSts::Unknown(why), _) => return self.nobody_knows(why, host),
            (MtaSts::Policy(_), Some(domain)) => Failure::MtaStsMismatch {
                host: host.clone(),
                domain: domain.clone(),
            },
            (MtaSts::Absent(why), _) => required(host, why.clone()),
            (MtaSts::Policy(_), None) => required(host, NoMtaSts::NoDomain),
        };
        Demand::Unsatisfiable(failure)
    }

    /// A look-up that failed is no absence.
    pub(super) fn nobody_knows(&self, why: &Unknown, host: &MailHost) -> Demand {
        Demand::Unsatisfiable(match self.facts.next_hop.domain() {
            Some(domain) => Failure::MtaStsLookup {
                domain: domain.clone(),
                why: why.clone(),
            },
            None => required(host, NoMtaSts::NoDomain),
        })
    }
}

fn required(host: &MailHost, why: NoMtaSts) -> Failure {
    Failure::MtaStsRequired {
        host: host.clone(),
        why,
    }
}
