//! Loopback addresses: fresh ones, and ones that misbehave below SMTP.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use super::mx::{Act, Mx, Script};

/// An address of 127.0.0.0/8 that no other test of this run uses, so that all MX hosts can share one port.
pub(crate) fn loopback() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [.., run] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + run % 128, high, low).to_string()
}

/// A port that is free on all of `ips`, for now. [`Mx::together`] is safer: it never lets go of the port.
pub(crate) async fn free_port_on(ips: &[&str]) -> u16 {
    listeners_on(ips, 0).await[0].local_addr().unwrap().port()
}

/// Listens on all of `ips` at one port: `port`, or with 0 one that is free on all of them.
pub(crate) async fn listeners_on(ips: &[&str], port: u16) -> Vec<TcpListener> {
    loop {
        match try_listeners_on(ips, port).await {
            Ok(listeners) => return listeners,
            Err(taken) if port == 0 => drop(taken),
            Err(error) => panic!("cannot listen on {ips:?} port {port}: {error}"),
        }
    }
}

async fn try_listeners_on(ips: &[&str], mut port: u16) -> std::io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for ip in ips {
        let listener = TcpListener::bind(format!("{ip}:{port}")).await?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Where nothing listens: a connection is refused. With `port` 0 at some port.
pub(crate) async fn dead_address(port: u16) -> SocketAddr {
    listeners_on(&[&loopback()], port).await[0]
        .local_addr()
        .unwrap()
}

/// Accepts connections and never says a word.
pub(crate) async fn black_hole(ip: &str, port: u16) -> Mx {
    Mx::start(
        ip,
        port,
        Script {
            greeting: Some(Act::Stall.into()),
            ..Script::default()
        },
    )
    .await
}

/// An address where a connection is neither accepted nor refused, as behind a firewall that drops packets.
pub(crate) struct Firewalled {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

/// Fills the accept queue of a listener until the kernel ignores further connections.
pub(crate) async fn firewalled(ip: &str, port: u16) -> Firewalled {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(format!("{ip}:{port}").parse().unwrap())
        .unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        queue.push(connected.unwrap());
    }
    Firewalled {
        address,
        _listener: listener,
        _queue: queue,
    }
}
