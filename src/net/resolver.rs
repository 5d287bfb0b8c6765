//! hickory behind the [`Resolver`] port, and the DNSSEC status of every answer.
//!
//! RFC 7672 stands and falls with that status, and hickory's own resolver reports it wrong: it calls an
//! insecure chain of aliases secure, and takes forged denials for insecure ones. So hickory is used one
//! floor lower: `servers` asks, and one of two modules tells the status. `trust_ad` believes the AD bit
//! of a validating resolver on loopback; `validate` verifies signatures, with the rules of `proof` on
//! top. `health` probes which of them works. Names are asked as absolute names: no search list, no hosts
//! file, nothing answered locally.
//!
//! Answers are kept for their TTL, a bounded number of them, and the same question is under way only
//! once, however many messages wait for it. Failures are not kept here. Who asks for a fresh answer goes past
//! the cache and leaves the answer in it, unless the look-up fails: what was kept is then still true.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, join_all};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use moka::future::Cache;
use moka::{Entry, Expiry};

use crate::dns::{
    Answer, Dnssec, Exchange, Family, Found, Freshness, LookupError, Mx, Resolver, Security, Tlsa,
};
use crate::name::{Domain, Host};
use crate::usage::{self, CacheUse, Cached, Usage};

mod chain;
mod health;
mod proof;
mod servers;
mod settings;
mod trust_ad;
mod validate;

use chain::End;
use health::{candidates, choose};
use servers::{Checking, Servers};
use settings::Upstream;
use trust_ad::Ad;
use validate::Validator;

pub use health::{Health, InForce, Probe};
pub use settings::{Anchor, DaneNeed, DnsSettings, DnssecMode, Path, SetupError};

/// An answer is kept so long at least, also where its TTL is 0: a burst of mail asks once.
const LEAST_TTL: Duration = Duration::from_secs(5);
/// And so long at most: a policy that was changed in haste counts within the hour.
const MOST_TTL: Duration = Duration::from_hours(1);

/// A resolver that asks the configured servers.
#[derive(Clone)]
pub struct DnsResolver(Arc<Inner>);

struct Inner {
    settings: DnsSettings,
    upstream: Upstream,
    means: ArcSwap<Means>,
    /// Answers of former means are not those of the present ones.
    generation: AtomicU64,
    cache: Cache<(u64, Name, RecordType), Arc<End>>,
    usage: Usage,
}

/// How answers are got at present.
enum Means {
    TrustAd(Servers),
    Validate(Validator),
    Insecure(InForce, Servers),
    /// Every look-up fails with this.
    Waiting(LookupError),
}

impl Means {
    fn in_force(&self) -> InForce {
        match self {
            Self::TrustAd(_) => InForce::TrustAd,
            Self::Validate(_) => InForce::Validate,
            Self::Insecure(in_force, _) => *in_force,
            Self::Waiting(_) => InForce::Waiting,
        }
    }

    async fn look_up(&self, name: Name, kind: RecordType) -> Result<End, LookupError> {
        match self {
            Self::TrustAd(servers) => trust_ad::look_up(servers, name, kind, Ad::Believed).await,
            Self::Validate(validator) => validator.look_up(name, kind).await,
            Self::Insecure(_, servers) => trust_ad::look_up(servers, name, kind, Ad::Ignored).await,
            Self::Waiting(error) => Err(*error),
        }
    }
}

impl DnsResolver {
    /// Builds the resolver; sends nothing. Before the first [`probe`](Self::probe) nothing can be looked
    /// up, unless DNSSEC is off.
    pub fn new(settings: &DnsSettings) -> Result<Self, SetupError> {
        let cache = Cache::builder()
            .max_capacity(settings.cache_entries)
            .weigher(|_, end: &Arc<End>| end.weight())
            .expire_after(ByTtl)
            .build();
        let inner = Inner {
            upstream: Upstream::of(settings)?,
            settings: settings.clone(),
            means: ArcSwap::from_pointee(Means::Waiting(LookupError::Timeout)),
            generation: AtomicU64::new(0),
            cache,
            usage: Usage::default(),
        };
        if settings.dnssec == DnssecMode::Off {
            let servers = inner.servers(&inner.upstream.servers, Checking::Server);
            let means = Means::Insecure(InForce::Off, servers);
            inner.means.store(Arc::new(means));
        }
        Ok(Self(Arc::new(inner)))
    }

    /// The settings that it was built from.
    pub fn settings(&self) -> &DnsSettings {
        &self.0.settings
    }

    /// How its cache was used since somebody asked last.
    pub fn cache_use(&self) -> CacheUse {
        let entries = usage::entries(&self.0.cache);
        self.0.usage.taken(Cached::Dns, entries)
    }

    /// Finds out which servers give proven answers, and goes by that from now on.
    pub async fn probe(&self) -> Health {
        let inner = &self.0;
        let mut probes = Vec::new();
        for word in candidates(inner.settings.dnssec, inner.upstream.path_is_trusted) {
            let servers = inner.upstream.servers.iter();
            let all = join_all(servers.map(|server| inner.probe(*server, *word))).await;
            let one_passed = all.iter().any(|(.., probe)| *probe == Probe::Passed);
            let one_answered = all
                .iter()
                .any(|(.., probe)| !matches!(probe, Probe::Silent(_)));
            probes.extend(all);
            if one_passed || !one_answered {
                break;
            }
        }
        let settings = &inner.settings;
        let before = inner.means.load().in_force();
        let in_force = choose(settings.dnssec, settings.dane, &probes, before);
        let health = Health { in_force, probes };
        inner.adopt(&health);
        health
    }

    /// Follows the aliases of `name`, an absolute name with or without its last dot, to the records of one
    /// type, and takes out of each what `pick` wants of it. The methods of the port are this with a type.
    pub async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LookupError> {
        self.ask_for(Freshness::Cached, name, kind, pick).await
    }

    async fn ask_for<T>(
        &self,
        freshness: Freshness,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LookupError> {
        let mut name = Name::from_ascii(name).map_err(|_| LookupError::Broken)?;
        name.set_fqdn(true);
        let end = self.0.end(freshness, name, kind).await?;
        let found = match &end.found {
            Found::Records(data) => Found::Records(data.iter().filter_map(pick).collect()),
            Found::NoData => Found::NoData,
            Found::NxDomain => Found::NxDomain,
        };
        Ok(Answer {
            security: end.security,
            expanded: end.expanded.as_ref().map(host).transpose()?,
            found,
        })
    }
}

impl Inner {
    fn servers(&self, addresses: &[SocketAddr], checking: Checking) -> Servers {
        let DnsSettings {
            timeout, attempts, ..
        } = self.settings;
        Servers::new(addresses, timeout, attempts, checking)
    }

    fn means(&self, in_force: InForce, addresses: &[SocketAddr]) -> Means {
        match in_force {
            InForce::TrustAd => Means::TrustAd(self.servers(addresses, Checking::Server)),
            InForce::Validate => {
                let servers = self.servers(addresses, Checking::Own);
                Means::Validate(Validator::new(servers, self.settings.anchor.keys()))
            }
            InForce::Off | InForce::Unavailable => {
                Means::Insecure(in_force, self.servers(addresses, Checking::Server))
            }
            InForce::Waiting => Means::Waiting(LookupError::Timeout),
        }
    }

    /// The NS records of the root, which are signed, asked of one server.
    async fn probe(&self, server: SocketAddr, word: InForce) -> (SocketAddr, InForce, Probe) {
        let end = self
            .means(word, &[server])
            .look_up(Name::root(), RecordType::NS)
            .await;
        let probe = match end {
            Ok(end) if end.security == Security::Secure => Probe::Passed,
            Ok(_) | Err(LookupError::Bogus) => Probe::Failed,
            Err(error) => Probe::Silent(error),
        };
        (server, word, probe)
    }

    fn adopt(&self, health: &Health) {
        let servers = match health.in_force {
            InForce::TrustAd | InForce::Validate => health.servers(health.in_force),
            _ => self.upstream.servers.clone(),
        };
        let before = self.means.load().in_force();
        let means = match health.in_force {
            InForce::Waiting => Means::Waiting(health.why_waiting(self.settings.dane)),
            in_force => self.means(in_force, &servers),
        };
        self.means.store(Arc::new(means));
        if before != health.in_force {
            self.generation.fetch_add(1, Ordering::Relaxed);
            self.cache.invalidate_all();
        }
    }

    /// An answer from the cache, or of a look-up that all who ask the same wait for together; or, where it has
    /// to be fresh, of a look-up of its own.
    async fn end(
        &self,
        freshness: Freshness,
        name: Name,
        kind: RecordType,
    ) -> Result<Arc<End>, LookupError> {
        let generation = self.generation.load(Ordering::Relaxed);
        let means = self.means.load_full();
        let key = (generation, name.clone(), kind);
        let look_up = async { means.look_up(name, kind).await.map(Arc::new) };
        match freshness {
            Freshness::Cached => {
                let entry = self.cache.entry(key).or_try_insert_with(look_up).await;
                match &entry {
                    Ok(entry) => self.usage.answered(entry),
                    Err(_) => self.usage.miss(),
                }
                entry.map(Entry::into_value).map_err(|error| *error)
            }
            Freshness::Fresh => {
                let end = look_up.await?;
                self.cache.insert(key, Arc::clone(&end)).await;
                Ok(end)
            }
        }
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver")
            .field("upstream", &self.0.upstream)
            .field("in_force", &self.0.means.load().in_force())
            .finish_non_exhaustive()
    }
}

/// Each answer lives for its own time.
struct ByTtl;

impl<K> Expiry<K, Arc<End>> for ByTtl {
    fn expire_after_create(&self, _: &K, end: &Arc<End>, _: Instant) -> Option<Duration> {
        Some(end.ttl.clamp(LEAST_TTL, MOST_TTL))
    }

    /// What replaces an answer does not inherit the rest of its life.
    fn expire_after_update(
        &self,
        key: &K,
        end: &Arc<End>,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, end, at)
    }
}

impl Resolver for DnsResolver {
    fn mx<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>> {
        Box::pin(
            self.ask(domain.as_str(), RecordType::MX, |data| match data {
                RData::MX(mx) => Some(Mx {
                    preference: mx.preference,
                    exchange: exchange(&mx.exchange),
                }),
                _ => None,
            }),
        )
    }

    fn addresses<'a>(
        &'a self,
        host: &'a Host,
        family: Family,
    ) -> BoxFuture<'a, Result<Answer<IpAddr>, LookupError>> {
        let kind = match family {
            Family::Ipv4 => RecordType::A,
            Family::Ipv6 => RecordType::AAAA,
        };
        Box::pin(self.ask(host.as_str(), kind, |data| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        }))
    }

    fn tlsa<'a>(
        &'a self,
        base: &'a Host,
        port: u16,
    ) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>> {
        Box::pin(async move {
            let owner = format!("_{port}._tcp.{base}");
            self.ask(&owner, RecordType::TLSA, |data| match data {
                RData::TLSA(tlsa) => Some(Tlsa {
                    usage: tlsa.cert_usage.into(),
                    selector: tlsa.selector.into(),
                    matching: tlsa.matching.into(),
                    data: tlsa.cert_data.clone(),
                }),
                _ => None,
            })
            .await
        })
    }

    fn txt<'a>(
        &'a self,
        owner: &'a str,
        freshness: Freshness,
    ) -> BoxFuture<'a, Result<Answer<Vec<u8>>, LookupError>> {
        Box::pin(
            self.ask_for(freshness, owner, RecordType::TXT, |data| match data {
                // RFC 8461 §3.1: the strings of one record are joined without spaces.
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            }),
        )
    }

    fn alias<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<Answer<Host>, LookupError>> {
        Box::pin(
            self.ask(host.as_str(), RecordType::CNAME, |data| match data {
                RData::CNAME(cname) => host_of(&cname.0),
                _ => None,
            }),
        )
    }

    fn dnssec(&self) -> Dnssec {
        if self.0.means.load().in_force().works() {
            Dnssec::Works
        } else {
            Dnssec::Off
        }
    }
}

fn host_of(name: &Name) -> Option<Host> {
    name.to_ascii().parse().ok()
}

/// A name that no host can have makes no sense at the end of a chain of aliases.
fn host(name: &Name) -> Result<Host, LookupError> {
    host_of(name).ok_or(LookupError::Broken)
}

/// The root name is a null MX (RFC 7505 §3).
fn exchange(name: &Name) -> Exchange {
    if name.is_root() {
        return Exchange::Null;
    }
    host_of(name).map_or(Exchange::Unusable, Exchange::Host)
}

fn is_code(error: &NetError, code: ResponseCode) -> bool {
    matches!(error, NetError::Dns(DnsError::ResponseCode(other)) if *other == code)
}

fn failure(error: &NetError) -> LookupError {
    match error {
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => LookupError::ServFail,
        NetError::Dns(DnsError::ResponseCode(_)) => LookupError::Refused,
        NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. }) => LookupError::Bogus,
        NetError::Timeout => LookupError::Timeout,
        _ => LookupError::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lives_for_its_ttl_within_bounds() {
        for (ttl, lives) in [(0, 5), (5, 5), (300, 300), (3600, 3600), (86_400, 3600)] {
            let end = Arc::new(End {
                security: Security::Secure,
                expanded: None,
                found: Found::NoData,
                ttl: Duration::from_secs(ttl),
            });
            #[expect(clippy::disallowed_methods, reason = "the cache wants one")]
            let now = Instant::now();
            let lifetime = ByTtl.expire_after_create(&(), &end, now);
            assert_eq!(lifetime, Some(Duration::from_secs(lives)));
            let rest = Some(Duration::from_secs(1));
            let renewed = ByTtl.expire_after_update(&(), &end, now, rest);
            assert_eq!(renewed, lifetime);
        }
    }
}
