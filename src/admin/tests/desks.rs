//! Whoever knows what the endpoint shows, for tests.

use std::time::Duration;

use super::super::*;
use crate::name::Host;
use crate::policy::delivery_id::DeliveryId;
use crate::policy::downgrade::{Guard, Kind, Known, Lost, Response as OnLoss, Shown};
use crate::record::Record;
use crate::store::{KeptHost, Which};
use crate::time::UnixTime;

struct Answer(Result<String, String>);

impl Reload for Answer {
    fn reload(&self, _: Actor) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async { self.0.clone() })
    }
}

pub(super) fn admin(reload: Result<&str, &str>) -> Admin {
    Admin {
        render: Arc::new(|| "waxseal_rules 7\n".to_owned()),
        readiness: Arc::new(Readiness::default()),
        reload: Arc::new(Answer(reload.map(str::to_owned).map_err(str::to_owned))),
        policies: Arc::new(OnePolicy),
        deliveries: Arc::new(Quiet),
        overview: Arc::new(Quiet),
        rules: Arc::new(Quiet),
        hosts: Arc::new(OneHost),
        observer: Arc::new(Quiet),
    }
}

/// A waxseal that has one rule, and too many checks under way for any but the domain a.example.
struct Quiet;

impl Overview for Quiet {
    fn totals(&self) -> TotalsView {
        TotalsView {
            since: UnixTime(0).to_string(),
            sealed: 3,
            open: 2,
            blocked: 1,
            would_block: 0,
            failed: 0,
            rejected: 0,
            last_hour: Vec::new(),
        }
    }

    fn rules(&self, skip: usize, limit: usize) -> RulePage {
        RulePage {
            loaded: UnixTime(0).to_string(),
            total: skip,
            rules: Vec::new(),
            next: Some(limit),
        }
    }

    fn check(
        &self,
        destination: Destination,
        sender: Option<Domain>,
    ) -> BoxFuture<'_, Result<Value, TooBusy>> {
        let free = destination.to_string() == "a.example";
        Box::pin(async move { free.then(|| format!("{sender:?}").into()).ok_or(TooBusy) })
    }
}

impl RuleDesk for Quiet {
    fn add(&self, rule: NewRule, _: Actor) -> BoxFuture<'_, Result<ChangeView, ChangeError>> {
        Box::pin(async move { Err(ChangeError::Wrong(format!("{rule:?}"))) })
    }

    fn expire(&self, scope: RuleScope, _: Actor) -> BoxFuture<'_, Result<ChangeView, ChangeError>> {
        Box::pin(async move { Err(ChangeError::Unknown(format!("{scope:?}"))) })
    }
}

impl Observer for Quiet {
    fn record(&self, _: Event<'_>) {}
}

impl DeliveryDesk for Quiet {
    fn list(&self, wanted: &Wanted) -> DeliveryPage {
        DeliveryPage {
            deliveries: Vec::new(),
            next: Some(format!("{wanted:?}")),
        }
    }

    fn show(&self, _id: DeliveryId) -> Option<Record> {
        None
    }
}

/// A desk that knows mx.a.example, which has lost STARTTLS, and no other host.
struct OneHost;

fn host_view(host: &Host) -> Result<HostView, HostError> {
    if host.as_str() != "mx.a.example" {
        return Err(HostError::Unknown(host.clone()));
    }
    let lost = Lost {
        kind: Kind::Starttls,
        since: UnixTime(60),
    };
    let kept = KeptHost {
        known: Known {
            best: Shown::Dane,
            lost: Some(lost),
        },
        first: UnixTime(0),
        seen: UnixTime(60),
    };
    let guard = Guard {
        response: OnLoss::Defer,
        hold: Duration::from_mins(1),
    };
    Ok(HostView::of(host, &kept, guard))
}

impl HostDesk for OneHost {
    fn list(
        &self,
        which: Which,
        after: Option<Host>,
        limit: u32,
    ) -> BoxFuture<'_, Result<HostPage, HostError>> {
        Box::pin(async move {
            let hosts = host_view(&"mx.a.example".parse().unwrap());
            Ok(HostPage {
                hosts: hosts.into_iter().collect(),
                next: Some(format!("{which:?} {after:?} {limit}")),
            })
        })
    }

    fn show<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<HostView, HostError>> {
        Box::pin(async { host_view(host) })
    }

    fn forget<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async { host_view(host).map(|_| ()) })
    }
}

/// A desk that knows the policy of a.example, and of nobody else.
struct OnePolicy;

fn view(domain: &Domain) -> Result<PolicyView, PolicyError> {
    if domain.as_str() != "a.example" {
        return Err(PolicyError::Unknown(domain.clone()));
    }
    Ok(PolicyView {
        domain: domain.to_string(),
        mode: "enforce".to_owned(),
        mx: vec!["*.a.example".to_owned()],
        max_age: 86400,
        id: "1".to_owned(),
        fetched: UnixTime(0).to_string(),
        expires: UnixTime(86400).to_string(),
        used: UnixTime(0).to_string(),
        next_refresh: UnixTime(43200).to_string(),
        failing: None,
        text: String::new(),
    })
}

impl PolicyDesk for OnePolicy {
    fn list(
        &self,
        after: Option<Domain>,
        limit: u32,
    ) -> BoxFuture<'_, Result<PolicyPage, PolicyError>> {
        Box::pin(async move {
            let policies = view(&"a.example".parse().unwrap());
            Ok(PolicyPage {
                policies: policies.into_iter().collect(),
                next: Some(format!("{after:?} {limit}")),
            })
        })
    }

    fn show<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async { view(domain) })
    }

    fn refresh<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async {
            Err(PolicyError::NotRefreshed {
                domain: domain.clone(),
                why: "no answer in time".to_owned(),
            })
        })
    }

    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(), PolicyError>> {
        Box::pin(async { view(domain).map(|_| ()) })
    }
}
