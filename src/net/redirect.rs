//! Where an MTA wanted to connect before the firewall sent it here.
//!
//! nftables knows two ways. REDIRECT rewrites the destination, and the kernel tells the original one on
//! request (`SO_ORIGINAL_DST`). TPROXY rewrites nothing: the local address of the accepted socket *is* the
//! destination, for which the listening socket has to be `IP_TRANSPARENT` (and the process to have
//! `CAP_NET_ADMIN`).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Tells where an accepted connection was headed.
pub trait Redirect: fmt::Debug + Send + Sync {
    /// A listening socket that can be asked.
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener>;

    /// The original destination.
    fn original(&self, stream: &TcpStream) -> io::Result<SocketAddr>;
}

/// How the firewall sends connections here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interception {
    /// nftables `redirect`.
    Redirect,
    /// nftables `tproxy`.
    Tproxy,
}

impl Redirect for Interception {
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        match (self, address) {
            (Self::Redirect, _) => {}
            (Self::Tproxy, SocketAddr::V4(_)) => socket.set_ip_transparent_v4(true)?,
            (Self::Tproxy, SocketAddr::V6(_)) => socket.set_ip_transparent_v6(true)?,
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }

    fn original(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        let local = canonical(stream.local_addr()?);
        match self {
            Self::Tproxy => Ok(local),
            Self::Redirect => {
                let socket = SockRef::from(stream);
                let told = match local.ip() {
                    IpAddr::V4(_) => socket.original_dst_v4()?,
                    IpAddr::V6(_) => socket.original_dst_v6()?,
                };
                told.as_socket().map(canonical).ok_or_else(|| {
                    io::Error::other("the original destination is no internet address")
                })
            }
        }
    }
}

/// Without the mapping that a socket of both families shows.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
