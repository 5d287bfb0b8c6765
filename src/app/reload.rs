//! What changes while waxseal runs: configuration and rules that are read again, rules that expire.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::build_gate;
use crate::admin::{LastReload, Readiness, Reload};
use crate::config::{Config, load_rules};
use crate::metrics::{Metrics, Reloaded};
use crate::net::resolver::{DnsResolver, InForce};
use crate::policy::rules::Rules;
use crate::proxy::gate::Gate;
use crate::time::{Clock, SystemClock, UnixTime};

/// How often name servers that work are probed.
const HOURLY: Duration = Duration::from_secs(3600);
/// How often name servers are probed that do not prove their answers, or not yet.
const UNTIL_IT_WORKS: Duration = Duration::from_secs(15);
/// How often waxseal looks for rules that have expired.
const EXPIRY_CHECK: Duration = Duration::from_secs(3600);

/// Reads the configuration again, one reload at a time.
pub(super) struct Reloader {
    pub(super) source: Option<PathBuf>,
    pub(super) own_listeners: Vec<SocketAddr>,
    pub(super) gates: Arc<ArcSwap<Gate>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) resolver: ArcSwap<DnsResolver>,
    pub(super) one_at_a_time: Mutex<()>,
}

impl Reload for Reloader {
    fn reload(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async {
            let _turn = self.one_at_a_time.lock().await;
            let source = self.source.clone();
            // Reading files blocks, so it happens off the runtime's threads.
            let config = tokio::task::spawn_blocking(move || Config::load(source.as_deref())).await;
            let result = match config {
                Ok(Ok(config)) => self.put(&config).await,
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            self.tell(&result);
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
            at: SystemClock.now(),
            result: result.clone(),
        });
    }

    async fn put(&self, config: &Config) -> Result<String, String> {
        let old = self.gates.load_full();
        let set = load_rules(config).map_err(|error| error.to_string())?;
        // A folder that is gone, or not mounted, is no order to run without rules.
        if set.files.is_empty() && old.rules.iter().next().is_some() {
            return Err(format!(
                "rules were in force, and there is no rule file left in {}; to run without rules leave an empty one there",
                config.policies.folder().display()
            ));
        }
        let resolver = self.resolver_for(config).await?;
        let own = self.own_listeners.clone();
        let gate = build_gate(
            config,
            set.rules,
            resolver.clone(),
            own,
            old.dead.clone(),
            Arc::clone(&old.observer),
        )
        .map_err(|error| error.to_string())?;
        let rules = gate.rules.iter().count();
        self.metrics.in_force(rules, SystemClock.now());
        self.resolver.store(Arc::new(resolver));
        self.gates.store(Arc::new(gate));
        Ok(format!(
            "reloaded: {rules} rules (listeners and log settings change with a restart)"
        ))
    }

    /// The resolver in use, with all it knows, unless other servers or another word on DNSSEC are wanted.
    /// Either is probed: a reload is what follows when somebody has mended a name server.
    async fn resolver_for(&self, config: &Config) -> Result<DnsResolver, String> {
        let old = self.resolver.load_full();
        let resolver = if *old.settings() == config.dns {
            DnsResolver::clone(&old)
        } else {
            DnsResolver::new(&config.dns).map_err(|error| error.to_string())?
        };
        self.probe(&resolver).await;
        Ok(resolver)
    }

    /// Probes the name servers; logs, counts and shows what came of it.
    pub(super) async fn probe(&self, resolver: &DnsResolver) -> InForce {
        let health = resolver.probe().await;
        let in_force = health.in_force;
        match in_force {
            InForce::TrustAd | InForce::Validate | InForce::Off => {
                tracing::info!(%health, "DNSSEC");
            }
            InForce::Unavailable => tracing::error!(
                %health,
                "DNSSEC: no name server gives proven answers, so DANE is OFF and mail leaves without it; use a validating resolver on loopback, see [dns] in waxseal.toml"
            ),
            InForce::Waiting => tracing::error!(
                %health,
                "DNSSEC: no name server gives proven answers, and all mail waits for one; see [dns] in waxseal.toml"
            ),
        }
        self.metrics.dnssec(in_force.works());
        self.readiness.probed(health);
        in_force
    }
}

/// Probes the name servers for ever: those that give proven answers hourly, others until they do.
pub(super) async fn watch_dnssec(reloader: Arc<Reloader>, mut in_force: InForce) {
    loop {
        let pause = match in_force {
            InForce::TrustAd | InForce::Validate | InForce::Off => HOURLY,
            InForce::Unavailable | InForce::Waiting => UNTIL_IT_WORKS,
        };
        tokio::time::sleep(pause).await;
        let resolver = reloader.resolver.load_full();
        in_force = reloader.probe(&resolver).await;
    }
}

/// Warns of rules that expire while waxseal runs.
pub(super) async fn warn_of_expiry(gates: Arc<ArcSwap<Gate>>) {
    let mut since = SystemClock.now();
    loop {
        tokio::time::sleep(EXPIRY_CHECK).await;
        let now = SystemClock.now();
        for rule in expired_between(&gates.load().rules, since, now) {
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
