//! What changes while waxseal runs: configuration and rules that are read again, rules that expire.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::build::{self, Lasting};
use crate::admin::{LastReload, Readiness, Reload};
use crate::config::{Config, load_rules};
use crate::discover::MtaStsPolicies;
use crate::metrics::{Metrics, Reloaded};
use crate::name::Domain;
use crate::net::resolver::{DnsResolver, DnsSettings, Health, InForce, SetupError};
use crate::policy::act::{Act, Actor, Change, Configured, Deed};
use crate::policy::outcome::Event;
use crate::policy::rules::Rules;
use crate::proxy::gate::Gate;
use crate::time::UnixTime;

/// How often name servers that work are probed.
const HOURLY: Duration = Duration::from_hours(1);
/// How often name servers are probed that do not prove their answers.
const UNTIL_IT_WORKS: Duration = Duration::from_mins(1);
/// And how often while no mail leaves.
const WHILE_MAIL_WAITS: Duration = Duration::from_secs(5);
/// How often waxseal looks after what is remembered.
const STORE_ROUND: Duration = Duration::from_mins(1);
/// How often waxseal looks for idle connections whose time is over.
const POOL_ROUND: Duration = Duration::from_secs(1);
/// How often waxseal looks for rules that have expired.
const EXPIRY_CHECK: Duration = Duration::from_hours(1);

/// Reads the configuration again, one reload at a time.
pub(super) struct Reloader {
    pub(super) source: Option<PathBuf>,
    pub(super) lasting: Lasting,
    pub(super) gates: Arc<ArcSwap<Gate>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) resolver: ArcSwap<DnsResolver>,
    pub(super) one_at_a_time: Arc<Mutex<()>>,
}

/// What is to come into force.
struct Next {
    gate: Gate,
    resolver: DnsResolver,
    listed_domains: Vec<Domain>,
}

impl Reload for Reloader {
    fn reload(&self, by: Actor) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            // Whoever reads holds the turn too: it may hang, and outlive a caller that goes away.
            let turn = Arc::new(Arc::clone(&self.one_at_a_time).lock_owned().await);
            tracing::info!("reading configuration and rules again");
            let (result, in_force) = match self.read(Arc::clone(&turn)).await {
                Ok(next) => {
                    // A reload is what follows when somebody has mended a name server.
                    self.probe(&next.resolver).await;
                    let change = Change::between(&self.gates.load().rules, &next.gate.rules);
                    let in_force = in_force(&next.gate, change);
                    (Ok(self.put(next)), Some(in_force))
                }
                Err(error) => (Err(error), None),
            };
            self.tell(&result);
            self.lasting.observer.record(Event::Act(&Act {
                by,
                deed: Deed::Reload,
                result: result.clone(),
                in_force,
            }));
            result
        })
    }
}

impl Reloader {
    /// Logs, counts and shows what came of a reload.
    fn tell(&self, result: &Result<String, String>) {
        let reloaded = match result {
            Ok(message) => {
                tracing::info!("{message}");
                Reloaded::Ok
            }
            Err(error) => {
                tracing::error!(%error, "reload failed, the running set stays in force");
                Reloaded::Failed
            }
        };
        self.metrics.reloaded(reloaded);
        self.readiness.reloaded(LastReload {
            at: self.lasting.clock.now(),
            result: result.clone(),
        });
    }

    /// Builds the next gate; keeps `turn` to the end, even where nobody waits for the result any more.
    async fn read(&self, turn: impl Send + 'static) -> Result<Next, String> {
        let source = self.source.clone();
        let lasting = self.lasting.clone();
        let old = (self.gates.load_full(), self.resolver.load_full());
        let built = spawn_blocking(move || {
            let _turn = turn;
            next_gate(source.as_deref(), &lasting, &old.0, &old.1)
        });
        built.await.map_err(|error| error.to_string())?
    }

    fn put(&self, mut next: Next) -> String {
        next.gate.caps = next.gate.caps.after(&self.gates.load().caps);
        let rules = next.gate.rules.iter().count();
        self.metrics.in_force(rules, self.lasting.clock.now());
        self.metrics.list(&next.listed_domains);
        self.resolver.store(Arc::new(next.resolver));
        self.gates.store(Arc::new(next.gate));
        format!("reloaded: {rules} rules (listeners and log settings change with a restart)")
    }

    /// The metrics, with how the caches are used by now.
    pub(super) fn render(&self) -> String {
        let dns = self.resolver.load().cache_use();
        let dead = self.lasting.dead.cache_use();
        self.metrics.caches([dns, dead]);
        self.metrics.caches(self.gates.load().cache_uses());
        let text = self.metrics.render();
        text.unwrap_or_else(|error| format!("# {error}\n"))
    }

    /// Tries the place of the store again, drops what no mail needs, and counts and shows how the store is.
    async fn look_after_store(&self) {
        self.lasting.memory.recover().await;
        self.lasting.hosts.tidy().await;
        let health = self.lasting.memory.health();
        self.metrics.store(health.degraded.is_none());
        self.readiness.stored(health);
    }

    /// Counts how the MTA-STS policies stand.
    async fn count_policies(&self, policies: &MtaStsPolicies) {
        // Without an answer the numbers stay what they were; the health of the store tells why.
        if let Ok(stats) = policies.stats().await {
            self.metrics.policies(&stats, self.lasting.clock.now());
        }
    }

    /// Probes the name servers; counts and shows what came of it, and logs it where it is news.
    pub(super) async fn probe(&self, resolver: &DnsResolver) -> InForce {
        let health = resolver.probe().await;
        self.metrics.dnssec(health.passed());
        if self.readiness.probed(health.clone()) {
            tell_health(&health);
        }
        health.in_force
    }
}

/// What a gate brings into force, and what that changes.
pub(super) fn in_force(gate: &Gate, change: Change) -> Configured {
    Configured {
        written: gate.written.clone(),
        rules: gate.rules.iter().count(),
        change,
    }
}

fn tell_health(health: &Health) {
    match health.in_force {
        InForce::Off => tracing::info!(%health, "DNSSEC"),
        InForce::TrustAd | InForce::Validate if health.passed() => {
            tracing::info!(%health, "DNSSEC");
        }
        InForce::TrustAd | InForce::Validate => tracing::error!(
            %health,
            "DNSSEC: no name server proved its answer to the probe; mail waits where the proof is missing"
        ),
        InForce::Unavailable => tracing::error!(
            %health,
            "DNSSEC: no name server gives proven answers, so DANE is OFF and mail leaves without it; use a validating resolver on loopback, see [dns] in waxseal.toml"
        ),
        InForce::Waiting => tracing::error!(
            %health,
            "DNSSEC: no name server gives proven answers, and all mail waits for one; see [dns] in waxseal.toml"
        ),
    }
}

/// Probes the name servers for ever: those that give proven answers hourly, others until they do.
pub(super) async fn watch_dnssec(reloader: Arc<Reloader>, mut in_force: InForce) {
    loop {
        tokio::time::sleep(until_next_probe(in_force)).await;
        let resolver = reloader.resolver.load_full();
        in_force = reloader.probe(&resolver).await;
    }
}

fn until_next_probe(in_force: InForce) -> Duration {
    match in_force {
        InForce::TrustAd | InForce::Validate | InForce::Off => HOURLY,
        InForce::Unavailable => UNTIL_IT_WORKS,
        InForce::Waiting => WHILE_MAIL_WAITS,
    }
}

/// Reads files, and so blocks.
fn next_gate(
    source: Option<&Path>,
    lasting: &Lasting,
    old: &Gate,
    resolver: &DnsResolver,
) -> Result<Next, String> {
    let config = Config::load(source).map_err(|error| error.to_string())?;
    let set = load_rules(&config).map_err(|error| error.to_string())?;
    // A folder that is gone, or not mounted, is no order to run without rules.
    if set.files.is_empty() && old.rules.iter().next().is_some() {
        return Err(format!(
            "rules were in force, and there is no rule file left in {}; to run without rules leave an empty one there",
            config.policies.folder().display()
        ));
    }
    let resolver = next_resolver(&config.dns, resolver).map_err(|error| error.to_string())?;
    let gate = build::gate(&config, set, &resolver, lasting).map_err(|error| error.to_string())?;
    Ok(Next {
        gate,
        resolver,
        listed_domains: config.listed_domains,
    })
}

/// The resolver in use, with all it knows, unless other servers or another word on DNSSEC are wanted.
fn next_resolver(settings: &DnsSettings, old: &DnsResolver) -> Result<DnsResolver, SetupError> {
    if old.settings() == settings {
        Ok(old.clone())
    } else {
        DnsResolver::new(settings)
    }
}

/// Looks after what is remembered, for ever: fetches MTA-STS policies again before they expire, forgets hosts that
/// no mail needs, and counts how all of that stands.
pub(super) async fn keep_store(reloader: Arc<Reloader>) {
    loop {
        reloader.look_after_store().await;
        let gate = reloader.gates.load_full();
        if let Some(policies) = gate.discover.policies() {
            policies.refresh_due().await;
            reloader.count_policies(policies).await;
        }
        tokio::time::sleep(STORE_ROUND).await;
    }
}

/// Ends connections to MX hosts that nobody wants any more, for ever.
pub(super) async fn sweep_pool(reloader: Arc<Reloader>) {
    loop {
        tokio::time::sleep(POOL_ROUND).await;
        let gate = reloader.gates.load();
        gate.pool.sweep(&gate.settings.pool);
    }
}

/// Warns of rules that expire while waxseal runs.
pub(super) async fn warn_of_expiry(reloader: Arc<Reloader>) {
    let clock = &reloader.lasting.clock;
    let mut since = clock.now();
    loop {
        tokio::time::sleep(EXPIRY_CHECK).await;
        let now = clock.now();
        for rule in expired_between(&reloader.gates.load().rules, since, now) {
            tracing::warn!(%rule, "the rule has expired and is ignored from now on");
        }
        since = now;
    }
}

fn expired_between(rules: &Rules, since: UnixTime, now: UnixTime) -> Vec<String> {
    let fresh = rules
        .iter()
        .filter(|rule| rule.has_expired(now) && !rule.has_expired(since));
    fresh.map(|rule| rule.origin.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::build::{Silent, first_gate};
    use crate::time::SystemClock;

    /// One whose probes ask nobody, and say that DNSSEC is off.
    async fn reloader() -> Reloader {
        let text = "dns = { dnssec = 'off' }\nstore = { path = ':memory:' }";
        let config = Config::parse(text, Path::new("waxseal.toml")).unwrap();
        let (clock, silent) = (Arc::new(SystemClock), Arc::new(Silent));
        let lasting = Lasting::new(&config, Vec::new(), clock, silent);
        let lasting = lasting.await.unwrap();
        let (gate, resolver) = first_gate(&config, &lasting).unwrap();
        Reloader {
            source: None,
            lasting,
            gates: Arc::new(ArcSwap::from_pointee(gate)),
            metrics: Arc::new(Metrics::new().unwrap()),
            readiness: Arc::new(Readiness::default()),
            resolver: ArcSwap::from_pointee(resolver),
            one_at_a_time: Arc::default(),
        }
    }

    #[tokio::test]
    async fn name_servers_are_probed_every_hour() {
        let reloader = Arc::new(reloader().await);
        tokio::time::pause();
        let watch = tokio::spawn(watch_dnssec(Arc::clone(&reloader), InForce::TrustAd));
        for _ in 0..3 {
            reloader.metrics.dnssec(true);
            tokio::time::sleep(Duration::from_secs(3599)).await;
            assert!(
                reloader
                    .metrics
                    .render()
                    .unwrap()
                    .contains("\nwaxseal_dnssec_ok 1\n")
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert!(
                reloader
                    .metrics
                    .render()
                    .unwrap()
                    .contains("\nwaxseal_dnssec_ok 0\n")
            );
        }
        watch.abort();
    }

    #[test]
    fn while_dane_is_off_or_mail_waits_they_are_probed_more_often() {
        assert!(until_next_probe(InForce::Waiting) < until_next_probe(InForce::Unavailable));
        assert!(until_next_probe(InForce::Unavailable) < HOURLY);
    }
}
