//! The decision: facts and rule in, verdict out. Pure and total.
//!
//! Order of precedence: the operator's rule; where that is `standard`, the host's TLSA records (RFC 7672);
//! then the floor of `standard`. Without any rule, `standard` with the floor `may` is in force. Levels other
//! than `standard` and `dane-only` do not look at DANE at all, as in Postfix.

use std::sync::Arc;

use crate::dns::Security;
use crate::name::{Destination, Domain, Host, MailHost};
use crate::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, NoDane};
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
    fn level(&self) -> &Level {
        self.rule
            .map_or(&Level::Standard(Floor::May), |rule| &rule.level)
    }

    fn mode(&self) -> Mode {
        self.rule.map_or(Mode::Enforce, |rule| rule.mode)
    }

    fn port(&self) -> u16 {
        let route = self.rule.and_then(|rule| rule.route.as_ref());
        route.map_or(self.port, |route| route.port)
    }

    /// Whose word it is where the destination publishes nothing. `standard` whose floor is `may` demands
    /// nothing of its own.
    fn own_policy(&self) -> Policy {
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
        let way = self.way(facts);
        Candidate {
            host: facts.host.clone(),
            preference: facts.preference,
            policy: match &way {
                Ok(way) => way.requirement.policy,
                Err(failure) => self.policy_of(failure),
            },
            way,
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
        let (demand, policy) = self.demand(facts);
        // What no host can satisfy is not dialled, unless the rule only observes.
        if let (Demand::Unsatisfiable(failure), Mode::Enforce) = (&demand, self.mode()) {
            return Err(failure.clone());
        }
        let requirement = Requirement {
            demand,
            policy,
            mode: self.mode(),
            min_version: self.rule.map_or(TlsVersion::Tls12, |rule| rule.min_version),
            server_name: self.server_name(facts),
        };
        Ok(Way {
            addresses,
            requirement,
        })
    }

    fn demand(&self, facts: &HostFacts) -> (Demand, Policy) {
        let demand = match self.level() {
            Level::None => Demand::Plaintext,
            Level::May => Demand::Opportunistic,
            Level::Encrypt => Demand::Encryption,
            Level::Standard(floor) => match (&facts.dane, floor) {
                (Dane::Absent(_), Floor::May) => Demand::Opportunistic,
                (Dane::Absent(_), Floor::Encrypt) => Demand::Encryption,
                _ => return (self.published(facts), Policy::Dane),
            },
            Level::DaneOnly => self.dane_only(facts),
            Level::Secure { matches, roots } => Demand::Pkix {
                references: matches
                    .iter()
                    .filter_map(|word| self.reference(word, &facts.host))
                    .collect(),
                roots: Arc::clone(roots.as_ref().unwrap_or(self.roots)),
            },
            Level::Fingerprint(prints) => Demand::Fingerprint(Arc::clone(prints)),
        };
        (demand, self.own_policy())
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

    /// RFC 7672 §3.2.2: the TLSA base domain, and the next-hop domain with its expansion; the latter two
    /// only where the way from them to the host is proven.
    fn dane_references(&self, base: &Host) -> Vec<Host> {
        let mut names = vec![base.clone()];
        if self.facts.security == Security::Secure {
            let next_hop = self.facts.next_hop.domain().map(host_of);
            let more = next_hop.into_iter().chain(self.facts.expanded.clone());
            for name in more {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
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

    fn server_name(&self, facts: &HostFacts) -> Option<Host> {
        match self.rule.map(|rule| &rule.server_name) {
            None | Some(ServerName::Hostname) => match &facts.dane {
                // RFC 7672 §8.1: the name for SNI is the TLSA base domain.
                Dane::Published(set) => Some(set.base().clone()),
                _ => facts.host.name().cloned(),
            },
            Some(ServerName::Nexthop) => self.destination.domain().map(host_of),
            Some(ServerName::Name(name)) => Some(name.clone()),
        }
    }
}

fn unsatisfiable(facts: &HostFacts, why: NoDane) -> Demand {
    Demand::Unsatisfiable(Failure::DaneRequired {
        host: facts.host.clone(),
        why,
    })
}

fn host_of(domain: &Domain) -> Host {
    Host::from(domain.clone())
}
