//! Everything that a message meets on its way: rules, facts, and the means to dial. One immutable set;
//! a reload makes another, and transactions under way keep theirs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::discover::{Discover, Scope};
use crate::name::{Destination, Domain, Host};
use crate::net::dial::Dialer;
use crate::net::tls::TlsClient;
use crate::policy::act::Written;
use crate::policy::decide::{Decision, Question, decide};
use crate::policy::facts::{Dane, Facts, HostFacts, Hosts, MtaSts, NoDane, NoMtaSts};
use crate::policy::outcome::{Event, LookupResult, Observer};
use crate::policy::requirement::Roots;
use crate::policy::rules::{Query, Rule, Rules};
use crate::proxy::caps::Caps;
use crate::proxy::dead::DeadAddresses;
use crate::proxy::pool::Pool;
use crate::proxy::recent::{Answers, Decisions, Moment};
use crate::proxy::settings::Settings;
use crate::time::Clock;
use crate::usage::CacheUse;

/// The gate.
#[derive(Clone)]
pub struct Gate {
    /// What the operator set.
    pub settings: Settings,
    /// The operator's rules.
    pub rules: Arc<Rules>,
    /// What settings and rules were read from.
    pub written: Written,
    /// The trust anchors where a rule has none of its own.
    pub roots: Arc<Roots>,
    /// Gathers facts.
    pub discover: Discover,
    /// What was decided a moment ago.
    pub decisions: Decisions,
    /// What Postfix was told a moment ago.
    pub answers: Answers,
    /// Makes TCP connections.
    pub dialer: Dialer,
    /// Makes TLS connections.
    pub tls: TlsClient,
    /// Addresses that did not connect.
    pub dead: DeadAddresses,
    /// Connections that wait for the next message.
    pub pool: Pool,
    /// Who may go where the operator has set limits.
    pub caps: Caps,
    /// Knows the time.
    pub clock: Arc<dyn Clock>,
    /// Counts and logs.
    pub observer: Arc<dyn Observer>,
}

/// The gate of one session, in an `Arc` of its own: the legs of its messages share it, and do not all count on one
/// counter with those of every other session.
pub type SessionGate = Arc<Arc<Gate>>;

impl Gate {
    /// Decides about mail from `sender` to `destination`, or finds what was decided a moment ago.
    pub async fn decide(
        &self,
        destination: &Destination,
        sender: Option<&Domain>,
    ) -> Arc<Decision> {
        let at = self.moment();
        let question = (destination.clone(), sender.cloned());
        if let Some(decision) = self.decisions.known(&question, at) {
            self.count_lookups(&decision.facts, None);
            return decision;
        }
        let started = Instant::now();
        let decision = self.decide_and_keep(question, at).await;
        self.count_lookups(&decision.facts, Some(started.elapsed()));
        decision
    }

    /// What is known now counts until the moment is over.
    pub fn moment(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            revision: self.discover.revision(),
        }
    }

    /// How its caches were used since somebody asked last.
    pub fn cache_uses(&self) -> impl Iterator<Item = CacheUse> {
        let at = self.moment();
        let recent = [self.decisions.cache_use(at), self.answers.cache_use(at)];
        self.discover.cache_uses().chain(recent)
    }

    async fn decide_and_keep(
        &self,
        question: (Destination, Option<Domain>),
        at: Moment,
    ) -> Arc<Decision> {
        let (destination, sender) = &question;
        // In a box: a session that has no need to ask pays nothing for the room that it takes.
        let anew = self.decide_anew(destination, sender.as_ref()).boxed();
        let decision = Arc::new(anew.await);
        if !decision.facts.have_failed() {
            self.decisions.keep(question, at, Arc::clone(&decision));
        }
        decision
    }

    async fn decide_anew(&self, destination: &Destination, sender: Option<&Domain>) -> Decision {
        let (rule, facts) = self.rule_and_facts(destination, sender).await;
        let verdict = decide(&Question {
            destination,
            rule: rule.as_deref(),
            facts: &facts,
            port: self.settings.mx.port,
            roots: &self.roots,
            guard: self.settings.guard,
        });
        Decision {
            rule,
            facts,
            verdict,
        }
    }

    /// Whether the MTA-STS policy of `next_hop` has changed since mail was decided by it.
    pub(super) async fn policy_has_changed(&self, next_hop: &Destination) -> bool {
        match (self.discover.policies(), next_hop.domain()) {
            // In a box, as above.
            (Some(policies), Some(domain)) => policies.has_changed(domain).boxed().await,
            _ => false,
        }
    }

    async fn rule_and_facts(
        &self,
        destination: &Destination,
        sender: Option<&Domain>,
    ) -> (Option<Arc<Rule>>, Facts) {
        let query = Query {
            destination,
            sender,
            now: self.clock.now(),
        };
        if let Some(rule) = self.rules.for_domain(&query) {
            return (
                Some(Arc::clone(rule)),
                self.facts(Some(rule), destination).await,
            );
        }
        let anything = self.rules.for_anything(&query).cloned();
        if self.rules.know_mx_patterns() {
            let facts = self.facts_without_route(None, destination).await;
            // Without the MX hosts nobody knows which rule is in force: the failure decides, and a
            // route of the rule for everything must not get around it.
            if let Hosts::LookupFailed(_) = facts.hosts {
                return (anything, facts);
            }
            if let Some(rule) = self.rules.for_mx(&host_names(&facts), &query) {
                return (Some(Arc::clone(rule)), facts);
            }
        }
        let facts = self.facts(anything.as_deref(), destination).await;
        (anything, facts)
    }

    async fn facts(&self, rule: Option<&Rule>, destination: &Destination) -> Facts {
        match rule.and_then(|rule| rule.route.as_ref()) {
            Some(route) => {
                let scope = scope(rule, route.port);
                self.discover.route(&route.host, scope).await
            }
            None => self.facts_without_route(rule, destination).await,
        }
    }

    async fn facts_without_route(&self, rule: Option<&Rule>, destination: &Destination) -> Facts {
        let scope = scope(rule, self.settings.mx.port);
        self.discover.destination(destination, scope).await
    }

    /// Counts what a decision rests on, for whoever asked for it; and how long that took, unless it was found out a
    /// moment ago.
    pub fn count_lookups(&self, facts: &Facts, elapsed: Option<Duration>) {
        if let Hosts::Known(hosts) = &facts.hosts {
            for result in hosts.iter().filter_map(tlsa_result) {
                self.observer.record(Event::TlsaLookup(result));
            }
        }
        if let Some(result) = sts_result(facts) {
            self.observer.record(Event::MtaStsLookup(result));
        }
        let result = lookup_result(&facts.hosts);
        self.observer.record(Event::Lookup { result, elapsed });
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Only a rule that follows DANE or MTA-STS needs to know them; without a rule `standard` is in force.
fn scope(rule: Option<&Rule>, port: u16) -> Scope {
    Scope {
        tlsa_at: rule.is_none_or(Rule::follows_dane).then_some(port),
        mta_sts: rule.is_none_or(Rule::follows_mta_sts),
    }
}

fn sts_result(facts: &Facts) -> Option<LookupResult> {
    match facts.mta_sts {
        MtaSts::Policy(_) => Some(LookupResult::Found),
        MtaSts::Unknown(_) | MtaSts::Absent(NoMtaSts::FetchFailed(_)) => Some(LookupResult::Failed),
        MtaSts::Absent(NoMtaSts::NoRecord(_) | NoMtaSts::ModeNone) => Some(LookupResult::None),
        MtaSts::Absent(NoMtaSts::NotAsked | NoMtaSts::NoDomain) => None,
    }
}

fn tlsa_result(host: &HostFacts) -> Option<LookupResult> {
    match host.dane {
        Dane::Published(_) => Some(LookupResult::Found),
        Dane::Absent(NoDane::NoRecords | NoDane::InsecureHost) => Some(LookupResult::None),
        Dane::LookupFailed { .. } => Some(LookupResult::Failed),
        Dane::Absent(_) => None,
    }
}

fn host_names(facts: &Facts) -> Vec<&Host> {
    match &facts.hosts {
        Hosts::Known(hosts) => hosts.iter().filter_map(|host| host.host.name()).collect(),
        _ => Vec::new(),
    }
}

fn lookup_result(hosts: &Hosts) -> LookupResult {
    match hosts {
        Hosts::Known(_) => LookupResult::Found,
        Hosts::NullMx | Hosts::NoSuchDomain | Hosts::NoneUsable => LookupResult::None,
        Hosts::LookupFailed(_) => LookupResult::Failed,
    }
}
