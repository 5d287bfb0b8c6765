//! Connections to the endpoint: a bounded number of them, each with a bounded time for what it asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::net::stream::Socket;
use crate::net::tls;

/// Connections at the same time; further ones wait.
const MOST: usize = 100;
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the head of a request, and between two requests.
const HEAD: Duration = Duration::from_secs(30);
/// After an error of `accept` (such as no free file descriptor) there is this pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until the task is ended; its connections end with it.
pub(super) async fn serve(socket: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router) {
    let room = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match socket.accept().await {
            Ok((stream, peer)) => {
                let (tls, router) = (tls.clone(), router.clone());
                connections.spawn(async move {
                    converse(stream, peer, tls.as_ref(), router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin: cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&Arc<ServerConfig>>,
    router: Router,
) {
    let socket = match tls {
        None => Socket::Plain(stream),
        Some(config) => match tls::accept(config, stream, HANDSHAKE).await {
            Ok(stream) => Socket::Tls(Box::new(stream)),
            Err(error) => {
                tracing::debug!(%peer, error, "admin: no TLS handshake");
                return;
            }
        },
    };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "admin: the connection broke");
    }
}
