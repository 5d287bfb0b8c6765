//! The decision: facts and rule in, verdict out. Pure and total.
//!
//! Order of precedence (the full list has arms for facts that this version does not gather yet, which
//! are absent here): the operator's rule; MTA-STS `enforce`; DANE; the floor of `standard`. Without any
//! rule, `standard` with the floor `may` is in force.

use std::sync::Arc;

use crate::name::{Destination, Domain, Host, MailHost};
use crate::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, MtaSts};
use crate::policy::failure::Failure;
use crate::policy::handshake::TlsVersion;
use crate::policy::requirement::{Demand, Mode, Reference, Requirement, Roots};
use crate::policy::rules::{Floor, Level, NameMatch, Rule, ServerName};
use crate::policy::verdict::{Candidate, Plan, Policy, Verdict, Way};

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
}

/// Decides.
pub fn decide(question: &Question<'_>) -> Verdict {
    let policy = question.policy();
    let stop = |failure| Verdict::Stop { failure, policy };
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
            port: question.route_port().unwrap_or(question.port),
            policy,
        }),
    }
}

impl Question<'_> {
    fn level(&self) -> &Level {
        self.rule
            .map_or(&Level::Standard(Floor::May), |rule| &rule.level)
    }

    fn mode(&self) -> Mode {
        self.rule.map_or(Mode::Enforce, |rule| rule.mode)
    }

    fn route_port(&self) -> Option<u16> {
        Some(self.rule?.route.as_ref()?.port)
    }

    /// Whose word the requirement is. `standard` whose floor is `may` demands nothing of its own.
    fn policy(&self) -> Policy {
        match (self.level(), self.facts.mta_sts) {
            (Level::Standard(Floor::May), MtaSts::Absent(_)) => Policy::Opportunistic,
            _ => Policy::Rule,
        }
    }

    fn candidate(&self, facts: &HostFacts) -> Candidate {
        Candidate {
            host: facts.host.clone(),
            preference: facts.preference,
            way: self.way(facts),
        }
    }

    fn way(&self, facts: &HostFacts) -> Result<Way, Failure> {
        let addresses = match &facts.addresses {
            Addresses::Known(addresses) => addresses.clone(),
            Addresses::None => return Err(Failure::NoAddress(facts.host.clone())),
            Addresses::LookupFailed(error) => {
                return Err(Failure::Dns {
                    question: format!("address of {}", facts.host),
                    error: *error,
                });
            }
        };
        let demand = self.demand(facts);
        // What no host can satisfy is not dialled, unless the rule only observes.
        if let (Demand::Unsatisfiable(failure), Mode::Enforce) = (&demand, self.mode()) {
            return Err(failure.clone());
        }
        let requirement = Requirement {
            demand,
            mode: self.mode(),
            min_version: self.rule.map_or(TlsVersion::Tls12, |rule| rule.min_version),
            server_name: self.server_name(&facts.host),
        };
        Ok(Way {
            addresses,
            requirement,
        })
    }

    fn demand(&self, facts: &HostFacts) -> Demand {
        match self.level() {
            Level::None => Demand::Plaintext,
            Level::May => Demand::Opportunistic,
            Level::Encrypt => Demand::Encryption,
            Level::Standard(floor) => match (self.facts.mta_sts, facts.dane, floor) {
                (MtaSts::Absent(_), Dane::Absent(_), Floor::May) => Demand::Opportunistic,
                (MtaSts::Absent(_), Dane::Absent(_), Floor::Encrypt) => Demand::Encryption,
            },
            Level::DaneOnly => match facts.dane {
                Dane::Absent(_) => Demand::Unsatisfiable(Failure::DaneRequired(facts.host.clone())),
            },
            Level::Secure { matches, roots } => Demand::Pkix {
                references: matches
                    .iter()
                    .filter_map(|word| self.reference(word, &facts.host))
                    .collect(),
                roots: Arc::clone(roots.as_ref().unwrap_or(self.roots)),
            },
            Level::Fingerprint(prints) => Demand::Fingerprint(Arc::clone(prints)),
        }
    }

    /// One word of `match`, for this destination and host. `dot-nexthop` of a literal means nothing.
    fn reference(&self, word: &NameMatch, host: &MailHost) -> Option<Reference> {
        Some(match word {
            NameMatch::Nexthop => match self.destination {
                Destination::Domain(domain) => Reference::Name(host_of(domain)),
                Destination::Literal(address) => Reference::Address(*address),
            },
            NameMatch::DotNexthop => Reference::Below(host_of(self.destination.domain()?)),
            NameMatch::Hostname => match host {
                MailHost::Named(host) => Reference::Name(host.clone()),
                MailHost::Address(address) => Reference::Address(*address),
            },
            NameMatch::Name(name) => Reference::Name(name.clone()),
            NameMatch::Below(name) => Reference::Below(name.clone()),
        })
    }

    fn server_name(&self, host: &MailHost) -> Option<Host> {
        match self.rule.map(|rule| &rule.server_name) {
            None | Some(ServerName::Hostname) => host.name().cloned(),
            Some(ServerName::Nexthop) => self.destination.domain().map(host_of),
            Some(ServerName::Name(name)) => Some(name.clone()),
        }
    }
}

fn host_of(domain: &Domain) -> Host {
    Host::from(domain.clone())
}
