//! `support::net`: addresses that misbehave below SMTP.

use std::time::Duration;

use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use crate::support::{
    mta::Mta,
    mx::{Mx, Script},
    net::{black_hole, dead_address, firewalled, free_port_on, loopback},
};

/// Long enough to see that nothing comes.
const A_WHILE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn many_mx_share_one_port() {
    let [ip1, ip2] = [loopback(), loopback()];
    let [mx1, mx2] = Mx::together([(&ip1, Script::default()), (&ip2, Script::default())]).await;
    assert_eq!(mx1.port(), mx2.port());
    Mta::smtp(mx2.address()).await.quit().await;
    assert_eq!((mx1.connections(), mx2.connections()), (0, 1));
}

#[tokio::test]
async fn a_free_port_is_free_on_all_addresses() {
    let [ip1, ip2] = [loopback(), loopback()];
    let port = free_port_on(&[&ip1, &ip2]).await;
    let mx1 = Mx::start(&ip1, port, Script::default()).await;
    let mx2 = Mx::start(&ip2, port, Script::default()).await;
    assert_eq!((mx1.port(), mx2.port()), (port, port));
}

#[tokio::test]
async fn a_dead_address_refuses() {
    let error = TcpStream::connect(dead_address(0).await).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_black_hole_accepts_and_is_silent() {
    let mx = black_hole(&loopback(), 0).await;
    let mut tcp = TcpStream::connect(mx.address()).await.unwrap();
    assert!(timeout(A_WHILE, tcp.read_u8()).await.is_err());
    assert_eq!(mx.connections(), 1);
}

#[tokio::test]
async fn a_firewalled_address_does_not_even_refuse() {
    let wall = firewalled(&loopback(), 0).await;
    let connected = timeout(A_WHILE, TcpStream::connect(wall.address)).await;
    assert!(connected.is_err(), "{connected:?}");
}
