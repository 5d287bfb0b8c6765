//! Everything that a message meets on its way: rules, facts, and the means to dial. One immutable set;
//! a reload makes another, and transactions under way keep theirs.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::discover::Discover;
use crate::name::{Destination, Domain, Host};
use crate::net::dial::Dialer;
use crate::net::tls::TlsClient;
use crate::policy::decide::{Question, decide};
use crate::policy::facts::{Facts, Hosts};
use crate::policy::outcome::{Event, LookupResult, Observer};
use crate::policy::requirement::Roots;
use crate::policy::rules::{Query, Rule, Rules};
use crate::policy::verdict::Verdict;
use crate::proxy::dead::DeadAddresses;
use crate::proxy::settings::Settings;
use crate::time::Clock;

/// The gate.
#[derive(Clone)]
pub struct Gate {
    /// What the operator set.
    pub settings: Settings,
    /// The operator's rules.
    pub rules: Arc<Rules>,
    /// The trust anchors where a rule has none of its own.
    pub roots: Arc<Roots>,
    /// Gathers facts.
    pub discover: Discover,
    /// Makes TCP connections.
    pub dialer: Dialer,
    /// Makes TLS connections.
    pub tls: TlsClient,
    /// Addresses that did not connect.
    pub dead: DeadAddresses,
    /// Knows the time.
    pub clock: Arc<dyn Clock>,
    /// Counts and logs.
    pub observer: Arc<dyn Observer>,
}

/// A verdict, and what it rests on.
#[derive(Debug)]
pub struct Decision {
    /// The rule in force, if any.
    pub rule: Option<Arc<Rule>>,
    /// What is known.
    pub facts: Facts,
    /// What follows.
    pub verdict: Verdict,
}

impl Gate {
    /// Decides about mail from `sender` to `destination`.
    pub async fn decide(&self, destination: &Destination, sender: Option<&Domain>) -> Decision {
        let started = Instant::now();
        let (rule, facts) = self.rule_and_facts(destination, sender).await;
        self.observer.record(Event::Lookup {
            result: lookup_result(&facts.hosts),
            elapsed: started.elapsed(),
        });
        let verdict = decide(&Question {
            destination,
            rule: rule.as_deref(),
            facts: &facts,
            port: self.settings.mx.port,
            roots: &self.roots,
        });
        Decision {
            rule,
            facts,
            verdict,
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
            return (Some(Arc::clone(rule)), self.facts(rule, destination).await);
        }
        let anything = self.rules.for_anything(&query).cloned();
        if self.rules.know_mx_patterns() {
            let facts = self.discover.destination(destination).await;
            // Without the MX hosts nobody knows which rule is in force: the failure decides, and a
            // route of the rule for everything must not get around it.
            if let Hosts::LookupFailed(_) = facts.hosts {
                return (anything, facts);
            }
            if let Some(rule) = self.rules.for_mx(&host_names(&facts), &query) {
                return (Some(Arc::clone(rule)), facts);
            }
            if anything.as_ref().is_none_or(|rule| rule.route.is_none()) {
                return (anything, facts);
            }
        }
        match anything {
            Some(rule) => {
                let facts = self.facts(&rule, destination).await;
                (Some(rule), facts)
            }
            None => (None, self.discover.destination(destination).await),
        }
    }

    async fn facts(&self, rule: &Rule, destination: &Destination) -> Facts {
        match &rule.route {
            Some(route) => self.discover.route(&route.host).await,
            None => self.discover.destination(destination).await,
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
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
