//! waxseal, with its defaults but for what a bench on one machine has to change.

use std::fs;
use std::process::Command;

use crate::contestant::Contestant;
use crate::process::{Process, free_port};
use crate::stage::Stage;
use crate::stage::policies::Policies;

/// In what a contestant differs from another.
pub(crate) struct Gate {
    pub(crate) kind: &'static str,
    /// How long a connection waits in the pool.
    pub(crate) idle: &'static str,
    /// Threads of its runtime; none: its default.
    pub(crate) threads: Option<&'static str>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            kind: "relay",
            idle: "5s",
            threads: None,
        }
    }
}

impl Gate {
    pub(crate) fn start(&self, stage: &Stage) -> Contestant {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("waxseal.toml"), self.config(stage, port)).unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command
            .args(self.threads.map(|number| format!("--threads={number}")))
            .current_dir(folder.path())
            .env_remove("WAXSEAL_CONFIG")
            .env_remove("WAXSEAL_THREADS")
            .env("STATE_DIRECTORY", folder.path())
            .stderr(log);
        Contestant::at(port, Process::start(&mut command), Some(folder))
    }

    fn config(&self, stage: &Stage, port: u16) -> String {
        let Self { kind, idle, .. } = self;
        let wait = if stage.chaos { "1s" } else { "1m" };
        let policies = stage
            .policies
            .as_ref()
            .map(Policies::config)
            .unwrap_or_default();
        format!(
            "[[listener]]\nkind = '{kind}'\nlisten = '127.0.0.1:{port}'\nmax_sessions = 10000\n\
             [admin]\nenabled = false\n[dns]\nservers = ['{}']\ndnssec = 'off'\n[store]\npath = ':memory:'\n\
             [mx]\nport = {}\nallow_networks = ['127.0.0.0/8']\ndead_for = '0s'\n[pool]\nidle = '{idle}'\n\
             [timeouts]\ngreeting = '{wait}'\nehlo = '{wait}'\ntls_handshake = '{wait}'\nmail = '{wait}'\n\
             rcpt = '{wait}'\ndata = '{wait}'\ndata_end = '{wait}'\n[log]\nlevel = 'warn'\n",
            stage.names().address(),
            stage.port,
        ) + &policies
    }
}
