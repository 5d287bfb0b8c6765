//! Wires the rooms together: builds the gate from the configuration, opens the listeners, reloads, drains.
//!
//! A reload makes a whole new gate and puts it in the place of the old one; transactions under way keep
//! theirs, and a configuration that does not load changes nothing. Listeners stay as they were opened.
//!
//! Files are read, and the gate is built, off the runtime's threads: on a file system that hangs the
//! reading hangs, and nothing else. Sessions go on, and signals still stop the process.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use sd_notify::NotifyState;
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::admin::{self, Admin, Readiness, Reload, State};
use crate::audit::{Audit, Place};
use crate::check::{self, Depth, Grade};
use crate::cli::{
    CheckArgs, DoctorArgs, ExplainArgs, HostArgs, PolicyArgs, QueryArgs, RuleCommand, SimulateArgs,
    print,
};
use crate::config::Config;
use crate::doctor::{self, Diagnosis, Running};
use crate::journal::Journal;
use crate::mapserver::{self, MapServer};
use crate::metrics::Metrics;
use crate::metrics::hour::LastHour;
use crate::net::inherited::Inherited;
use crate::policy::act::{Act, Actor, Change, Configured, Deed};
use crate::policy::outcome::{Event, Ingress, MAP_LISTENER, MapResult};
use crate::proxy::accept;
use crate::proxy::gate::Gate;
use crate::proxy::settings::Timeouts;
use crate::time::{Clock, SystemClock};

mod build;
mod change;
mod error;
mod explain;
mod hosts;
mod list;
mod overview;
mod policies;
mod postfix;
mod reload;
mod remote;
mod rules;
mod signals;
mod simulate;
mod sockets;

use build::{Lasting, Observers, Silent};
use change::ByHandDesk;
use hosts::GateHosts;
use overview::{Overview, RingDesk};
use policies::GateDesk;
use postfix::GateTable;
use reload::{Reloader, keep_store, sweep_pool, warn_of_expiry, watch_dnssec};
use remote::Remote;
use signals::{Hangup, Stop, Usr1};
use sockets::{Sockets, bind_all};

pub use error::Error;
pub use postfix::{Told, told};

/// Builds a gate as `run` would have it, for commands that only ask.
pub async fn gate(config: &Config) -> Result<Gate, Error> {
    let lasting = Lasting::new(config, Vec::new(), Arc::new(SystemClock), Arc::new(Silent)).await?;
    let (gate, resolver) = build::first_gate(config, &lasting)?;
    resolver.probe().await;
    Ok(gate)
}

/// `waxseal check`: prints what mail would meet.
pub async fn check(config: &Config, args: &CheckArgs) -> Result<Grade, Error> {
    let request = check::Request {
        destination: args.domain.clone(),
        sender: args.sender.clone(),
        depth: if args.connect {
            Depth::Connect
        } else {
            Depth::Facts
        },
    };
    let report = check::run(&gate(config).await?, request).await;
    if args.json {
        print(&format!("{:#}\n", report.json()));
    } else {
        print(&report.text());
    }
    Ok(report.grade())
}

/// `waxseal query`: prints what Postfix would be told.
pub async fn query(config: &Config, args: &QueryArgs) -> Result<MapResult, Error> {
    postfix::query(config, args).await
}

/// `waxseal policy`: prints or changes what is remembered of MTA-STS policies.
pub async fn policy(config: &Config, args: &PolicyArgs) -> Result<(), Error> {
    policies::run(config, args).await
}

/// `waxseal rule`: prints the rules, or changes those that were made by command.
pub async fn rule(config: &Config, command: &RuleCommand) -> Result<(), Error> {
    rules::run(config, command).await
}

/// `waxseal simulate`: prints what mail to many destinations would meet.
pub async fn simulate(config: Config, args: &SimulateArgs) -> Result<(), Error> {
    simulate::run(config, args).await
}

/// `waxseal host`: prints or changes what is remembered of MX hosts.
pub async fn host(config: &Config, args: &HostArgs) -> Result<(), Error> {
    hosts::run(config, args).await
}

/// `waxseal doctor`: looks at everything around waxseal.
pub async fn doctor(config: &Config, args: &DoctorArgs) -> Result<Diagnosis, Error> {
    let running = match Remote::find(config.admin.as_ref(), "/readyz").await? {
        None => Running::Nobody,
        Some(somebody) => match somebody.whatever().await {
            Ok(told) => Running::Waxseal(told),
            Err(error) => Running::Somebody(error.to_string()),
        },
    };
    Ok(doctor::run(config, &running, args.host.as_ref()).await)
}

/// `waxseal explain`: tells the story of one delivery.
pub async fn explain(config: &Config, args: &ExplainArgs) -> Result<(), Error> {
    explain::run(config, args).await
}

/// What a waxseal gets from outside.
pub struct Ports {
    /// Knows the time.
    pub clock: Arc<dyn Clock>,
    /// Sockets that are open already.
    pub inherited: Inherited,
}

impl Default for Ports {
    /// The clock of the system, and no sockets.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            inherited: Inherited::default(),
        }
    }
}

/// A running waxseal.
pub struct App {
    listeners: Vec<(Ingress, SocketAddr)>,
    maps: Vec<SocketAddr>,
    /// Where it is, and its URL.
    admin: Option<(SocketAddr, String)>,
    reloader: Arc<Reloader>,
    readiness: Arc<Readiness>,
    audit: Arc<Audit>,
    draining: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
}

impl App {
    /// Opens the listeners and begins to serve.
    pub async fn start(config: Config, ports: Ports) -> Result<Self, Error> {
        let Ports {
            clock,
            mut inherited,
        } = ports;
        let metrics = Arc::new(Metrics::new()?);
        let audit = build::audit(config.audit.clone(), &clock, &metrics).await?;
        let hour = Arc::new(LastHour::new(Arc::clone(&clock)));
        let observer = Arc::new(Observers {
            metrics: Arc::clone(&metrics),
            hour: Arc::clone(&hour),
            journal: Journal,
            audit: Arc::clone(&audit),
        });
        let (sockets, own) = bind_all(&config, &mut inherited).await?;
        inherited.close_others();
        let lasting = Lasting::new(&config, own, Arc::clone(&clock), observer).await?;
        let around = lasting.clone();
        let (config, (gate, resolver)) = spawn_blocking(move || {
            build::first_gate(&config, &around).map(|built| (config, built))
        })
        .await??;
        metrics.in_force(gate.rules.iter().count(), clock.now());
        metrics.list(&config.listed_domains);
        let readiness = Arc::new(Readiness::default());
        let reloader = Arc::new(Reloader {
            source: config.source.clone(),
            lasting,
            gates: Arc::new(ArcSwap::from_pointee(gate)),
            metrics,
            readiness: Arc::clone(&readiness),
            resolver: ArcSwap::from_pointee(resolver),
            one_at_a_time: Arc::new(Mutex::new(())),
        });
        // Mail that comes before the name servers are known would only have to wait.
        let in_force = reloader.probe(&reloader.resolver.load_full()).await;
        let (draining, drain) = watch::channel(false);
        let mut app = Self {
            listeners: Vec::new(),
            maps: Vec::new(),
            admin: None,
            reloader,
            readiness,
            audit,
            draining,
            tasks: Vec::new(),
            background: Vec::new(),
        };
        app.serve(config, sockets, hour, &drain);
        app.background.push(tokio::spawn(watch_dnssec(
            Arc::clone(&app.reloader),
            in_force,
        )));
        let store = keep_store(Arc::clone(&app.reloader));
        app.background.push(tokio::spawn(store));
        let pool = sweep_pool(Arc::clone(&app.reloader));
        app.background.push(tokio::spawn(pool));
        app.readiness.enter(State::Ready);
        app.tell_of_start();
        Ok(app)
    }

    fn serve(
        &mut self,
        config: Config,
        sockets: Sockets,
        hour: Arc<LastHour>,
        drain: &watch::Receiver<bool>,
    ) {
        for (socket, listener) in sockets.listeners.into_iter().zip(config.listeners) {
            self.listeners.extend(
                socket
                    .local_addr()
                    .ok()
                    .map(|address| (listener.kind, address)),
            );
            let gates = Arc::clone(&self.reloader.gates);
            self.tasks.push(tokio::spawn(accept::serve(
                socket,
                listener,
                gates,
                drain.clone(),
            )));
        }
        for (socket, listener) in sockets.maps.into_iter().zip(config.maps) {
            self.maps.extend(socket.local_addr().ok());
            let server = self.map_server(listener, &config.settings.timeouts);
            self.tasks
                .push(tokio::spawn(server.serve(socket, drain.clone())));
        }
        if let (Some(socket), Some(listener)) = (sockets.admin, config.admin) {
            let address = socket.local_addr().ok();
            self.admin = address.map(|address| (address, listener.url(address)));
            let reloader = Arc::clone(&self.reloader);
            let admin = Admin {
                render: Arc::new(move || reloader.render()),
                readiness: Arc::clone(&self.readiness),
                reload: Arc::clone(&self.reloader) as Arc<dyn Reload>,
                policies: Arc::new(GateDesk(Arc::clone(&self.reloader.gates))),
                rules: Arc::new(ByHandDesk(Arc::clone(&self.reloader))),
                deliveries: Arc::new(RingDesk(Arc::clone(&self.audit))),
                overview: Arc::new(Overview::new(Arc::clone(&self.reloader), hour)),
                hosts: Arc::new(GateHosts {
                    memory: self.reloader.lasting.hosts.clone(),
                    gates: Arc::clone(&self.reloader.gates),
                }),
                observer: Arc::clone(&self.reloader.lasting.observer),
            };
            // The admin listener outlives the drain: /readyz says "draining", /metrics counts to the end.
            let served = admin::serve(socket, listener, admin);
            self.background.push(tokio::spawn(served));
        }
        let reloader = Arc::clone(&self.reloader);
        self.background.push(tokio::spawn(warn_of_expiry(reloader)));
    }

    fn map_server(&self, listener: mapserver::Listener, timeouts: &Timeouts) -> MapServer {
        MapServer {
            listener,
            waits: mapserver::Waits {
                idle: timeouts.idle,
                drain: timeouts.drain,
            },
            table: Arc::new(GateTable(Arc::clone(&self.reloader.gates))),
            observer: Arc::clone(&self.reloader.lasting.observer),
        }
    }

    /// Where MTAs may connect.
    pub fn listeners(&self) -> &[(Ingress, SocketAddr)] {
        &self.listeners
    }

    /// Where Postfix may ask.
    pub fn maps(&self) -> &[SocketAddr] {
        &self.maps
    }

    /// Where the admin endpoint listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// Reads configuration and rules again.
    pub async fn reload(&self, by: Actor) -> Result<String, String> {
        self.reloader.reload(by).await
    }

    /// Opens the file of the audit log anew.
    pub fn reopen_audit(&self) {
        self.audit.reopen();
    }

    fn tell_of_start(&self) {
        let gate = self.reloader.gates.load();
        let in_force = reload::in_force(&gate, Change::default());
        self.act(Actor::Process, Deed::Start, "serves", Some(in_force));
    }

    fn act(&self, by: Actor, deed: Deed, detail: &str, in_force: Option<Configured>) {
        self.reloader.lasting.observer.record(Event::Act(&Act {
            by,
            deed,
            result: Ok(detail.to_owned()),
            in_force,
        }));
    }

    /// Where it listens and how to point Postfix at it, for a person who has just started it.
    pub fn banner(&self) -> String {
        let mut text = String::new();
        for (kind, address) in &self.listeners {
            let _ = writeln!(text, "waxseal: {} on {address}", kind.label());
        }
        for address in &self.maps {
            let _ = writeln!(text, "waxseal: {MAP_LISTENER} on {address}");
        }
        if let Some((_, url)) = &self.admin {
            let _ = writeln!(text, "waxseal: metrics on {url}/metrics");
        }
        if let Some(setting) = self.postfix_setting() {
            let _ = writeln!(
                text,
                "waxseal: to point Postfix at it: postconf -e '{setting}'"
            );
        }
        text
    }

    fn postfix_setting(&self) -> Option<String> {
        let of = |wanted| {
            let mut listeners = self.listeners.iter();
            let found = listeners.find(|(kind, _)| *kind == wanted);
            found.map(|(_, address)| address)
        };
        // Of the others the firewall is pointed at one, and Postfix does not speak the other.
        if let Some(address) = of(Ingress::Lmtp) {
            return Some(format!("default_transport = lmtp:inet:{address}"));
        }
        if let Some(address) = of(Ingress::Relay) {
            return Some(format!("relayhost = [{}]:{}", address.ip(), address.port()));
        }
        let (address, table) = (self.maps.first()?, mapserver::TABLE);
        Some(format!(
            "smtp_tls_policy_maps = socketmap:inet:{address}:{table}"
        ))
    }

    /// Lets the transactions in flight end, and stops.
    pub async fn stop(mut self, by: Actor) {
        self.readiness.enter(State::Draining);
        self.draining.send_replace(true);
        join_all(std::mem::take(&mut self.tasks)).await;
        self.background.iter().for_each(JoinHandle::abort);
        self.reloader.lasting.pool.close().await;
        self.reloader.lasting.hosts.written().await;
        self.reloader.lasting.memory.close().await;
        self.act(by, Deed::Stop, "drained", None);
        // Nobody waits for a disk that hangs longer than this does.
        let _ended = spawn_blocking(move || self.audit.end()).await;
    }
}

/// Tells the service manager, if there is one that wants to know (`sd_notify(3)`).
fn tell_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

/// A session needs two descriptors, and many systems start a process with room for a thousand only.
fn raise_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

/// `waxseal run`: serves until SIGTERM or SIGINT, reloads on SIGHUP, opens the audit log anew on SIGUSR1.
pub async fn run(config: Config, ports: Ports) -> Result<(), Error> {
    let mut stop = Stop::listen()?;
    let mut hangup = Hangup::listen()?;
    let mut usr1 = Usr1::listen()?;
    raise_open_files();
    let lines_on_stdout = config.audit.place == Some(Place::Stdout);
    let app = tokio::select! {
        app = App::start(config, ports) => app?,
        _ = stop.ordered() => return Ok(()),
    };
    tell_manager(&[NotifyState::Ready]);
    let banner = app.banner();
    // The pipe behind stdout may be full, and whoever reads the audit log there expects nothing else.
    if !lines_on_stdout {
        spawn_blocking(move || print(&banner));
    }
    let by = tokio::select! {
        () = hangup.obey(&app) => Actor::Process,
        () = usr1.obey(&app) => Actor::Process,
        by = stop.ordered() => by,
    };
    let audit = Arc::clone(&app.audit);
    tell_manager(&[NotifyState::Stopping]);
    tracing::info!("stopping: transactions in flight may end, a second signal ends them");
    tokio::select! {
        () = app.stop(by) => {}
        _ = stop.ordered() => {
            let _ended = spawn_blocking(move || audit.end()).await;
        }
    }
    Ok(())
}
