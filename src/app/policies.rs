//! `waxseal policy`: the remembered MTA-STS policies, seen and changed by hand.
//!
//! Where waxseal runs, its admin endpoint is asked, because what it has in memory counts. Where nobody
//! listens there, the store is opened here: several processes may use it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;

use super::{Error, gate as gate_to_ask};
use crate::admin::{PolicyDesk, PolicyError, PolicyPage, PolicyView};
use crate::cli::{PolicyArgs, PolicyCommand, print};
use crate::config::Config;
use crate::discover::MtaStsPolicies;
use crate::name::Domain;
use crate::proxy::gate::Gate;

pub(super) mod remote;
mod table;

/// Policies that are asked for at once.
const PAGE: u32 = 1000;

/// The policies of the gate in force.
pub(super) struct GateDesk(pub(super) Arc<ArcSwap<Gate>>);

impl GateDesk {
    fn policies(&self) -> Result<MtaStsPolicies, PolicyError> {
        let gate = self.0.load();
        gate.discover.policies().cloned().ok_or(PolicyError::Off)
    }
}

impl PolicyDesk for GateDesk {
    fn list(
        &self,
        after: Option<Domain>,
        limit: u32,
    ) -> BoxFuture<'_, Result<PolicyPage, PolicyError>> {
        Box::pin(async move {
            let page = self.policies()?.page(after.as_ref(), limit as usize).await;
            let page = page.map_err(|error| PolicyError::Store(error.to_string()))?;
            let is_full = page.len() >= limit as usize;
            let policies: Vec<PolicyView> = page
                .iter()
                .map(|(domain, kept)| PolicyView::of(domain, kept))
                .collect();
            let last = policies.last().map(|view| view.domain.clone());
            Ok(PolicyPage {
                next: last.filter(|_| is_full),
                policies,
            })
        })
    }

    fn show<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async move {
            let kept = self.policies()?.kept(domain).await;
            let kept = kept.map_err(|error| PolicyError::Store(error.to_string()))?;
            kept.map(|kept| PolicyView::of(domain, &kept))
                .ok_or_else(|| PolicyError::Unknown(domain.clone()))
        })
    }

    fn refresh<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async move {
            let refreshed = self.policies()?.refresh(domain).await;
            refreshed
                .map(|kept| PolicyView::of(domain, &kept))
                .map_err(|error| PolicyError::NotRefreshed {
                    domain: domain.clone(),
                    why: error.to_string(),
                })
        })
    }

    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(), PolicyError>> {
        Box::pin(async move {
            let forgotten = self.policies()?.forget(domain).await;
            forgotten
                .then_some(())
                .ok_or_else(|| PolicyError::Unknown(domain.clone()))
        })
    }
}

/// `waxseal policy`: does what is asked, and prints what came of it.
pub(super) async fn run(config: &Config, args: &PolicyArgs) -> Result<(), Error> {
    let desk = desk(config).await?;
    let done = match &args.command {
        PolicyCommand::List => return list(&*desk, args.json).await,
        PolicyCommand::Show { domain } => desk.show(domain).await,
        PolicyCommand::Refresh { domain } => desk.refresh(domain).await,
        PolicyCommand::Forget { domain } => {
            desk.forget(domain).await?;
            print(&table::forgotten(domain, args.json));
            return Ok(());
        }
    };
    print(&table::policy(&done?, args.json));
    Ok(())
}

/// Whoever runs and answers at the admin endpoint; else the store.
async fn desk(config: &Config) -> Result<Box<dyn PolicyDesk>, Error> {
    if let Some(remote) = remote::AdminDesk::find(config.admin, "policies").await? {
        return Ok(Box::new(remote));
    }
    let gate = gate_to_ask(config).await?;
    Ok(Box::new(GateDesk(Arc::new(ArcSwap::from_pointee(gate)))))
}

/// Page by page: there may be many.
async fn list(desk: &dyn PolicyDesk, as_json: bool) -> Result<(), Error> {
    let mut after: Option<Domain> = None;
    let mut printer = table::List::new(as_json);
    loop {
        let page = desk.list(after, PAGE).await?;
        print(&printer.page(&page.policies));
        // What cannot be a domain cannot be behind the last one.
        after = page.next.and_then(|next| next.parse().ok());
        if after.is_none() {
            print(&printer.end());
            return Ok(());
        }
    }
}
