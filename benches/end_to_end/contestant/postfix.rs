//! Postfix with a queue of its own, which takes mail at one port and hands all of it on by one way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User, chown};

use crate::contestant::Contestant;
use crate::process::{Process, free_port};
use crate::stage::Stage;

const MAIN: &str = include_str!("postfix/main.cf");
const MASTER: &str = include_str!("postfix/master.cf");

/// Folders that belong to its own user.
const OWN: [&str; 12] = [
    "data",
    "queue/active",
    "queue/bounce",
    "queue/corrupt",
    "queue/defer",
    "queue/deferred",
    "queue/flush",
    "queue/hold",
    "queue/incoming",
    "queue/private",
    "queue/public",
    "queue/trace",
];

/// How it hands mail on to the sink by itself.
#[derive(Clone, Copy)]
pub(crate) enum Handing {
    InPlaintext,
    /// Without verification, and without reuse of connections, which is its default.
    OverTls,
    /// Connections are kept open by a process between.
    OverTlsReused,
}

/// Postfix, and the sink behind it.
pub(crate) fn start(stage: &Stage, handing: Handing) -> Result<Contestant, String> {
    let (level, reuse) = match handing {
        Handing::InPlaintext => ("none", "no"),
        Handing::OverTls => ("encrypt", "no"),
        Handing::OverTlsReused => ("encrypt", "yes"),
    };
    let way = format!(
        "smtp:[127.0.0.1]:{}\nsmtp_tls_security_level = {level}\nsmtp_tls_connection_reuse = {reuse}",
        stage.port
    );
    instance(&way)
}

/// Postfix, which hands on by `smtp` or `lmtp` to the waxseal behind it.
pub(crate) fn in_front_of(waxseal: Contestant, protocol: &str) -> Result<Contestant, String> {
    let port = waxseal.target.address.port();
    let way = format!("{protocol}:[127.0.0.1]:{port}\n{protocol}_tls_security_level = none");
    Ok(instance(&way)?.in_front_of(waxseal))
}

fn instance(way: &str) -> Result<Contestant, String> {
    if !Uid::effective().is_root() {
        return Err("only root can start it".into());
    }
    let daemons = setting("daemon_directory").ok_or("it is not installed")?;
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path(), port, way)?;
    let config = folder.path().join("etc");
    let mut master = Command::new(Path::new(&daemons).join("master"));
    let process = Process::gentle(master.arg("-c").arg(&config));
    let mut postfix = Contestant::at(port, process, Some(folder));
    postfix.queues = true;
    Ok(postfix)
}

fn lay_out(folder: &Path, port: u16, way: &str) -> Result<(), String> {
    // Its own user has to pass through.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["etc", "queue", "queue/pid"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let user = User::from_name("postfix")
        .unwrap()
        .ok_or("it has no user of its own")?;
    for name in OWN {
        let place = folder.join(name);
        fs::create_dir(&place).unwrap();
        chown(&place, Some(user.uid), None).unwrap();
    }
    for (name, text) in [("etc/main.cf", MAIN), ("etc/master.cf", MASTER)] {
        let text = text
            .replace("{folder}", folder.to_str().unwrap())
            .replace("{port}", &port.to_string())
            .replace("{way}", way);
        fs::write(folder.join(name), text).unwrap();
    }
    Ok(())
}

/// Of the Postfix that is installed, if one is.
fn setting(name: &str) -> Option<String> {
    let output = Command::new("postconf").args(["-h", name]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
