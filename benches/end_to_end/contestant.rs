//! What can stand between the load and the sink, started as the operator would.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::load::{Target, Way};
use crate::process::{Process, free_port, loopback, wait_for};
use crate::support::zone::Dns;
use crate::tls::{self, HOST};

/// Domains that have the sink for their MX.
pub(crate) const DOMAINS: usize = 100;

/// Where stunnel is, if it is installed.
const STUNNEL: [&str; 2] = ["/usr/bin/stunnel4", "/usr/bin/stunnel"];

/// One that runs. Without a process there is nothing between.
pub(crate) struct Contestant {
    pub(crate) target: Target,
    pub(crate) process: Option<Process>,
    _folder: Option<TempDir>,
}

/// The sink, and the DNS that leads to it.
pub(crate) struct Stage {
    pub(crate) sink: Process,
    pub(crate) port: u16,
    dns: Dns,
}

impl Stage {
    pub(crate) async fn new(chaos: Option<u64>) -> Self {
        let port = free_port();
        let mut arguments = vec!["sink".to_owned(), port.to_string()];
        arguments.extend(chaos.map(|seed| format!("--chaos={seed}")));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let sink = Process::role(&arguments);
        wait_for(port);
        let mut zone = format!("{HOST}. A 127.0.0.1\n");
        for number in 0..DOMAINS {
            writeln!(zone, "d{number}.sink.example. MX 10 {HOST}.").unwrap();
        }
        Self {
            sink,
            port,
            dns: Dns::start(&zone).await,
        }
    }

    /// Starts one by its name; none where the program is not installed.
    pub(crate) fn start(&self, name: &str, chaos: bool) -> Option<Contestant> {
        let sink = loopback(self.port);
        let direct = |way| Contestant {
            target: Target { address: sink, way },
            process: None,
            _folder: None,
        };
        let wait = if chaos { "1s" } else { "1m" };
        match name {
            "plain" => Some(direct(Way::Plain)),
            "tls" => Some(direct(Way::Tls(tls::connector()))),
            "floor" => Some(self.floor(&[])),
            "floor-pool" => Some(self.floor(&["--pool"])),
            "stunnel" => self.stunnel(),
            "waxseal-fresh" => Some(self.waxseal("relay", "0s", wait, Way::Plain)),
            "waxseal" => Some(self.waxseal("relay", "5s", wait, Way::Plain)),
            "waxseal-socks5" => Some(self.waxseal("socks5", "5s", wait, Way::Socks(sink))),
            _ => panic!("nobody is called {name}"),
        }
    }

    fn floor(&self, options: &[&str]) -> Contestant {
        let port = free_port();
        let (listen, sink) = (port.to_string(), loopback(self.port).to_string());
        let mut arguments = vec!["floor", &listen, &sink];
        arguments.extend(options);
        running(port, Way::Plain, Process::role(&arguments), None)
    }

    fn stunnel(&self) -> Option<Contestant> {
        let program = STUNNEL.iter().find(|path| Path::new(path).exists())?;
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stunnel.conf");
        let config = format!(
            "foreground = yes\npid =\nsyslog = no\ndebug = 2\noutput = /dev/null\n[smtp]\nclient = yes\n\
             accept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{}\nprotocol = smtp\n",
            self.port
        );
        fs::write(&file, config).unwrap();
        let process = Process::start(Command::new(program).arg(file));
        Some(running(port, Way::Plain, process, Some(folder)))
    }

    fn waxseal(&self, kind: &str, idle: &str, wait: &str, way: Way) -> Contestant {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[[listener]]\nkind = '{kind}'\nlisten = '127.0.0.1:{port}'\nmax_sessions = 10000\n\
             [admin]\nenabled = false\n[dns]\nservers = ['{}']\ndnssec = 'off'\n[store]\npath = ':memory:'\n\
             [mx]\nport = {}\nallow_networks = ['127.0.0.0/8']\ndead_for = '0s'\n[pool]\nidle = '{idle}'\n\
             [timeouts]\ngreeting = '{wait}'\nehlo = '{wait}'\ntls_handshake = '{wait}'\nmail = '{wait}'\n\
             rcpt = '{wait}'\ndata = '{wait}'\ndata_end = '{wait}'\n[log]\nlevel = 'warn'\n",
            self.dns.address(),
            self.port,
        );
        fs::write(folder.path().join("waxseal.toml"), config).unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command
            .current_dir(folder.path())
            .env_remove("WAXSEAL_CONFIG")
            .env("STATE_DIRECTORY", folder.path())
            .stderr(log);
        running(port, way, Process::start(&mut command), Some(folder))
    }
}

fn running(port: u16, way: Way, process: Process, folder: Option<TempDir>) -> Contestant {
    wait_for(port);
    Contestant {
        target: Target {
            address: loopback(port),
            way,
        },
        process: Some(process),
        _folder: folder,
    }
}
