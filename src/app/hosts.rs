//! `waxseal host`: what MX hosts have shown, seen and forgotten by hand.
//!
//! Where waxseal runs, its admin endpoint is asked, as for policies.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::json;

use super::list::{Layout, print_all};
use super::remote::{No, Remote};
use super::{Error, gate as gate_to_ask};
use crate::admin::{HostDesk, HostError, HostPage, HostView};
use crate::cli::{HostArgs, HostCommand, print};
use crate::config::Config;
use crate::discover::HostMemory;
use crate::name::Host;
use crate::policy::downgrade::Guard;
use crate::proxy::gate::Gate;
use crate::store::Which;

/// Hosts that are asked for at once.
const PAGE: u32 = 1000;
/// Where an admin endpoint has them.
const PATH: &str = "/api/v1/hosts";

/// What the gate in force remembers.
pub(super) struct GateHosts {
    pub(super) memory: HostMemory,
    pub(super) gates: Arc<ArcSwap<Gate>>,
}

impl GateHosts {
    fn guard(&self) -> Guard {
        self.gates.load().settings.guard
    }
}

impl HostDesk for GateHosts {
    fn list(
        &self,
        which: Which,
        after: Option<Host>,
        limit: u32,
    ) -> BoxFuture<'_, Result<HostPage, HostError>> {
        Box::pin(async move {
            let limit = limit as usize;
            let page = self.memory.page(which, after.as_ref(), limit).await?;
            let last = page.last().map(|(host, _)| host.to_string());
            let view = |(host, kept): &(Host, _)| HostView::of(host, kept, self.guard());
            Ok(HostPage {
                hosts: page.iter().map(view).collect(),
                next: last.filter(|_| page.len() >= limit),
            })
        })
    }

    fn show<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<HostView, HostError>> {
        Box::pin(async move {
            let kept = self.memory.kept(host).await?;
            kept.map(|kept| HostView::of(host, &kept, self.guard()))
                .ok_or_else(|| HostError::Unknown(host.clone()))
        })
    }

    fn forget<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            let forgotten = self.memory.forget(host).await?;
            forgotten
                .then_some(())
                .ok_or_else(|| HostError::Unknown(host.clone()))
        })
    }
}

fn no(host: &Host) -> impl FnOnce(No) -> HostError {
    |no| match no {
        No::NotFound => HostError::Unknown(host.clone()),
        No::Refused(why) => HostError::Refused(why),
    }
}

impl HostDesk for Remote {
    fn list(
        &self,
        which: Which,
        after: Option<Host>,
        limit: u32,
    ) -> BoxFuture<'_, Result<HostPage, HostError>> {
        Box::pin(async move {
            let lost = (which == Which::Lost).then(|| ("lost", "true".to_owned()));
            let after = after.map(|after| ("after", after.to_string()));
            let page = self.page(limit, after.into_iter().chain(lost)).await;
            page.map_err(|no| HostError::Refused(no.to_string()))
        })
    }

    fn show<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<HostView, HostError>> {
        Box::pin(async move {
            let shown = self.ask(Method::GET, &[host.as_str()]).await;
            shown.map_err(no(host))
        })
    }

    fn forget<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            let gone = self.ask(Method::DELETE, &[host.as_str()]).await;
            gone.map_err(no(host))
        })
    }
}

/// `waxseal host`: does what is asked, and prints what came of it.
pub(super) async fn run(config: &Config, args: &HostArgs) -> Result<(), Error> {
    let desk = desk(config).await?;
    match &args.command {
        HostCommand::List { lost } => {
            let which = if *lost { Which::Lost } else { Which::All };
            let ask = async |after| {
                let page = desk.list(which, after, PAGE).await?;
                Ok((page.hosts, page.next))
            };
            return print_all(layout(which), args.json, ask).await;
        }
        HostCommand::Show { host } => print(&shown(&desk.show(host).await?, args.json)),
        HostCommand::Forget { host } => {
            desk.forget(host).await?;
            print(&forgotten(host, args.json));
        }
    }
    Ok(())
}

/// Whoever runs and answers at the admin endpoint; else the store.
async fn desk(config: &Config) -> Result<Box<dyn HostDesk>, Error> {
    if let Some(remote) = Remote::find(config.admin.as_ref(), PATH).await? {
        return Ok(Box::new(remote));
    }
    let gate = gate_to_ask(config).await?;
    let Some(memory) = gate.discover.hosts().cloned() else {
        return Err(HostError::Refused("nobody remembers hosts".to_owned()).into());
    };
    let gates = Arc::new(ArcSwap::from_pointee(gate));
    Ok(Box::new(GateHosts { memory, gates }))
}

fn layout(which: Which) -> Layout<HostView> {
    Layout {
        head: row("HOST", "BEST", "LAST SEEN", ""),
        line: |host| {
            let lost = host.lost.as_ref().map(|lost| {
                let (kind, since, until) = (&lost.kind, &lost.since, &lost.until);
                format!("DOWNGRADE: {kind} lost since {since}, accepted from {until} on")
            });
            row(
                &host.host,
                &host.best,
                &host.seen,
                &lost.unwrap_or_default(),
            )
        },
        none: match which {
            Which::All => "no MX host is remembered\n",
            Which::Lost => "no MX host shows less than before\n",
        },
    }
}

fn row(host: &str, best: &str, seen: &str, note: &str) -> String {
    let row = format!("{host:<40} {best:<9} {seen:<20} {note}");
    format!("{}\n", row.trim_end())
}

/// All of one host.
fn shown(host: &HostView, as_json: bool) -> String {
    if as_json {
        return format!("{:#}\n", json!(host));
    }
    let mut text = String::new();
    let mut tell = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<13} {value}");
    };
    tell("host", &host.host);
    tell("best shown", &host.best);
    tell("first seen", &host.first);
    tell("last seen", &host.seen);
    if let Some(lost) = &host.lost {
        tell("lost", &lost.kind);
        tell("lost since", &lost.since);
        tell("accepted from", &lost.until);
    }
    text
}

/// That nothing is known of a host any more.
fn forgotten(host: &Host, as_json: bool) -> String {
    if as_json {
        format!("{}\n", json!({"forgotten": host.to_string()}))
    } else {
        format!("forgotten: what {host} has shown\n")
    }
}
