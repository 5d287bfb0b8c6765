//! How a gate is built: from the configuration, around what outlives a reload.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::Error;
use crate::audit::{self, Audit};
use crate::config::{Config, RuleSet, load_rules};
use crate::discover::{Discover, HostMemory, Memory, MtaStsPolicies};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::metrics::hour::LastHour;
use crate::net::dial::{Dialer, Outgoing};
use crate::net::https::HttpsFetcher;
use crate::net::resolver::DnsResolver;
use crate::net::tls::TlsClient;
use crate::policy::act::Written;
use crate::policy::outcome::{Event, Observer};
use crate::proxy::gate::Gate;
use crate::proxy::{Caps, DeadAddresses, Pool, Recent};
use crate::store;
use crate::time::Clock;
use crate::usage::Cached;

/// Decisions and answers that are kept for a moment, at most; one is larger than an answer of DNS.
const MAX_RECENT: usize = 10_000;

/// What outlives a reload.
#[derive(Clone)]
pub(super) struct Lasting {
    pub(super) own_listeners: Vec<SocketAddr>,
    pub(super) outgoing: Outgoing,
    pub(super) dead: DeadAddresses,
    pub(super) pool: Pool,
    pub(super) memory: Memory,
    pub(super) hosts: HostMemory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
}

impl Lasting {
    /// Opens the store.
    pub(super) async fn new(
        config: &Config,
        own_listeners: Vec<SocketAddr>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Error> {
        let store = store::open(config.store.clone(), Arc::clone(&clock)).await?;
        let mx = &config.settings.mx;
        Ok(Self {
            own_listeners,
            outgoing: Outgoing::default(),
            dead: DeadAddresses::new(mx.dead_for, mx.dead_entries),
            pool: Pool::new(Arc::clone(&observer)),
            hosts: HostMemory::new(Arc::clone(&store) as _, Arc::clone(&clock)),
            memory: Memory::new(store),
            clock,
            observer,
        })
    }
}

/// An observer for commands that neither count nor log.
pub(super) struct Silent;

impl Observer for Silent {
    fn record(&self, _event: Event<'_>) {}
}

/// Counts, logs and remembers.
pub(super) struct Observers {
    pub(super) metrics: Arc<Metrics>,
    pub(super) hour: Arc<LastHour>,
    pub(super) journal: Journal,
    pub(super) audit: Arc<Audit>,
}

impl Observer for Observers {
    fn record(&self, event: Event<'_>) {
        self.metrics.record(event);
        self.hour.record(event);
        self.journal.record(event);
        self.audit.record(event);
    }
}

/// Opens the audit log, where there shall be one, off the runtime's threads.
pub(super) async fn audit(
    settings: audit::Settings,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Audit>, Error> {
    let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
    let losses: audit::Losses =
        Arc::new(move |lost, lines| metrics.audit_lost(lost.reason(), lines));
    let audit = spawn_blocking(move || Audit::open(&settings, clock, losses)).await??;
    Ok(Arc::new(audit))
}

/// Reads the rules and builds the first gate; blocks.
pub(super) fn first_gate(config: &Config, lasting: &Lasting) -> Result<(Gate, DnsResolver), Error> {
    let rules = load_rules(config)?;
    let resolver = DnsResolver::new(&config.dns)?;
    let gate = gate(config, rules, &resolver, lasting)?;
    Ok((gate, resolver))
}

/// Builds a gate.
pub(super) fn gate(
    config: &Config,
    set: RuleSet,
    resolver: &DnsResolver,
    lasting: &Lasting,
) -> Result<Gate, Error> {
    let dialer = Dialer {
        allow_networks: config.allow_networks.clone(),
        mark: config.mark,
        own_listeners: lasting.own_listeners.clone(),
        outgoing: lasting.outgoing.clone(),
    };
    let cache_entries = usize::try_from(config.dns.cache_entries);
    let max_recent = cache_entries.unwrap_or(MAX_RECENT).min(MAX_RECENT);
    Ok(Gate {
        settings: config.settings.clone(),
        rules: Arc::new(set.rules),
        written: Written {
            config: config.digest,
            rules: set.digest,
        },
        roots: Arc::clone(&config.roots),
        discover: discover(config, resolver, &dialer, lasting)?,
        decisions: Recent::new(Cached::Decisions, max_recent),
        answers: Recent::new(Cached::Answers, max_recent),
        dialer,
        tls: TlsClient::new(config.settings.resume_for)?,
        dead: lasting.dead.clone(),
        pool: lasting.pool.clone(),
        caps: Caps::new(&config.settings.caps),
        clock: Arc::clone(&lasting.clock),
        observer: Arc::clone(&lasting.observer),
    })
}

fn discover(
    config: &Config,
    resolver: &DnsResolver,
    dialer: &Dialer,
    lasting: &Lasting,
) -> Result<Discover, Error> {
    let resolver = Arc::new(resolver.clone());
    let discover = Discover::new(
        Arc::clone(&resolver) as _,
        config.addresses,
        config.dns.failed_for,
    )
    .with_hosts(lasting.hosts.clone());
    let Some(settings) = config.mta_sts else {
        return Ok(discover);
    };
    let fetcher = HttpsFetcher::new(Arc::clone(&resolver) as _, dialer, &config.roots, settings)?;
    Ok(discover.with_policies(MtaStsPolicies {
        resolver,
        fetch: Arc::new(fetcher),
        memory: lasting.memory.clone(),
        clock: Arc::clone(&lasting.clock),
        observer: Arc::clone(&lasting.observer),
    }))
}
