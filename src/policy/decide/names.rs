//! What a certificate has to name, and what is sent as SNI.

use std::sync::Arc;

use super::Question;
use crate::dns::Security;
use crate::name::{Destination, Domain, Host, MailHost};
use crate::policy::facts::{Dane, HostFacts};
use crate::policy::requirement::{Demand, Reference, Roots};
use crate::policy::rules::{NameMatch, ServerName};

impl Question<'_> {
    /// Level `secure`: a trusted chain, and one of the names of `match`.
    pub(super) fn secure(
        &self,
        matches: &[NameMatch],
        roots: &Arc<Roots>,
        facts: &HostFacts,
    ) -> Demand {
        let references: Vec<Reference> = matches
            .iter()
            .filter_map(|word| self.reference(word, &facts.host))
            .collect();
        if references.is_empty() && matches.contains(&NameMatch::MtaSts) {
            return self.not_named(&facts.host);
        }
        Demand::Pkix {
            references,
            roots: Arc::clone(roots),
        }
    }

    /// RFC 7672 §3.2.2: the TLSA base domain, and the next-hop domain with its expansion; the latter two
    /// only where the way from them to the host is proven.
    pub(super) fn dane_references(&self, base: &Host) -> Vec<Host> {
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
            NameMatch::MtaSts => Reference::Name(self.named_by_policy(host)?.clone()),
            NameMatch::Name(name) => Reference::Name(name.clone()),
            NameMatch::Below(name) => Reference::Below(name.clone()),
        })
    }

    pub(super) fn server_name(&self, facts: &HostFacts) -> Option<Host> {
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

fn host_of(domain: &Domain) -> Host {
    Host::from(domain.clone())
}
