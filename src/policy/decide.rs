//! The decision: facts and rule in, verdict out. Pure and total.
//!
//! Order of precedence: the operator's rule; where that is `standard`, the hosts that an MTA-STS policy in
//! mode `enforce` names (RFC 8461 §5), then their TLSA records (RFC 7672), then PKIX where that policy asks
//! for it; then the floor of `standard`. Without any rule, `standard` with the floor `may` is in force. Levels
//! other than `standard` and `dane-only` do not look at DANE at all, as in Postfix; `secure` looks at MTA-STS
//! where its `match` says so.
//!
//! `names` holds what a certificate has to name, `mta_sts` what a policy of RFC 8461 asks for.

use std::net::IpAddr;
use std::sync::Arc;

use crate::dns::Security;
use crate::mtasts;
use crate::name::Destination;
use crate::policy::downgrade::{Extent, Guard, Shown, Watch};
use crate::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, MtaSts, NoDane};
use crate::policy::failure::Failure;
use crate::policy::handshake::TlsVersion;
use crate::policy::requirement::{Demand, Mode, Requirement, Roots};
use crate::policy::rules::{Floor, Level, Rule};
use crate::policy::verdict::{Candidate, Plan, Policy, Verdict, Way};

mod mta_sts;
mod names;

/// What is decided about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The recipient's domain or literal: `nexthop` in a rule's words.
    pub destination: &'a Destination,
    /// The rule in force, if any.
    pub rule: Option<&'a Rule>,
    /// What is known.
    pub facts: &'a Facts,
    /// The port of an MX without a route.
    pub port: u16,
    /// The trust anchors of the configuration.
    pub roots: &'a Arc<Roots>,
    /// How downgrades are met.
    pub guard: Guard,
}

/// A verdict, and what it rests on.
#[derive(Debug)]
pub struct Decision {
    /// The rule in force, if any.
    pub rule: Option<Arc<Rule>>,
    /// What is known.
    pub facts: Facts,
    /// What follows.
    pub verdict: Verdict,
}

/// Decides.
pub fn decide(question: &Question<'_>) -> Verdict {
    let stop = |failure| Verdict::Stop {
        policy: question.policy_of(&failure),
        failure,
    };
    let next_hop = || question.facts.next_hop.clone();
    match &question.facts.hosts {
        Hosts::LookupFailed(error) => stop(Failure::Dns {
            question: format!("MX of {}", question.facts.next_hop),
            error: *error,
        }),
        Hosts::NoSuchDomain => stop(Failure::NoSuchDomain(next_hop())),
        Hosts::NullMx => stop(Failure::NullMx(next_hop())),
        Hosts::NoneUsable => stop(Failure::NoUsableMx(next_hop())),
        Hosts::Known(hosts) => Verdict::Deliver(Plan {
            candidates: hosts.iter().map(|host| question.candidate(host)).collect(),
            port: question.port(),
        }),
    }
}

impl Question<'_> {
    pub(super) fn level(&self) -> &Level {
        self.rule
            .map_or(&Level::Standard(Floor::May), |rule| &rule.level)
    }

    pub(super) fn mode(&self) -> Mode {
        self.rule.map_or(Mode::Enforce, |rule| rule.mode)
    }

    fn port(&self) -> u16 {
        let route = self.rule.and_then(|rule| rule.route.as_ref());
        route.map_or(self.port, |route| route.port)
    }

    /// Whose word it is where the destination publishes nothing. `standard` whose floor is `may` demands
    /// nothing of its own.
    pub(super) fn own_policy(&self) -> Policy {
        match self.level() {
            Level::Standard(Floor::May) => Policy::Opportunistic,
            _ => Policy::Rule,
        }
    }

    /// Whose word it is that this failure stops mail: what fails for want of a proof fails by DANE.
    fn policy_of(&self, failure: &Failure) -> Policy {
        match self.own_policy() {
            Policy::Opportunistic if failure.is_about_policy() => Policy::Dane,
            own => own,
        }
    }

    fn candidate(&self, facts: &HostFacts) -> Candidate {
        let (policy, way) = match self.way(facts) {
            Ok(way) => (way.requirement.policy, Ok(way)),
            Err((policy, failure)) => (policy, Err(failure)),
        };
        Candidate {
            host: facts.host.clone(),
            preference: facts.preference,
            policy,
            way,
        }
    }

    fn way(&self, facts: &HostFacts) -> Result<Way, (Policy, Failure)> {
        let addresses = addresses(facts).map_err(|failure| (self.policy_of(&failure), failure))?;
        let asked = self.asked(facts);
        // What no host can satisfy is not dialled, unless the rule only observes.
        if let (Demand::Unsatisfiable(failure), Mode::Enforce) = (&asked.demand, self.mode()) {
            return Err((asked.policy, failure.clone()));
        }
        let requirement = Requirement {
            demand: asked.demand,
            tested: asked.tested,
            policy: asked.policy,
            mode: self.mode(),
            min_version: self.rule.map_or(TlsVersion::Tls12, |rule| rule.min_version),
            server_name: self.server_name(facts),
            watch: self.watch(facts),
        };
        Ok(Way {
            addresses,
            requirement: Arc::new(requirement),
        })
    }

    /// What the host has shown before, as far as it is to be seen again.
    fn watch(&self, facts: &HostFacts) -> Option<Watch> {
        let known = facts.known?;
        let is_out_of_sight =
            known.best == Shown::Dane && facts.dane == Dane::Absent(NoDane::NoDnssec);
        let extent = match self.level() {
            Level::None => return None,
            Level::Standard(_) if !is_out_of_sight => Extent::Proof(Arc::clone(self.roots)),
            _ => Extent::Tls,
        };
        Some(Watch {
            known,
            extent,
            guard: self.guard,
        })
    }

    fn asked(&self, facts: &HostFacts) -> Asked {
        let demand = match self.level() {
            Level::None => Demand::Plaintext,
            Level::May => Demand::Opportunistic,
            Level::Encrypt => Demand::Encryption,
            Level::Standard(floor) => return self.standard(*floor, facts),
            Level::DaneOnly => self.dane_only(facts),
            Level::Secure { matches, roots } => {
                let roots = roots.as_ref().unwrap_or(self.roots);
                self.secure(matches, roots, facts)
            }
            Level::Fingerprint(prints) => Demand::Fingerprint(Arc::clone(prints)),
        };
        Asked::of(demand, self.own_policy())
    }

    /// Level `standard`: what the destination publishes, at least the floor.
    fn standard(&self, floor: Floor, facts: &HostFacts) -> Asked {
        let asked = self.by_dane(floor, facts);
        match self.mta_sts() {
            MtaSts::Absent(_) => asked,
            MtaSts::Policy(fetched) => match fetched.policy.mode {
                mtasts::Mode::Enforce => self.by_mta_sts(&fetched.policy, facts),
                // RFC 8461 §5: deliver as if there were no policy, and report.
                mtasts::Mode::Testing => Asked {
                    tested: Some(self.by_mta_sts(&fetched.policy, facts).demand),
                    ..asked
                },
                mtasts::Mode::None => asked,
            },
            // DANE proves the host by itself; nothing weaker will do while nobody knows.
            MtaSts::Unknown(why) => match asked.demand {
                Demand::Dane { .. } => asked,
                _ => Asked::of(self.nobody_knows(why, &facts.host), Policy::MtaSts),
            },
        }
    }

    fn by_dane(&self, floor: Floor, facts: &HostFacts) -> Asked {
        match (&facts.dane, floor) {
            (Dane::Absent(_), Floor::May) => Asked::of(Demand::Opportunistic, self.own_policy()),
            (Dane::Absent(_), Floor::Encrypt) => Asked::of(Demand::Encryption, self.own_policy()),
            _ => Asked::of(self.published(facts), Policy::Dane),
        }
    }

    /// What the host's TLSA records ask for, as far as it is known.
    fn published(&self, facts: &HostFacts) -> Demand {
        match &facts.dane {
            Dane::Published(set) if set.is_usable() => Demand::Dane {
                set: Arc::clone(set),
                references: self.dane_references(set.base()),
            },
            // RFC 7672 §2.2: TLS is mandatory, and any certificate will do.
            Dane::Published(_) => Demand::Encryption,
            // RFC 7672 §2.1.2: whoever can make a look-up fail must not be able to switch TLS off.
            Dane::LookupFailed { question, error } => Demand::Unsatisfiable(Failure::DaneLookup {
                host: facts.host.clone(),
                question: question.clone(),
                error: *error,
            }),
            Dane::Absent(why) => unsatisfiable(facts, *why),
        }
    }

    /// Level `dane-only`: as published, and nothing less than a match.
    fn dane_only(&self, facts: &HostFacts) -> Demand {
        match &facts.dane {
            // RFC 7672 §2.2.1: MX records that are not signed may lead anywhere.
            Dane::Published(_) if self.facts.security == Security::Insecure => {
                unsatisfiable(facts, NoDane::InsecureMx)
            }
            Dane::Published(set) if !set.is_usable() => unsatisfiable(facts, NoDane::NoneUsable),
            _ => self.published(facts),
        }
    }
}

/// What a host must prove, and by whose word.
struct Asked {
    demand: Demand,
    policy: Policy,
    tested: Option<Demand>,
}

impl Asked {
    fn of(demand: Demand, policy: Policy) -> Self {
        Self {
            demand,
            policy,
            tested: None,
        }
    }
}

fn addresses(facts: &HostFacts) -> Result<Vec<IpAddr>, Failure> {
    match &facts.addresses {
        Addresses::Known(addresses) => Ok(addresses.clone()),
        Addresses::None => Err(Failure::NoAddress(facts.host.clone())),
        Addresses::LookupFailed(error) => Err(Failure::Dns {
            question: format!("address of {}", facts.host),
            error: *error,
        }),
    }
}

fn unsatisfiable(facts: &HostFacts, why: NoDane) -> Demand {
    Demand::Unsatisfiable(Failure::DaneRequired {
        host: facts.host.clone(),
        why,
    })
}
