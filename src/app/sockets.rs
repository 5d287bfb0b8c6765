//! The listening sockets: passed on by whoever started waxseal, or opened here.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::Error;
use crate::config::Config;
use crate::net::inherited::Inherited;
use crate::policy::outcome::MAP_LISTENER;
use crate::proxy::settings::{Chooser, Listener};

/// The opened sockets, in the order of the configuration.
pub(super) struct Sockets {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) maps: Vec<TcpListener>,
    pub(super) admin: Option<TcpListener>,
}

/// Opens them all; also their addresses.
pub(super) async fn bind_all(
    config: &Config,
    inherited: &mut Inherited,
) -> Result<(Sockets, Vec<SocketAddr>), Error> {
    let mut sockets = Sockets {
        listeners: Vec::new(),
        maps: Vec::new(),
        admin: None,
    };
    for listener in &config.listeners {
        sockets.listeners.push(open(listener, inherited).await?);
    }
    for map in &config.maps {
        sockets
            .maps
            .push(bind(map.listen, MAP_LISTENER, inherited).await?);
    }
    if let Some(admin) = &config.admin {
        sockets.admin = Some(bind(admin.listen, "admin", inherited).await?);
    }
    let all = sockets.listeners.iter().chain(&sockets.maps);
    let all = all.chain(&sockets.admin);
    let own = all.filter_map(|socket| socket.local_addr().ok()).collect();
    Ok((sockets, own))
}

async fn bind(
    address: SocketAddr,
    what: &'static str,
    inherited: &mut Inherited,
) -> Result<TcpListener, Error> {
    let bound = match inherited.at(address) {
        Some(inherited) => inherited,
        None => TcpListener::bind(address).await,
    };
    named(bound, address, what)
}

/// Opens the socket of a listener for MTAs.
async fn open(listener: &Listener, inherited: &mut Inherited) -> Result<TcpListener, Error> {
    let (address, what) = (listener.listen, listener.kind.label());
    let Chooser::Firewall { redirect, .. } = &listener.chooser else {
        return bind(address, what, inherited).await;
    };
    let opened = inherited.at(address);
    named(
        opened.unwrap_or_else(|| redirect.listen(address)),
        address,
        what,
    )
}

/// Says whose socket it is that cannot be opened.
fn named(
    opened: io::Result<TcpListener>,
    address: SocketAddr,
    what: &'static str,
) -> Result<TcpListener, Error> {
    opened.map_err(|error| Error::Listen {
        address,
        what,
        error,
    })
}
