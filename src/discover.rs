//! From a destination to its facts: the MX hosts and their addresses.
//!
//! RFC 5321 §5.1: the MX records, the lowest preference first; without any, the domain itself; a
//! record that points at the root says that the domain takes no mail (RFC 7505). The addresses of all
//! hosts are looked up at the same time, each in both families, and the failure of one host or one
//! family is noted where it belongs and nowhere else: one broken MX does not hold up the others.
//!
//! Where a rule follows DANE, each host's TLSA records are looked up once its addresses are known
//! (`discover/tlsa.rs`).
//!
//! This room promises facts, never a decision. The resolver caches the answers by TTL; what is remembered here is
//! only that a look-up failed a moment ago, so that a name server that is silent does not cost every message
//! to its domain the full time-out. What is remembered of a failure is a failure, never an absence.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use moka::sync::Cache;

use crate::dns::{Answer, Exchange, Family, Found, LookupError, Mx, Resolver, Security};
use crate::name::{Destination, Domain, Host, MailHost};
use crate::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, MtaSts, NoDane, NoMtaSts};

mod tlsa;

/// MX records of one domain that are looked at; a zone may hold thousands.
const MAX_MX: usize = 50;

/// Failed look-ups that are remembered, at most.
const MAX_FAILURES: u64 = 10_000;

/// Which address families are used, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOrder {
    /// IPv6 first.
    Ipv6First,
    /// IPv4 first.
    Ipv4First,
    /// Only IPv6.
    Ipv6Only,
    /// Only IPv4.
    Ipv4Only,
}

impl AddressOrder {
    fn families(self) -> &'static [Family] {
        match self {
            Self::Ipv6First => &[Family::Ipv6, Family::Ipv4],
            Self::Ipv4First => &[Family::Ipv4, Family::Ipv6],
            Self::Ipv6Only => &[Family::Ipv6],
            Self::Ipv4Only => &[Family::Ipv4],
        }
    }
}

/// Gathers facts.
#[derive(Clone)]
pub struct Discover {
    resolver: Arc<dyn Resolver>,
    order: AddressOrder,
    failures: Cache<Question, LookupError>,
}

/// One look-up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Question {
    Mx(Domain),
    Addresses(Host, Family),
    Alias(Host),
    Tlsa(Host, u16),
}

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The hosts and their addresses.
    Hosts,
    /// And their TLSA records.
    HostsAndTlsa {
        /// The port that mail goes to.
        port: u16,
    },
}

impl Discover {
    /// A discoverer that asks `resolver`, but not within `failed_for` the same question that failed.
    pub fn new(resolver: Arc<dyn Resolver>, order: AddressOrder, failed_for: Duration) -> Self {
        let failures = Cache::builder()
            .time_to_live(failed_for)
            .max_capacity(MAX_FAILURES)
            .build();
        Self {
            resolver,
            order,
            failures,
        }
    }

    /// The answer of `look_up`, unless the same question failed a moment ago.
    async fn ask<T>(
        &self,
        question: Question,
        look_up: impl Future<Output = Result<Answer<T>, LookupError>>,
    ) -> Result<Answer<T>, LookupError> {
        if let Some(error) = self.failures.get(&question) {
            return Err(error);
        }
        let answer = look_up.await;
        if let Err(error) = answer {
            self.failures.insert(question, error);
        }
        answer
    }

    async fn addresses_of(
        &self,
        host: &Host,
        family: Family,
    ) -> Result<Answer<IpAddr>, LookupError> {
        let question = Question::Addresses(host.clone(), family);
        self.ask(question, self.resolver.addresses(host, family))
            .await
    }

    /// The facts of a recipient's domain or literal.
    pub async fn destination(&self, destination: &Destination, scope: Scope) -> Facts {
        match destination {
            Destination::Domain(domain) => self.domain(domain, scope).await,
            Destination::Literal(address) => literal(*address),
        }
    }

    /// The facts of a rule's route: a host without MX.
    pub async fn route(&self, host: &Destination, scope: Scope) -> Facts {
        match host {
            Destination::Domain(name) => {
                let host = self.host(Host::from(name.clone()), 0, scope).await;
                // The operator says where to; that needs no proof.
                facts(
                    next_hop(name),
                    None,
                    Security::Secure,
                    Hosts::Known(vec![host]),
                )
            }
            Destination::Literal(address) => literal(*address),
        }
    }

    async fn domain(&self, domain: &Domain, scope: Scope) -> Facts {
        let question = Question::Mx(domain.clone());
        match self.ask(question, self.resolver.mx(domain)).await {
            Err(error) => facts(
                next_hop(domain),
                None,
                Security::Insecure,
                Hosts::LookupFailed(error),
            ),
            Ok(answer) => {
                let hosts = self.mx_hosts(domain, answer.found, scope).await;
                facts(next_hop(domain), answer.expanded, answer.security, hosts)
            }
        }
    }

    async fn mx_hosts(&self, domain: &Domain, found: Found<Mx>, scope: Scope) -> Hosts {
        let records = match found {
            Found::NxDomain => return Hosts::NoSuchDomain,
            // RFC 5321 §5.1: no MX record makes the domain its own host.
            Found::NoData => vec![(0, Host::from(domain.clone()))],
            Found::Records(records) => match usable(records) {
                Ok(hosts) => hosts,
                Err(hosts) => return hosts,
            },
        };
        let hosts = records
            .into_iter()
            .map(|(preference, host)| self.host(host, preference, scope));
        Hosts::Known(join_all(hosts).await)
    }

    async fn host(&self, host: Host, preference: u16, scope: Scope) -> HostFacts {
        let families = self.order.families().iter();
        let answers = join_all(families.map(|family| self.addresses_of(&host, *family))).await;
        let dane = match scope {
            Scope::Hosts => Dane::Absent(NoDane::NotAsked),
            Scope::HostsAndTlsa { port } => self.dane(&host, &answers, port).await,
        };
        HostFacts {
            host: MailHost::Named(host),
            preference,
            addresses: addresses(answers),
            dane,
        }
    }
}

fn facts(next_hop: Destination, expanded: Option<Host>, security: Security, hosts: Hosts) -> Facts {
    Facts {
        next_hop,
        expanded,
        security,
        hosts,
        mta_sts: MtaSts::Absent(NoMtaSts::NotLookedUp),
    }
}

fn next_hop(domain: &Domain) -> Destination {
    Destination::Domain(domain.clone())
}

fn literal(address: IpAddr) -> Facts {
    let host = HostFacts {
        host: MailHost::Address(address),
        preference: 0,
        addresses: Addresses::Known(vec![address]),
        dane: Dane::Absent(NoDane::NoName),
    };
    let hosts = Hosts::Known(vec![host]);
    facts(Destination::Literal(address), None, Security::Secure, hosts)
}

/// Sorts the records and takes the hosts out of them, or says why there are none.
fn usable(mut records: Vec<Mx>) -> Result<Vec<(u16, Host)>, Hosts> {
    // RFC 7505 §3: a null MX stands alone; beside others it is a mistake and passed over.
    if let [
        Mx {
            exchange: Exchange::Null,
            ..
        },
    ] = records[..]
    {
        return Err(Hosts::NullMx);
    }
    records.sort_by_key(|mx| mx.preference);
    let mut hosts: Vec<(u16, Host)> = Vec::new();
    for mx in records {
        if let Exchange::Host(host) = mx.exchange
            && !hosts.iter().any(|(_, known)| *known == host)
        {
            hosts.push((mx.preference, host));
        }
    }
    hosts.truncate(MAX_MX);
    if hosts.is_empty() {
        Err(Hosts::NoneUsable)
    } else {
        Ok(hosts)
    }
}

/// Joins the families. Addresses of one family are good even if the other failed; without any
/// address a failure counts more than an absence.
fn addresses(answers: Vec<Result<Answer<IpAddr>, LookupError>>) -> Addresses {
    let mut known = Vec::new();
    let mut failure = None;
    for answer in answers {
        match answer.map(|answer| answer.found) {
            Ok(Found::Records(records)) => known.extend(records),
            Ok(Found::NoData | Found::NxDomain) => {}
            Err(error) => failure = Some(error),
        }
    }
    match (known.is_empty(), failure) {
        (false, _) => Addresses::Known(known),
        (true, Some(error)) => Addresses::LookupFailed(error),
        (true, None) => Addresses::None,
    }
}
