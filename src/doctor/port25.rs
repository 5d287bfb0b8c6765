//! Whether a mail server can be reached. Many networks let nobody out on port 25.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::Finding;
use crate::config::Config;
use crate::discover::Discover;
use crate::name::Host;
use crate::net::dial::Dialer;
use crate::net::resolver::DnsResolver;
use crate::policy::facts::Addresses;

const CONNECT: Duration = Duration::from_secs(10);
/// Some servers let a client wait on purpose.
const GREETING: Duration = Duration::from_secs(30);
const WHAT: &str = "mail server";
const BLOCKED: &str = "ask your network or provider to let port 25 out; `traceroute --tcp --port=25` shows how far it gets";

/// Connects to every address of `host`, and waits for its greeting.
pub(super) async fn check(config: &Config, resolver: DnsResolver, host: &Host) -> Vec<Finding> {
    let discover = Discover::new(Arc::new(resolver), config.addresses, config.dns.failed_for);
    let none = |why: &str| {
        let advice = "see DNS above, or name another host with --host";
        vec![Finding::broken(WHAT, format!("{host} {why}"), advice)]
    };
    let addresses = match discover.addresses(host).await {
        Addresses::Known(addresses) => addresses,
        Addresses::None => return none("has no address"),
        Addresses::LookupFailed(error) => return none(&format!("cannot be looked up: {error}")),
    };
    let dialer = Dialer {
        allow_networks: config.allow_networks.clone(),
        mark: config.mark,
        ..Dialer::default()
    };
    let port = config.settings.mx.port;
    let greetings = addresses.iter().map(|address| {
        let target = SocketAddr::new(*address, port);
        greeting(&dialer, target)
    });
    let greetings = join_all(greetings).await;
    let tried: Vec<(IpAddr, Result<(), String>)> = addresses.into_iter().zip(greetings).collect();
    judge(host, port, &tried)
}

/// Nothing, or why there is no greeting.
async fn greeting(dialer: &Dialer, target: SocketAddr) -> Result<(), String> {
    let connected = dialer.connect(target, CONNECT).await;
    let mut stream = connected.map_err(|fault| fault.to_string())?;
    let mut octets = [0; 512];
    match timeout(GREETING, stream.read(&mut octets)).await {
        Ok(Ok(count)) if octets[..count].starts_with(b"220") => Ok(()),
        Ok(Ok(0)) => Err("it connects, and is closed without a word".to_owned()),
        Ok(Ok(count)) => {
            let code = String::from_utf8_lossy(&octets[..count.min(3)]);
            Err(format!("it says {code:?} instead of 220"))
        }
        Ok(Err(error)) => Err(format!("it connects, and is lost: {error}")),
        Err(_) => Err("it connects, and says nothing".to_owned()),
    }
}

fn judge(host: &Host, port: u16, tried: &[(IpAddr, Result<(), String>)]) -> Vec<Finding> {
    let works = tried.iter().any(|(_, greeted)| greeted.is_ok());
    let finding = |(address, greeted): &(IpAddr, Result<(), String>)| {
        let peer = format!("{host}[{address}]:{port}");
        match greeted {
            Ok(()) => Finding::well(WHAT, format!("{peer}: it greets")),
            Err(why) if works => {
                let family = if address.is_ipv4() { "ipv6" } else { "ipv4" };
                let advice = format!(
                    "if no server can be reached so, set `addresses = \"{family}-only\"` in [mx]"
                );
                Finding::warning(WHAT, format!("{peer}: {why}"), advice)
            }
            Err(why) => Finding::broken(WHAT, format!("{peer}: {why}"), BLOCKED),
        }
    };
    tried.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::State::{Broken, Warning, Well};
    use super::*;

    #[test]
    fn one_family_that_works_is_enough_for_mail() {
        let host: Host = "mx.example".parse().unwrap();
        let (four, six) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let lost = || Err("no".to_owned());
        let states = |tried: &[(IpAddr, Result<(), String>)]| {
            let found = judge(&host, 25, tried);
            found.iter().map(|one| one.state).collect::<Vec<_>>()
        };
        assert_eq!(states(&[(four, Ok(())), (six, Ok(()))]), [Well, Well]);
        assert_eq!(states(&[(four, Ok(())), (six, lost())]), [Well, Warning]);
        assert_eq!(states(&[(four, lost()), (six, lost())]), [Broken, Broken]);
    }
}
