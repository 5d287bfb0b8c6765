//! TCP connections to MX hosts, and the addresses that are never dialled.
//!
//! Whoever owns a domain chooses the addresses of its MX. Without a guard a recipient domain could
//! make waxseal talk to the operator's own network, to a cloud's metadata service, or to itself. So an
//! address that is not public is refused unless the operator listed it, and waxseal's own listeners
//! always.
//!
//! Where the MTA has chosen the address, the connection leaves from the MTA's own address if that is one of
//! this machine, so that an MTA with several keeps them apart. A firewall that redirects mail may by mistake
//! redirect waxseal's own connections, too; [`Outgoing`] knows them again when they come back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;
use std::time::Duration;

use ipnet::IpNet;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::policy::failure::{Fault, Unreached};

mod outgoing;

pub use outgoing::{Outgoing, UnderWay};

/// What the IANA special-purpose registries (RFC 6890) and the multicast ranges set apart. Ranges that
/// embed an IPv4 address (mapped, NAT64, 6to4, Teredo) are here as a whole.
const SPECIAL: [&str; 33] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:db8::/32",
    "2001:10::/28",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

static SPECIAL_NETWORKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| SPECIAL.iter().filter_map(|net| net.parse().ok()).collect());

/// Dials MX hosts.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    /// Networks that may be dialled although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// waxseal's own listeners, never dialled.
    pub own_listeners: Vec<SocketAddr>,
    /// The mark of packets to MX hosts (`SO_MARK`), by which a firewall may know them; it takes `CAP_NET_ADMIN`.
    pub mark: Option<u32>,
    /// Connections that are being made from addresses of the MTA's.
    pub outgoing: Outgoing,
}

impl Dialer {
    /// Nothing, or the reason why this address is never dialled.
    pub fn check(&self, target: SocketAddr) -> Result<(), Fault> {
        if self.is_own_listener(target) {
            return Err(Fault::OwnListener);
        }
        let listed = self
            .allow_networks
            .iter()
            .any(|net| net.contains(&target.ip()));
        if listed || is_public(target.ip()) {
            Ok(())
        } else {
            Err(Fault::ForbiddenAddress)
        }
    }

    /// True when waxseal itself listens there.
    pub fn is_own_listener(&self, target: SocketAddr) -> bool {
        let own = |listener: &SocketAddr| {
            listener.port() == target.port()
                && (listener.ip() == target.ip()
                    || (listener.ip().is_unspecified() && is_local(target.ip())))
        };
        self.own_listeners.iter().any(own)
    }

    /// Connects from `source` where that is an address of this machine, and else from any. The second value is
    /// to be kept until the other side has spoken.
    pub async fn connect_from(
        &self,
        source: IpAddr,
        target: SocketAddr,
        within: Duration,
    ) -> Result<(TcpStream, UnderWay), Fault> {
        let here = |error: io::Error| Fault::NoSocket(error.to_string());
        let socket = self.socket(target).map_err(here)?;
        bind(&socket, source, target).map_err(here)?;
        let under_way = self.outgoing.note(socket.local_addr().map_err(here)?);
        let stream = connected(within, socket.connect(target)).await?;
        Ok((stream, under_way))
    }

    /// Connects, or says why not.
    pub async fn connect(&self, target: SocketAddr, within: Duration) -> Result<TcpStream, Fault> {
        self.check(target)?;
        let socket = self.socket(target);
        let socket = socket.map_err(|error| Fault::NoSocket(error.to_string()))?;
        connected(within, socket.connect(target)).await
    }

    fn socket(&self, target: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if target.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        match self.mark.map(|mark| SockRef::from(&socket).set_mark(mark)) {
            Some(Err(error)) => Err(io::Error::new(
                error.kind(),
                format!("cannot set [mx] mark, which takes CAP_NET_ADMIN: {error}"),
            )),
            Some(Ok(())) | None => Ok(socket),
        }
    }
}

async fn connected(
    within: Duration,
    connecting: impl Future<Output = io::Result<TcpStream>>,
) -> Result<TcpStream, Fault> {
    let stream = match timeout(within, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(classify(&error)),
        Err(_) => return Err(Fault::Unreachable(Unreached::TimedOut)),
    };
    // A command must not wait for the acknowledgement of the one before (Nagle's algorithm).
    stream.set_nodelay(true).map_err(|error| classify(&error))?;
    Ok(stream)
}

/// Gives a socket a port of its own, at `source` if a connection to `target` can leave from there.
fn bind(socket: &TcpSocket, source: IpAddr, target: SocketAddr) -> io::Result<()> {
    let any = if target.is_ipv4() {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    };
    // Nothing leaves the machine from a loopback address.
    let fits = source.is_ipv4() == target.is_ipv4()
        && (!source.is_loopback() || target.ip().is_loopback());
    if !fits || !is_local(source) || socket.bind((source, 0).into()).is_err() {
        socket.bind((any, 0).into())?;
    }
    Ok(())
}

/// True for an address of this machine, whether an interface has it or a route says so.
fn is_local(address: IpAddr) -> bool {
    let may_bind = || UdpSocket::bind((address, 0)).is_ok();
    address.is_loopback() || (may_bind() && (!any_may_bind(address) || is_configured(address)))
}

/// True where the machine lets everybody bind addresses that are not its own, as for a failover.
fn any_may_bind(like: IpAddr) -> bool {
    let family = if like.is_ipv4() { "ipv4" } else { "ipv6" };
    let setting = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"));
    setting.is_ok_and(|value| value.trim() != "0")
}

/// True where an interface has the address.
fn is_configured(address: IpAddr) -> bool {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| Some(address.as_sockaddr_in6()?.ip().into()))
    });
    addresses.into_iter().any(|own| own == address)
}

/// Tells what the other side did from what this machine could not do. Only the first says anything about
/// the address.
fn classify(error: &io::Error) -> Fault {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Fault::Unreachable(Unreached::Refused),
        Kind::ConnectionReset => Fault::Unreachable(Unreached::Reset),
        Kind::HostUnreachable => Fault::Unreachable(Unreached::NoHost),
        Kind::NetworkUnreachable => Fault::Unreachable(Unreached::NoNetwork),
        Kind::TimedOut => Fault::Unreachable(Unreached::TimedOut),
        _ => Fault::NoSocket(error.to_string()),
    }
}

/// True for addresses that the whole internet can reach.
pub fn is_public(address: IpAddr) -> bool {
    !SPECIAL_NETWORKS.iter().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_network_parses() {
        assert_eq!(SPECIAL_NETWORKS.len(), SPECIAL.len());
    }

    #[test]
    fn only_public_addresses_are_dialled() {
        for public in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "2001:4860:4860::8888",
            "2606:4700::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn this_machine_knows_its_own_addresses() {
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(is_local(own) && is_configured(own));
        assert!(is_local("127.3.2.1".parse().unwrap()));
        for other in ["192.0.2.1", "2001:db8::1"] {
            let other = other.parse().unwrap();
            assert!(!is_local(other) && !is_configured(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_mark_is_set_or_it_is_told_what_that_takes() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = Dialer {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            mark: Some(16),
            ..Dialer::default()
        };
        let target = listener.local_addr().unwrap();
        match dialer.connect(target, Duration::from_mins(1)).await {
            Ok(stream) => assert_eq!(SockRef::from(&stream).mark().unwrap(), 16),
            Err(Fault::NoSocket(why)) => assert!(why.contains("CAP_NET_ADMIN"), "{why}"),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_own_listener_is_never_dialled_even_where_its_network_is_listed() {
        let dialer = Dialer {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            own_listeners: vec![
                "127.0.0.1:10025".parse().unwrap(),
                "0.0.0.0:10024".parse().unwrap(),
            ],
            ..Dialer::default()
        };
        let check = |target: &str| dialer.check(target.parse().unwrap());
        assert_eq!(check("127.0.0.1:10025"), Err(Fault::OwnListener));
        assert_eq!(check("127.0.0.9:10024"), Err(Fault::OwnListener));
        assert_eq!(check("127.0.0.1:25"), Ok(()));
        assert_eq!(check("10.0.0.1:25"), Err(Fault::ForbiddenAddress));
    }
}
