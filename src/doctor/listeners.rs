//! Whether the listeners can be opened, or are held by the waxseal that runs.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{Finding, Running};
use crate::config::Config;
use crate::policy::outcome::MAP_LISTENER;
use crate::proxy::settings::Chooser;

/// Opens each for a moment.
pub(super) async fn check(config: &Config, running: &Running) -> Vec<Finding> {
    let mut found = Vec::new();
    for listener in &config.listeners {
        let opened = match &listener.chooser {
            Chooser::Firewall { redirect, .. } => redirect.listen(listener.listen),
            Chooser::Waxseal | Chooser::Socks { .. } => TcpListener::bind(listener.listen).await,
        };
        let kind = listener.kind.label();
        found.push(judge(kind, listener.listen, &opened.map(drop), running));
    }
    let maps = config.maps.iter().map(|map| (MAP_LISTENER, map.listen));
    let admin = config.admin.as_ref().map(|admin| ("admin", admin.listen));
    for (kind, address) in maps.chain(admin) {
        let opened = TcpListener::bind(address).await;
        found.push(judge(kind, address, &opened.map(drop), running));
    }
    found
}

fn judge(kind: &str, address: SocketAddr, opened: &io::Result<()>, running: &Running) -> Finding {
    let what = "listener";
    let told = |how: &str| format!("{kind} {address}: {how}");
    let held = matches!(running, Running::Waxseal(_));
    match opened {
        Ok(()) if held => Finding::warning(
            what,
            told("the waxseal that runs here does not hold it"),
            "restart it: listeners change with a restart only",
        ),
        Ok(()) => Finding::well(what, told("free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && held => {
            Finding::well(what, told("in use, as it should be: a waxseal runs here"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::broken(
            what,
            told("another program has it"),
            format!(
                "`ss -ltnp sport = :{}` names it; stop it, or choose another port",
                address.port()
            ),
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Finding::broken(
            what,
            told(&format!("{error}")),
            "run this as the user of the service; ports below 1024 and `mode = \"tproxy\"` take a capability, or sockets of systemd (docs/systemd)",
        ),
        Err(error) => Finding::broken(
            what,
            told(&format!("{error}")),
            "is it an address of this machine?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn who_holds_an_address_decides() {
        let address = "127.0.0.1:25".parse().unwrap();
        let state = |error: Option<ErrorKind>, running: &Running| {
            let opened = error.map_or(Ok(()), |kind| Err(io::Error::from(kind)));
            judge("relay", address, &opened, running).state
        };
        let waxseal = Running::Waxseal(serde_json::json!({}));
        assert_eq!(state(None, &Running::Nobody), State::Well);
        assert_eq!(state(None, &waxseal), State::Warning);
        let in_use = Some(ErrorKind::AddrInUse);
        assert_eq!(state(in_use, &waxseal), State::Well);
        assert_eq!(state(in_use, &Running::Nobody), State::Broken);
        assert_eq!(
            state(Some(ErrorKind::PermissionDenied), &waxseal),
            State::Broken
        );
    }
}
