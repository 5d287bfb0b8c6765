//! Policy tables that answer Postfix over the socketmap protocol.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contestant::Contestant;
use crate::contestant::gate::Gate;
use crate::load::Way;
use crate::process::{Process, free_port};
use crate::stage::Stage;
use crate::stage::policies::{ASKED, domain};

/// That of the Python package index.
const RESOLVER: &str = "postfix-mta-sts-resolver==1.5.1";

/// Where it stays for the next run.
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/mta-sts-resolver");

/// waxseal.
pub(crate) fn gate(stage: &Stage) -> Contestant {
    let kind = "socketmap";
    asking(
        Gate {
            kind,
            ..Gate::default()
        }
        .start(stage),
        "waxseal",
    )
}

/// The least that a server does.
pub(crate) fn echo() -> Contestant {
    let port = free_port();
    let process = Process::role(&["echo", &port.to_string()]);
    asking(Contestant::at(port, process, None), "any")
}

/// postfix-mta-sts-resolver, which is installed where a measurement finds it missing.
pub(crate) fn resolver(stage: &Stage) -> Result<Contestant, String> {
    let python = Path::new(INSTALLED).join("bin/python3");
    if !is_installed(&python) {
        if !stage.measures {
            return Err("it is not installed, which a measurement would do".into());
        }
        install(&python)?;
    }
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let domains: Vec<_> = (0..ASKED).map(domain).collect();
    let config = format!("host: 127.0.0.1\nport: {port}\ncache_grace: 86400\n");
    let files = [
        ("run.py", include_str!("resolver.py").to_owned()),
        ("domains.json", serde_json::to_string(&domains).unwrap()),
        ("config.yml", config),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new(python);
    command.args(["run.py", "-c", "config.yml", "-v", "warn", "-l", "log"]);
    let process = Process::start(command.current_dir(folder.path()));
    Ok(asking(
        Contestant::at(port, process, Some(folder)),
        "postfix",
    ))
}

fn is_installed(python: &Path) -> bool {
    let import = ["-c", "import postfix_mta_sts_resolver"];
    let output = Command::new(python).args(import).output();
    output.is_ok_and(|output| output.status.success())
}

fn install(python: &Path) -> Result<(), String> {
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    run(Command::new("python3").args(["-m", "venv", "--clear", INSTALLED]))?;
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", RESOLVER]))
}

/// postfix-tlspol, where it is on the search path.
pub(crate) fn tlspol(stage: &Stage) -> Result<Contestant, String> {
    let program = on_path("postfix-tlspol").ok_or("it is not on the search path")?;
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "server:\n  address: 127.0.0.1:{port}\n  log-level: warn\n  prefetch: false\n  cache-file: {}/cache.db\n\
         dns:\n  address: {}\n",
        folder.path().display(),
        stage.names().address()
    );
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    let mut command = Command::new(program);
    let process = Process::start(
        command
            .args(["-config", "config.yaml"])
            .current_dir(folder.path()),
    );
    Ok(asking(Contestant::at(port, process, Some(folder)), "QUERY"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let files = std::env::split_paths(&folders).map(|folder| folder.join(program));
    files.into_iter().find(|file| file.exists())
}

/// One that is asked by the name of this table.
fn asking(mut contestant: Contestant, table: &'static str) -> Contestant {
    contestant.target.way = Way::Asking(table);
    contestant
}
