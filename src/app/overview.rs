//! What the admin endpoint shows of a waxseal that runs.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::reload::Reloader;
use crate::admin::{
    self, DeliveryDesk, DeliveryPage, MinuteView, RuleInForce, RulePage, TooBusy, TotalsView,
    Wanted,
};
use crate::audit::{Audit, Filter};
use crate::check::{self, Depth, Request};
use crate::metrics::hour::{Counts, LastHour};
use crate::name::{Destination, Domain};
use crate::policy::delivery_id::DeliveryId;
use crate::policy::rules::Rule;
use crate::record::Record;
use crate::time::UnixTime;

/// The last deliveries.
pub(super) struct RingDesk(pub(super) Arc<Audit>);

impl DeliveryDesk for RingDesk {
    fn list(&self, wanted: &Wanted) -> DeliveryPage {
        let filter = Filter {
            domain: wanted.domain.clone(),
            result: wanted.result.clone(),
            after: wanted.after,
        };
        let page = self.0.latest().page(&filter, wanted.limit);
        DeliveryPage {
            deliveries: page.records,
            next: page.next.map(|id| id.to_string()),
        }
    }

    fn show(&self, id: DeliveryId) -> Option<Record> {
        self.0.latest().find(id)
    }
}

/// Checks at the same time.
const CHECKS: usize = 4;

/// The gate in force, and what has passed it.
pub(super) struct Overview {
    reloader: Arc<Reloader>,
    hour: Arc<LastHour>,
    started: UnixTime,
    checks: Semaphore,
}

impl Overview {
    pub(super) fn new(reloader: Arc<Reloader>, hour: Arc<LastHour>) -> Self {
        Self {
            started: reloader.lasting.clock.now(),
            reloader,
            hour,
            checks: Semaphore::new(CHECKS),
        }
    }
}

impl admin::Overview for Overview {
    fn totals(&self) -> TotalsView {
        let totals = self.reloader.metrics.totals();
        TotalsView {
            since: self.started.to_string(),
            sealed: totals.now.sealed,
            open: totals.now.open,
            blocked: totals.now.blocked,
            would_block: totals.would_block,
            failed: totals.failed,
            rejected: totals.rejected,
            last_hour: self.hour.minutes().into_iter().map(minute).collect(),
        }
    }

    fn rules(&self, skip: usize, limit: usize) -> RulePage {
        let now = self.reloader.lasting.clock.now();
        let rules = Arc::clone(&self.reloader.gates.load().rules);
        let total = rules.iter().count();
        let page = rules.iter().skip(skip).take(limit);
        let next = skip.saturating_add(limit);
        RulePage {
            loaded: self.reloader.metrics.in_force_since().to_string(),
            total,
            rules: page.map(|rule| view(rule, now)).collect(),
            next: (next < total).then_some(next),
        }
    }

    fn check(
        &self,
        destination: Destination,
        sender: Option<Domain>,
    ) -> BoxFuture<'_, Result<Value, TooBusy>> {
        Box::pin(async move {
            let _place = self.checks.try_acquire().map_err(|_| TooBusy)?;
            let gate = self.reloader.gates.load_full();
            let request = Request {
                destination,
                sender,
                depth: Depth::Facts,
            };
            Ok(check::run(&gate, request).await.json())
        })
    }
}

fn minute((at, counts): (UnixTime, Counts)) -> MinuteView {
    MinuteView {
        at: at.to_string(),
        sealed: counts.sealed,
        open: counts.open,
        blocked: counts.blocked,
    }
}

fn view(rule: &Rule, now: UnixTime) -> RuleInForce {
    RuleInForce {
        origin: rule.origin.to_string(),
        pattern: rule.pattern.to_string(),
        sender: rule.sender.to_string(),
        tls: rule.level.to_string(),
        mode: rule.mode.word().to_owned(),
        route: rule.route.as_ref().map(ToString::to_string),
        reason: rule.reason.clone(),
        expires: rule.expires.map(|expires| expires.to_string()),
        expired: rule.has_expired(now),
        hits: rule.hits.count(),
    }
}
