//! The metrics: what left sealed, what left open, what was blocked and why. Their one declaration.
//!
//! Labels are words of waxseal's own, never a host or a mail address, and a domain only where the operator lists
//! it (`domains`), so the number of time series is bounded. What can be known beforehand starts at zero, so that
//! an alert on a rate sees the first event. The counters of every message are made once: recording them hashes no
//! label, but for those of a handshake.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Error, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use crate::mtasts::{FetchError, Mode};
use crate::name::Domain;
use crate::policy::downgrade::{Kind, Turn};
use crate::policy::failure::{Failure, Fault};
use crate::policy::handshake::{Handshake, Resumption};
use crate::policy::outcome::{
    End, Event, Ingress, Link, LookupResult, MAP_LISTENER, MapEvent, MapResult, Observer, Outcome,
    PoolEvent, Untouched,
};
use crate::policy::refusal::Refusal;
use crate::policy::verdict::Policy;
use crate::store::Stats;
use crate::time::UnixTime;
use crate::usage::{CacheUse, Cached};

mod domains;
pub mod hour;
mod kinds;

use domains::Listed;
use hour::Counts;
use kinds::{BySeal, ByTwo, ByWord, ENCRYPTIONS, New, sum};

/// From the answer of a cache to the longest waits of RFC 5321.
const SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0,
];
/// A transaction includes the content, and what the MX does with it before it answers.
const TRANSACTION_SECONDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0,
];

/// Declares the fields of [`Metrics`]; the doc comment of a field is its HELP text.
macro_rules! metrics {
    ($(#[doc = $help:literal] $field:ident: $kind:ty = $make:expr;)*) => {
        /// All metrics, and the registry that renders them.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] $field: $kind,)*
        }

        impl Metrics {
            fn declared(registry: Registry) -> Result<Self, Error> {
                $(
                    let make: fn(&New<'_>) -> Result<$kind, Error> = $make;
                    let $field = make(&New { registry: &registry, help: $help })?;
                )*
                Ok(Self { registry, $($field,)* })
            }
        }
    };
}

metrics! {
    /// Messages that an MX accepted.
    deliveries: BySeal = |new| new.by_seal("waxseal_deliveries_total");
    /// Recipients of the messages that an MX accepted.
    recipients: BySeal = |new| new.by_seal("waxseal_recipients_total");
    /// Octets of message content that were sent to MX hosts.
    message_bytes: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_message_bytes_total", "encryption", ENCRYPTIONS);
    /// Legs that were kept back because no MX proved what the policy asks for.
    blocked: ByTwo = |new| {
        new.counters_of("waxseal_blocked_total", ["policy", "reason"], policies(), &Failure::POLICY_REASONS)
    };
    /// Messages that were delivered because a rule only observes, or an MTA-STS policy only tests, and else blocked.
    would_block: ByTwo = |new| {
        new.counters_of("waxseal_would_block_total", ["policy", "reason"], policies(), &Failure::POLICY_REASONS)
    };
    /// Legs that failed for other reasons of waxseal's own: the network, DNS, a domain without mail, a limit.
    failures: ByWord<IntCounterVec> = |new| {
        let other = reasons().filter(|reason| !Failure::POLICY_REASONS.contains(reason));
        new.counter_by("waxseal_failures_total", "reason", other)
    };
    /// Legs that an MX rejected, by the class of its reply.
    rejected: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_rejected_total", "class", ["4xx", "5xx"]);
    /// MX hosts that showed less than before: no TLS, or no proof of who they are.
    downgrades: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_downgrades_total", "kind", Kind::ALL.map(Kind::label));
    /// Addresses of MX hosts that were tried, and what came of it.
    attempts: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_attempts_total", "result", reasons().chain([READY]));
    /// Finished TLS handshakes with MX hosts.
    handshakes: IntCounterVec = |new| {
        new.counters("waxseal_tls_handshakes_total", &["version", "key_exchange", "cipher", "resumed"])
    };
    /// MTA-STS policies asked for at their web servers.
    sts_fetches: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_mta_sts_fetches_total", "result", FETCH_RESULTS);
    /// MTA-STS policies that are remembered, by their mode.
    sts_policies: ByWord<IntGaugeVec> = |new| {
        new.gauge_by("waxseal_mta_sts_policies", "mode", Mode::ALL.map(Mode::word))
    };
    /// Seconds since the first failure of the MTA-STS policy whose refreshes have failed the longest; 0 if none fails.
    sts_failing: IntGauge = |new| new.gauge("waxseal_mta_sts_oldest_refresh_failure_seconds");
    /// 1 if policies are kept where they should be, 0 if memory stands in.
    store_ok: IntGauge = |new| new.gauge("waxseal_store_ok");
    /// Look-ups of what is known about a destination.
    lookups: ByTwo = |new| {
        let results = LookupResult::ALL.map(LookupResult::label);
        new.counters_of("waxseal_policy_lookups_total", ["source", "result"], [MX, DANE, MTA_STS], &results)
    };
    /// What is in the caches.
    cache_entries: ByWord<IntGaugeVec> =
        |new| new.gauge_by("waxseal_cache_entries", "cache", Cached::ALL.map(Cached::label));
    /// Questions that a cache could answer.
    cache_hits: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_cache_hits_total", "cache", Cached::ALL.map(Cached::label));
    /// Questions that a cache could not answer.
    cache_misses: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_cache_misses_total", "cache", Cached::ALL.map(Cached::label));
    /// Messages to the domains that the operator lists that an MX accepted.
    domain_deliveries: IntCounterVec = |new| {
        new.counters("waxseal_domain_deliveries_total", &["domain", "encryption", "authentication"])
    };
    /// Legs to the domains that the operator lists that were kept back because no MX proved what the policy asks for.
    domain_blocked: IntCounterVec =
        |new| new.counters("waxseal_domain_blocked_total", &["domain", "reason"]);
    /// The counters of these domains.
    listed: Listed = |_| Ok(Listed::default());
    /// Sessions of MTAs at this moment.
    sessions: ByWord<IntGaugeVec> = |new| new.gauge_by("waxseal_sessions", "listener", listeners());
    /// Sessions of MTAs since the start.
    sessions_total: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_sessions_total", "listener", listeners());
    /// MTAs, commands and messages that waxseal turned away, whatever the destination.
    refused: ByTwo = |new| {
        let reasons = Refusal::ALL.map(Refusal::label);
        new.counters_of("waxseal_refused_total", ["listener", "reason"], listeners(), &reasons)
    };
    /// Requests to the policy table for Postfix.
    map_requests: ByWord<IntCounterVec> = |new| {
        new.counter_by("waxseal_socketmap_requests_total", "result", MapResult::ALL.map(MapResult::label))
    };
    /// Connections to MX hosts that wait for the next message.
    pool: ByWord<IntGaugeVec> = |new| new.gauge_by("waxseal_pool_connections", "state", [IDLE]);
    /// Messages that went over a connection that had carried one before.
    reuses: IntCounter = |new| new.counter("waxseal_upstream_reuses_total");
    /// Connections that were passed through untouched: nothing is known of the mail in them.
    passthrough: ByTwo = |new| {
        let reasons = Untouched::ALL.map(Untouched::label);
        new.counters_of("waxseal_passthrough_total", ["listener", "reason"], listeners(), &reasons)
    };
    /// Reloads of the configuration.
    reloads: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_config_reloads_total", "result", ["ok", "failed"]);
    /// 1 if the last reload worked, or there was none; 0 if what is in force is older than what is written.
    last_reload_successful: IntGauge =
        |new| new.gauge("waxseal_config_last_reload_successful");
    /// When the configuration in force was loaded, in seconds since 1970.
    last_reload: IntGauge = |new| new.gauge("waxseal_config_last_reload_timestamp_seconds");
    /// Rules in force, one for each pattern and sender.
    rules: IntGauge = |new| new.gauge("waxseal_rules");
    /// 1 if a name server proved its answer to the last probe, else 0.
    dnssec_ok: IntGauge = |new| new.gauge("waxseal_dnssec_ok");
    /// Lines of the audit log that were lost.
    audit_lost: ByWord<IntCounterVec> =
        |new| new.counter_by("waxseal_audit_lines_lost_total", "reason", ["queue-full", "write-failed"]);
    /// Always 1; the version is the label.
    build_info: IntGaugeVec = |new| new.gauges("waxseal_build_info", &["version"]);
    /// Seconds to gather the facts about a destination.
    lookup_seconds: Histogram = |new| new.histogram("waxseal_policy_lookup_seconds", SECONDS);
    /// Seconds that connections and messages waited for room where a [[destination]] has limits.
    destination_wait_seconds: Histogram =
        |new| new.histogram("waxseal_destination_wait_seconds", SECONDS);
    /// Seconds to connect to an MX.
    connect_seconds: Histogram = |new| new.histogram("waxseal_connect_seconds", SECONDS);
    /// Seconds of a TLS handshake with an MX.
    handshake_seconds: Histogram = |new| new.histogram("waxseal_tls_handshake_seconds", SECONDS);
    /// Seconds from the first recipient of a leg to its end.
    transaction_seconds: Histogram =
        |new| new.histogram("waxseal_transaction_seconds", TRANSACTION_SECONDS);
}

/// The state of a connection that waits.
const IDLE: &str = "idle";
/// The result of an attempt that did not fail.
const READY: &str = "ready";
/// The sources of facts.
const MX: &str = "mx";
const DANE: &str = "dane";
const MTA_STS: &str = "mta-sts";
/// What came of the fetch of a policy: the words of RFC 8460 §4.3.2.2 where it failed.
const FETCH_RESULTS: [&str; 4] = [
    FETCHED,
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
];
const FETCHED: &str = "ok";

fn policies() -> impl Iterator<Item = &'static str> {
    Policy::ALL.into_iter().map(Policy::label)
}

fn listeners() -> impl Iterator<Item = &'static str> {
    Ingress::ALL
        .into_iter()
        .map(Ingress::label)
        .chain([MAP_LISTENER])
}

fn reasons() -> impl Iterator<Item = &'static str> {
    Failure::REASONS.into_iter().chain(Fault::REASONS)
}

/// What became of mail since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// What left sealed or open, and what was blocked.
    pub now: Counts,
    /// Messages that left although they would have been blocked, had a rule or policy not only observed.
    pub would_block: u64,
    /// Legs that failed for other reasons.
    pub failed: u64,
    /// Legs that an MX rejected.
    pub rejected: u64,
}

/// What came of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The new configuration is in force.
    Ok,
    /// The old one stays in force.
    Failed,
}

impl Metrics {
    /// Registers everything, in a registry of its own.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let metrics = Self::declared(registry)?;
        let version = env!("CARGO_PKG_VERSION");
        metrics.build_info.with_label_values(&[version]).set(1);
        metrics.last_reload_successful.set(1);
        Ok(metrics)
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// The sums of what became of mail.
    pub fn totals(&self) -> Totals {
        let [sealed, open] = self.deliveries.by_encryption();
        Totals {
            now: Counts {
                sealed,
                open,
                blocked: sum(self.blocked.vector()),
            },
            would_block: sum(self.would_block.vector()),
            failed: sum(self.failures.vector()),
            rejected: sum(self.rejected.vector()),
        }
    }

    /// When the configuration in force was loaded.
    pub fn in_force_since(&self) -> UnixTime {
        UnixTime(u64::try_from(self.last_reload.get()).unwrap_or_default())
    }

    /// Takes note of a configuration that came into force at `now`, with so many rules.
    pub fn in_force(&self, rules: usize, now: UnixTime) {
        self.rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
        self.last_reload
            .set(i64::try_from(now.0).unwrap_or(i64::MAX));
    }

    /// Counts what becomes of mail to these domains from now on, and of no others.
    pub fn list(&self, domains: &[Domain]) {
        self.listed
            .replace(domains, &self.domain_deliveries, &self.domain_blocked);
    }

    /// Takes note of how the caches are used.
    pub fn caches(&self, uses: impl IntoIterator<Item = CacheUse>) {
        for one in uses {
            let word = one.cache.label();
            let entries = i64::try_from(one.entries).unwrap_or(i64::MAX);
            self.cache_entries.of(word).set(entries);
            self.cache_hits.of(word).inc_by(one.hits);
            self.cache_misses.of(word).inc_by(one.misses);
        }
    }

    /// Takes note of a probe of the name servers: whether one of them proved its answer.
    pub fn dnssec(&self, passed: bool) {
        self.dnssec_ok.set(passed.into());
    }

    /// Takes note of whether the store keeps what it is given.
    pub fn store(&self, ok: bool) {
        self.store_ok.set(ok.into());
    }

    /// Takes note of how the MTA-STS policies stand at `now`.
    pub fn policies(&self, stats: &Stats, now: UnixTime) {
        for mode in Mode::ALL {
            let count = i64::try_from(stats.of(mode)).unwrap_or(i64::MAX);
            self.sts_policies.of(mode.word()).set(count);
        }
        let age = stats
            .oldest_failure
            .map_or(0, |since| now.0.saturating_sub(since.0));
        self.sts_failing.set(i64::try_from(age).unwrap_or(i64::MAX));
    }

    /// Counts lines of the audit log that were lost, by `reason`.
    pub fn audit_lost(&self, reason: &str, lines: u64) {
        self.audit_lost.of(reason).inc_by(lines);
    }

    /// Counts a reload; the start is none.
    pub fn reloaded(&self, result: Reloaded) {
        let word = match result {
            Reloaded::Ok => "ok",
            Reloaded::Failed => "failed",
        };
        self.reloads.of(word).inc();
        self.last_reload_successful
            .set((result == Reloaded::Ok).into());
    }

    fn session_opened(&self, listener: &str) {
        self.sessions.of(listener).inc();
        self.sessions_total.of(listener).inc();
    }

    fn refused(&self, listener: &str, refusal: Refusal) {
        self.refused.of(listener, refusal.label()).inc();
    }

    fn map(&self, event: MapEvent) {
        match event {
            MapEvent::Opened => self.session_opened(MAP_LISTENER),
            MapEvent::Closed => self.sessions.of(MAP_LISTENER).dec(),
            MapEvent::Refused(refusal) => self.refused(MAP_LISTENER, refusal),
            MapEvent::Answered(result) => self.map_requests.of(result.label()).inc(),
        }
    }

    fn outcome(&self, outcome: &Outcome) {
        outcome.rule().into_iter().for_each(|rule| rule.hits.add());
        self.transaction_seconds
            .observe(outcome.elapsed.as_secs_f64());
        if let Some(link) = &outcome.link {
            self.message_bytes
                .of(link.seal.encryption())
                .inc_by(outcome.octets);
        }
        match &outcome.end {
            End::Delivered(_) => {
                if let Some(link) = &outcome.link {
                    self.delivered(outcome, link);
                }
            }
            End::Rejected(reply) => {
                let class = if reply.code() >= 500 { "5xx" } else { "4xx" };
                self.rejected.of(class).inc();
            }
            End::Failed(failure) if failure.is_about_policy() => {
                let (policy, reason) = (outcome.policy.label(), failure.reason());
                self.blocked.of(policy, reason).inc();
                self.listed.blocked(&outcome.destination, reason);
            }
            End::Failed(failure) => self.failures.of(failure.reason()).inc(),
            End::Abandoned => {}
        }
    }

    fn delivered(&self, outcome: &Outcome, link: &Link) {
        let policy = outcome.policy;
        let recipients = u64::try_from(outcome.recipients).unwrap_or(u64::MAX);
        self.deliveries.of(&link.seal, policy).inc();
        self.recipients.of(&link.seal, policy).inc_by(recipients);
        self.listed.delivered(&outcome.destination, &link.seal);
        let observed = link.would_block.as_ref().map(|failure| (policy, failure));
        let tested = link
            .tested
            .as_ref()
            .and_then(|result| result.as_ref().err());
        let tested = tested.map(|failure| (Policy::MtaSts, failure));
        for (policy, failure) in observed.into_iter().chain(tested) {
            self.would_block.of(policy.label(), failure.reason()).inc();
        }
    }

    fn handshake(&self, handshake: &Handshake) {
        let resumed = match handshake.resumption {
            Resumption::Full => "no",
            Resumption::Resumed => "yes",
        };
        let version = handshake.version.to_string();
        self.handshakes
            .with_label_values(&[&version, handshake.key_exchange, handshake.cipher, resumed])
            .inc();
    }
}

impl Observer for Metrics {
    fn record(&self, event: Event<'_>) {
        match event {
            Event::SessionOpened(listener) => self.session_opened(listener.label()),
            Event::SessionClosed(listener) => self.sessions.of(listener.label()).dec(),
            Event::Refused(listener, refusal) => self.refused(listener.label(), refusal),
            Event::Lookup { result, elapsed } => {
                self.lookups.of(MX, result.label()).inc();
                if let Some(elapsed) = elapsed {
                    self.lookup_seconds.observe(elapsed.as_secs_f64());
                }
            }
            Event::TlsaLookup(result) => self.lookups.of(DANE, result.label()).inc(),
            Event::MtaStsLookup(result) => self.lookups.of(MTA_STS, result.label()).inc(),
            Event::MtaStsFetch { result, .. } => {
                let word = result.err().map_or(FETCHED, FetchError::result_type);
                self.sts_fetches.of(word).inc();
            }
            Event::Waited(elapsed) => {
                self.destination_wait_seconds.observe(elapsed.as_secs_f64());
            }
            Event::Connected(elapsed) => self.connect_seconds.observe(elapsed.as_secs_f64()),
            Event::Handshake(handshake, elapsed) => {
                self.handshake(handshake);
                self.handshake_seconds.observe(elapsed.as_secs_f64());
            }
            Event::Attempt(_, failure) => {
                self.attempts
                    .of(failure.map_or(READY, Failure::reason))
                    .inc();
            }
            Event::Downgrade {
                turn: Turn::Lost(kind),
                ..
            } => self.downgrades.of(kind.label()).inc(),
            // What is lost is counted, and not what comes back. Reloads are counted where they are made.
            Event::Downgrade { .. } | Event::Act(_) => {}
            Event::PassedThrough(listener, why) => {
                self.passthrough.of(listener.label(), why.label()).inc();
            }
            Event::Outcome(outcome) => self.outcome(outcome),
            Event::Map(event) => self.map(event),
            Event::Pool(PoolEvent::Came) => self.pool.of(IDLE).inc(),
            Event::Pool(PoolEvent::Left) => self.pool.of(IDLE).dec(),
            Event::Pool(PoolEvent::Reused) => self.reuses.inc(),
        }
    }
}

#[cfg(test)]
mod tests;
