//! From a destination to its facts: the MX hosts and their addresses.
//!
//! RFC 5321 §5.1: the MX records, the lowest preference first; without any, the domain itself; a
//! record that points at the root says that the domain takes no mail (RFC 7505). The addresses of all
//! hosts are looked up at the same time, each in both families, and the failure of one host or one
//! family is noted where it belongs and nowhere else: one broken MX does not hold up the others.
//!
//! Where a rule follows DANE, each host's TLSA records are looked up once its addresses are known
//! (`discover/tlsa.rs`), and where it follows MTA-STS the policy of the domain, at the same time as the
//! hosts (`discover/mta_sts.rs`). What each host has shown before is remembered (`discover/hosts.rs`).
//!
//! This room promises facts, never a decision. The resolver caches the answers by TTL; what is remembered here is
//! only that a look-up failed a moment ago, so that a name server that is silent does not cost every message
//! to its domain the full time-out. What is remembered of a failure is a failure, never an absence.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use moka::sync::Cache;
use tokio::time::timeout;

use crate::dns::{Answer, Dnssec, Exchange, Family, Found, LookupError, Mx, Resolver, Security};
use crate::name::{Destination, Domain, Host, MailHost};
use crate::policy::downgrade::Known;
use crate::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, MtaSts, NoDane, NoMtaSts};
use crate::store::StoreError;
use crate::usage::{CacheUse, Cached, Usage};

mod hosts;
mod mta_sts;
mod tlsa;

pub use hosts::HostMemory;
pub use mta_sts::{Memory, MtaStsPolicies, NotRefreshed};

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
    /// The families, the preferred one first.
    pub fn families(self) -> &'static [Family] {
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
    usage: Usage,
    policies: Option<MtaStsPolicies>,
    hosts: Option<HostMemory>,
}

/// One look-up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Question {
    Mx(Domain),
    Addresses(Host, Family),
    Alias(Host),
    Tlsa(Host, u16),
}

/// What is asked for beside the hosts and their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The TLSA records of the service at this port.
    pub tlsa_at: Option<u16>,
    /// The MTA-STS policy.
    pub mta_sts: bool,
}

/// The state of what is remembered, beside the answers of DNS: facts that were gathered in another may not hold
/// any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    changes: u64,
    dnssec: Dnssec,
}

/// Counts changes, each after it was made. Clones count together.
#[derive(Debug, Clone, Default)]
struct Changes(Arc<AtomicU64>);

impl Changes {
    fn note(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
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
            usage: Usage::default(),
            policies: None,
            hosts: None,
        }
    }

    /// One that looks at MTA-STS policies, too.
    #[must_use]
    pub fn with_policies(self, policies: MtaStsPolicies) -> Self {
        Self {
            policies: Some(policies),
            ..self
        }
    }

    /// One that knows what hosts have shown before, too.
    #[must_use]
    pub fn with_hosts(self, hosts: HostMemory) -> Self {
        Self {
            hosts: Some(hosts),
            ..self
        }
    }

    /// What hosts have shown before, unless nobody remembers.
    pub fn hosts(&self) -> Option<&HostMemory> {
        self.hosts.as_ref()
    }

    /// The MTA-STS policies, unless the configuration switches them off.
    pub fn policies(&self) -> Option<&MtaStsPolicies> {
        self.policies.as_ref()
    }

    /// What is remembered at present.
    pub fn revision(&self) -> Revision {
        let policies = self.policies.as_ref().map(|it| it.memory.changes.count());
        let hosts = self.hosts.as_ref().map(|it| it.changes.count());
        Revision {
            changes: policies.unwrap_or(0) + hosts.unwrap_or(0),
            dnssec: self.resolver.dnssec(),
        }
    }

    /// How the caches were used since somebody asked last.
    pub fn cache_uses(&self) -> impl Iterator<Item = CacheUse> {
        self.failures.run_pending_tasks();
        let failures = self.failures.entry_count();
        let failures = self.usage.taken(Cached::DnsFailures, failures);
        let policies = self.policies.as_ref().map(|it| it.memory.cache_use());
        let hosts = self.hosts.as_ref().map(HostMemory::cache_use);
        [Some(failures), policies, hosts].into_iter().flatten()
    }

    /// The answer of `look_up`, unless the same question failed a moment ago.
    async fn ask<T>(
        &self,
        question: Question,
        look_up: impl Future<Output = Result<Answer<T>, LookupError>>,
    ) -> Result<Answer<T>, LookupError> {
        if let Some(error) = self.failures.get(&question) {
            self.usage.hit();
            return Err(error);
        }
        self.usage.miss();
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

    /// The addresses of a host, in the order in which they are to be tried.
    pub async fn addresses(&self, host: &Host) -> Addresses {
        let families = self.order.families().iter();
        addresses(join_all(families.map(|family| self.addresses_of(host, *family))).await)
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
                // RFC 8461 §3.4: with a smarthost, the policy domain is that of the smarthost.
                let host = self.host(Host::from(name.clone()), 0, scope);
                let (host, mta_sts) = join(host, self.mta_sts(name, scope)).await;
                Facts {
                    next_hop: next_hop(name),
                    expanded: None,
                    // The operator says where to; that needs no proof.
                    security: Security::Secure,
                    hosts: Hosts::Known(vec![host]),
                    mta_sts,
                }
            }
            Destination::Literal(address) => literal(*address),
        }
    }

    async fn domain(&self, domain: &Domain, scope: Scope) -> Facts {
        let (mx, mta_sts) = join(self.mx(domain, scope), self.mta_sts(domain, scope)).await;
        let (expanded, security, hosts) = match mx {
            Ok(answer) => answer,
            Err(error) => (None, Security::Insecure, Hosts::LookupFailed(error)),
        };
        Facts {
            next_hop: next_hop(domain),
            expanded,
            security,
            hosts,
            mta_sts,
        }
    }

    async fn mx(
        &self,
        domain: &Domain,
        scope: Scope,
    ) -> Result<(Option<Host>, Security, Hosts), LookupError> {
        let question = Question::Mx(domain.clone());
        let answer = self.ask(question, self.resolver.mx(domain)).await?;
        let hosts = self.mx_hosts(domain, answer.found, scope).await;
        Ok((answer.expanded, answer.security, hosts))
    }

    async fn mta_sts(&self, domain: &Domain, scope: Scope) -> MtaSts {
        match &self.policies {
            Some(policies) if scope.mta_sts => policies.of(domain).await,
            _ => MtaSts::Absent(NoMtaSts::NotAsked),
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
        let answers = join_all(families.map(|family| self.addresses_of(&host, *family)));
        let (answers, known) = join(answers, self.known(&host)).await;
        let dane = match scope.tlsa_at {
            None => Dane::Absent(NoDane::NotAsked),
            Some(port) => self.dane(&host, &answers, port).await,
        };
        HostFacts {
            host: MailHost::Named(host),
            preference,
            addresses: addresses(answers),
            dane,
            known,
        }
    }

    async fn known(&self, host: &Host) -> Option<Known> {
        match &self.hosts {
            Some(hosts) => hosts.known(host).await,
            None => None,
        }
    }
}

/// What the store answers, if it does within `patience`.
async fn in_time<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = timeout(patience, asked).await;
    answer.unwrap_or_else(|_| Err(StoreError::Disk("no answer in time".to_owned())))
}

/// The store has said in the log what is wrong with it; mail goes on with what is in memory.
fn grumble<T, E: fmt::Display>(result: Result<T, E>) -> Option<T> {
    result
        .inspect_err(|error| tracing::debug!(%error, "store"))
        .ok()
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
        known: None,
    };
    Facts {
        next_hop: Destination::Literal(address),
        expanded: None,
        security: Security::Secure,
        hosts: Hosts::Known(vec![host]),
        mta_sts: MtaSts::Absent(NoMtaSts::NoDomain),
    }
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
