//! What can stand between the load and the sink, started as the operator would.

pub(crate) mod broken;
pub(crate) mod echo;
pub(crate) mod floor;
pub(crate) mod gate;
pub(crate) mod postfix;
pub(crate) mod proxied;
pub(crate) mod tables;

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use tempfile::TempDir;

use self::broken::Flaw;
use self::gate::Gate;
use self::postfix::Handing;
use crate::load::{Target, Way};
use crate::process::{Cpu, Process, free_port, loopback, wait_for};
use crate::stage::Stage;
use crate::tls;

/// Where stunnel is, if it is installed.
const STUNNEL: [&str; 2] = ["/usr/bin/stunnel4", "/usr/bin/stunnel"];

/// One that runs. Without processes there is nothing between.
pub(crate) struct Contestant {
    pub(crate) target: Target,
    /// It answers before the sink has the message.
    pub(crate) queues: bool,
    pub(crate) processes: Vec<Process>,
    folders: Vec<TempDir>,
}

impl Contestant {
    /// Nothing stands between.
    fn direct(stage: &Stage, way: Way) -> Self {
        let address = loopback(stage.port);
        Self {
            target: Target { address, way },
            queues: false,
            processes: Vec::new(),
            folders: Vec::new(),
        }
    }

    /// Waits until the process listens.
    pub(crate) fn at(port: u16, process: Process, folder: Option<TempDir>) -> Self {
        wait_for(port);
        let address = loopback(port);
        let way = Way::Plain;
        Self {
            target: Target { address, way },
            queues: false,
            processes: vec![process],
            folders: folder.into_iter().collect(),
        }
    }

    /// This one, which hands on to that one.
    pub(crate) fn in_front_of(mut self, next: Self) -> Self {
        self.processes.extend(next.processes);
        self.folders.extend(next.folders);
        self
    }

    pub(crate) fn cpu(&self) -> Cpu {
        self.processes.iter().map(Process::cpu).sum()
    }

    /// The numbers of its processes.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.processes.iter().flat_map(Process::numbers).collect()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> f64 {
        self.processes.iter().map(Process::resident).sum()
    }

    /// The most that it has been, in KiB.
    pub(crate) fn peak(&self) -> f64 {
        self.processes.iter().map(Process::peak).sum()
    }
}

/// Starts one by its name; else why not.
pub(crate) async fn start(stage: &Stage, name: &str) -> Result<Contestant, String> {
    if Flaw::from_str(name, false).is_ok() {
        return Ok(floor(stage, &["--flaw", name]));
    }
    let gate = Gate::default();
    match name {
        "plain" => Ok(Contestant::direct(stage, Way::Plain)),
        "tls" => Ok(Contestant::direct(stage, Way::Tls(tls::connector()))),
        "floor" => Ok(floor(stage, &[])),
        "floor-pool" => Ok(floor(stage, &["--pool"])),
        "stunnel" => stunnel(stage),
        "postfix" => postfix::start(stage, Handing::OverTls),
        "postfix-reuse" => postfix::start(stage, Handing::OverTlsReused),
        "postfix-plain" => postfix::start(stage, Handing::InPlaintext),
        "postfix-waxseal" => postfix::in_front_of(gate.start(stage), "smtp"),
        "postfix-waxseal-lmtp" => {
            let gate = Gate {
                kind: "lmtp",
                ..gate
            };
            postfix::in_front_of(gate.start(stage), "lmtp")
        }
        "waxseal" => Ok(gate.start(stage)),
        "waxseal-fresh" => Ok(Gate { idle: "0s", ..gate }.start(stage)),
        "waxseal-1-thread" => Ok(Gate {
            threads: Some("1"),
            ..gate
        }
        .start(stage)),
        "waxseal-socks5" => {
            let mut contestant = Gate {
                kind: "socks5",
                ..gate
            }
            .start(stage);
            contestant.target.way = Way::Socks(loopback(stage.port));
            Ok(contestant)
        }
        "waxseal-socketmap" => Ok(tables::gate(stage)),
        "echo" => Ok(tables::echo()),
        "mta-sts-resolver" => tables::resolver(stage),
        "tlspol" => tables::tlspol(stage),
        _ => panic!("nobody is called {name}"),
    }
}

fn floor(stage: &Stage, options: &[&str]) -> Contestant {
    let port = free_port();
    let (listen, sink) = (port.to_string(), loopback(stage.port).to_string());
    let mut arguments = vec!["floor", &listen, &sink];
    arguments.extend(options);
    Contestant::at(port, Process::role(&arguments), None)
}

fn stunnel(stage: &Stage) -> Result<Contestant, String> {
    let installed = STUNNEL.iter().find(|path| Path::new(path).exists());
    let program = installed.ok_or("it is not installed")?;
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stunnel.conf");
    let config = format!(
        "foreground = yes\npid =\nsyslog = no\ndebug = 2\noutput = /dev/null\n[smtp]\nclient = yes\n\
         accept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{}\nprotocol = smtp\n",
        stage.port
    );
    fs::write(&file, config).unwrap();
    let process = Process::start(Command::new(program).arg(file));
    Ok(Contestant::at(port, process, Some(folder)))
}
