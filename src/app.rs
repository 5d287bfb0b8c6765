//! Wires the rooms together: builds the gate from the configuration, opens the listeners, reloads, drains.
//!
//! A reload makes a whole new gate and puts it in the place of the old one; transactions under way keep
//! theirs, and a configuration that does not load changes nothing. Listeners stay as they were opened.
//!
//! Files are read, and the gate is built, off the runtime's threads: on a file system that hangs the
//! reading hangs, and nothing else. Sessions go on, and signals still stop the process.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::admin::{self, Admin, PolicyError, Readiness, Reload, State};
use crate::check::{self, Depth, Grade};
use crate::cli::{CheckArgs, PolicyArgs, print};
use crate::config::{Config, ConfigError};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::net::https;
use crate::net::resolver::SetupError;
use crate::policy::outcome::Ingress;
use crate::proxy::accept;
use crate::proxy::gate::Gate;
use crate::proxy::settings::{Chooser, Listener};
use crate::store::StoreError;
use crate::time::{Clock, SystemClock};

mod build;
mod policies;
mod reload;
mod signals;

use build::{Lasting, Observers, Silent};
use policies::GateDesk;
use reload::{Reloader, keep_policies, warn_of_expiry, watch_dnssec};
use signals::{Hangup, Stop};

/// Why waxseal does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration or a rule file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Reading the configuration or building a gate from it has panicked.
    #[error("cannot read the configuration: {0}")]
    Broken(#[from] JoinError),
    /// DNS cannot be set up.
    #[error(transparent)]
    Dns(#[from] SetupError),
    /// HTTPS cannot be set up.
    #[error(transparent)]
    Https(#[from] https::SetupError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// An address is taken or not ours.
    #[error(
        "cannot listen on {address} ({what}): {error}; is another waxseal running? `waxseal config show` prints the listeners"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The kind of the listener, or `admin`.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The metrics cannot be set up.
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// There is no store, not even in memory.
    #[error("cannot remember MTA-STS policies: {0}")]
    Store(#[from] StoreError),
    /// What was asked about policies has no answer.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// HTTP cannot be set up.
    #[error("cannot set up HTTP: {0}")]
    Http(String),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

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

/// `waxseal policy`: prints or changes what is remembered of MTA-STS policies.
pub async fn policy(config: &Config, args: &PolicyArgs) -> Result<(), Error> {
    policies::run(config, args).await
}

/// A running waxseal.
pub struct App {
    listeners: Vec<(Ingress, SocketAddr)>,
    admin: Option<SocketAddr>,
    reloader: Arc<Reloader>,
    readiness: Arc<Readiness>,
    draining: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
}

impl App {
    /// Opens the listeners and begins to serve, by the clock of the system.
    pub async fn start(config: Config) -> Result<Self, Error> {
        Self::start_at(config, Arc::new(SystemClock)).await
    }

    /// Opens the listeners and begins to serve, by this clock.
    pub async fn start_at(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::new()?);
        let observer = Arc::new(Observers {
            metrics: Arc::clone(&metrics),
            journal: Journal,
        });
        let (sockets, own) = bind_all(&config).await?;
        let lasting = Lasting::new(&config, own, Arc::clone(&clock), observer).await?;
        let around = lasting.clone();
        let (config, (gate, resolver)) = spawn_blocking(move || {
            build::first_gate(&config, &around).map(|built| (config, built))
        })
        .await??;
        metrics.in_force(gate.rules.iter().count(), clock.now());
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
            admin: None,
            reloader,
            readiness,
            draining,
            tasks: Vec::new(),
            background: Vec::new(),
        };
        app.serve(config, sockets, &drain);
        app.background.push(tokio::spawn(watch_dnssec(
            Arc::clone(&app.reloader),
            in_force,
        )));
        let policies = keep_policies(Arc::clone(&app.reloader));
        app.background.push(tokio::spawn(policies));
        app.readiness.enter(State::Ready);
        Ok(app)
    }

    fn serve(&mut self, config: Config, sockets: Sockets, drain: &watch::Receiver<bool>) {
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
        if let Some(socket) = sockets.admin {
            self.admin = socket.local_addr().ok();
            let metrics = Arc::clone(&self.reloader.metrics);
            let admin = Admin {
                render: Arc::new(move || {
                    metrics
                        .render()
                        .unwrap_or_else(|error| format!("# {error}\n"))
                }),
                readiness: Arc::clone(&self.readiness),
                reload: Arc::clone(&self.reloader) as Arc<dyn Reload>,
                policies: Arc::new(GateDesk(Arc::clone(&self.reloader.gates))),
            };
            // The admin listener outlives the drain: /readyz says "draining", /metrics counts to the end.
            self.background.push(tokio::spawn(async move {
                if let Err(error) = admin::serve(socket, admin, std::future::pending()).await {
                    tracing::error!(%error, "the admin endpoint has stopped");
                }
            }));
        }
        let reloader = Arc::clone(&self.reloader);
        self.background.push(tokio::spawn(warn_of_expiry(reloader)));
    }

    /// Where MTAs may connect.
    pub fn listeners(&self) -> &[(Ingress, SocketAddr)] {
        &self.listeners
    }

    /// Where the admin endpoint listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Reads configuration and rules again.
    pub async fn reload(&self) -> Result<String, String> {
        self.reloader.reload().await
    }

    /// Where it listens and how to point Postfix at it, for a person who has just started it.
    pub fn banner(&self) -> String {
        let mut text = String::new();
        for (kind, address) in &self.listeners {
            let _ = writeln!(text, "waxseal: {} on {address}", kind.label());
        }
        if let Some(admin) = self.admin {
            let _ = writeln!(text, "waxseal: metrics on http://{admin}/metrics");
        }
        let of = |wanted| self.listeners.iter().find(|(kind, _)| *kind == wanted);
        let pointed = of(Ingress::Lmtp).or(of(Ingress::Relay));
        if let Some(command) = pointed.and_then(to_point_postfix) {
            let _ = writeln!(text, "waxseal: to point Postfix at it: {command}");
        }
        text
    }

    /// Lets the transactions in flight end, and stops.
    pub async fn stop(self) {
        self.readiness.enter(State::Draining);
        self.draining.send_replace(true);
        join_all(self.tasks).await;
        self.background.iter().for_each(JoinHandle::abort);
    }
}

fn to_point_postfix((kind, address): &(Ingress, SocketAddr)) -> Option<String> {
    let (ip, port) = (address.ip(), address.port());
    match kind {
        Ingress::Lmtp => Some(format!(
            "postconf -e 'default_transport = lmtp:inet:{address}'"
        )),
        Ingress::Relay => Some(format!("postconf -e 'relayhost = [{ip}]:{port}'")),
        // The firewall is pointed at the one; Postfix does not speak the other.
        Ingress::Transparent | Ingress::Socks5 => None,
    }
}

/// The opened sockets, in the order of the configuration.
struct Sockets {
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

async fn bind_all(config: &Config) -> Result<(Sockets, Vec<SocketAddr>), Error> {
    let mut sockets = Sockets {
        listeners: Vec::new(),
        admin: None,
    };
    for listener in &config.listeners {
        sockets.listeners.push(open(listener).await?);
    }
    if let Some(address) = config.admin {
        sockets.admin = Some(bind(address, "admin").await?);
    }
    let all = sockets.listeners.iter().chain(&sockets.admin);
    let own = all.filter_map(|socket| socket.local_addr().ok()).collect();
    Ok((sockets, own))
}

/// Opens the socket of a listener for MTAs.
async fn open(listener: &Listener) -> Result<TcpListener, Error> {
    let (address, what) = (listener.listen, listener.kind.label());
    match &listener.chooser {
        Chooser::Firewall { redirect, .. } => {
            redirect.listen(address).map_err(|error| Error::Listen {
                address,
                what,
                error,
            })
        }
        Chooser::Waxseal | Chooser::Socks { .. } => bind(address, what).await,
    }
}

async fn bind(address: SocketAddr, what: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::Listen {
            address,
            what,
            error,
        })
}

/// A session needs two descriptors, and many systems start a process with room for a thousand only.
fn raise_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

/// `waxseal run`: serves until SIGTERM or SIGINT, reloads on SIGHUP.
pub async fn run(config: Config) -> Result<(), Error> {
    let mut stop = Stop::listen()?;
    let mut hangup = Hangup::listen()?;
    raise_open_files();
    let app = tokio::select! {
        app = App::start(config) => app?,
        () = stop.ordered() => return Ok(()),
    };
    let banner = app.banner();
    // The pipe behind stdout may be full.
    spawn_blocking(move || print(&banner));
    tokio::select! {
        () = hangup.obey(&app) => {}
        () = stop.ordered() => {}
    }
    tracing::info!("stopping: transactions in flight may end, a second signal ends them");
    tokio::select! {
        () = app.stop() => {}
        () = stop.ordered() => {}
    }
    Ok(())
}
