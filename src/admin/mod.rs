//! The admin endpoint: metrics, health, MTA-STS policies, and the order to reload.
//!
//! `GET /metrics` is for Prometheus, `GET /healthz` tells that the process lives, `GET /readyz` that it
//! takes mail (503 while it starts or drains). `POST /reload` reads configuration and rules again. Below
//! `/api/v1/policies` are the remembered policies, below `/api/v1/deliveries` the last deliveries, as JSON.
//!
//! There are no passwords here: whoever reaches the address may read. To change anything one has to come from
//! this machine, and not from a web page: browsers send `Origin` with every POST and DELETE, so a request that
//! has one is refused.
//!
//! This room knows nothing of what it shows: the metrics come as a closure, the others as traits.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use crate::policy::act::Actor;
use crate::policy::outcome::Observer;

mod deliveries;
mod policies;
mod readiness;
#[cfg(test)]
mod tests;

pub use deliveries::{DeliveryDesk, DeliveryPage, Wanted};
pub use policies::{FailingView, PolicyDesk, PolicyError, PolicyPage, PolicyView};
pub use readiness::{LastReload, Readiness, State};

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

const PATHS: &str = "\
GET /metrics
GET /healthz
GET /readyz
POST /reload
GET /api/v1/deliveries
GET /api/v1/deliveries/ID
GET /api/v1/policies
GET /api/v1/policies/DOMAIN
POST /api/v1/policies/DOMAIN/refresh
DELETE /api/v1/policies/DOMAIN
";

/// Whoever can reload the configuration.
pub trait Reload: Send + Sync {
    /// Reads configuration and rules again; tells what is in force now, or why the old ones stay.
    fn reload(&self, by: Actor) -> BoxFuture<'_, Result<String, String>>;
}

/// What the endpoint shows and does.
#[derive(Clone)]
pub struct Admin {
    /// Renders the metrics.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether waxseal is ready.
    pub readiness: Arc<Readiness>,
    /// Reloads.
    pub reload: Arc<dyn Reload>,
    /// Knows the MTA-STS policies.
    pub policies: Arc<dyn PolicyDesk>,
    /// Knows the last deliveries.
    pub deliveries: Arc<dyn DeliveryDesk>,
    /// Is told who has done what.
    pub observer: Arc<dyn Observer>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is done and the requests in flight are answered.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router(admin).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown)
        .await
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/reload", post(reload))
        .route("/api/v1/deliveries", get(deliveries::list))
        .route("/api/v1/deliveries/{id}", get(deliveries::show))
        .route("/api/v1/policies", get(policies::list))
        .route(
            "/api/v1/policies/{domain}",
            get(policies::show).delete(policies::forget),
        )
        .route("/api/v1/policies/{domain}/refresh", post(policies::refresh))
        .layer(from_fn(only_from_here))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(admin)
}

async fn metrics(Shared(admin): Shared<Admin>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], (admin.render)()).into_response()
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(Shared(admin): Shared<Admin>) -> Response {
    let status = match admin.readiness.state() {
        State::Ready => StatusCode::OK,
        State::Starting | State::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = format!("{}\n", admin.readiness.detail());
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body).into_response()
}

/// Lets whoever wants to change something in from this machine only.
async fn only_from_here(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(peer.ip(), request.method(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(peer: IpAddr, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    if method.is_safe() {
        None
    // An IPv4 client of an IPv6 socket comes from ::ffff:127.0.0.1.
    } else if !peer.to_canonical().is_loopback() {
        Some("change things from this machine: send this to a loopback address\n")
    } else if headers.contains_key(header::ORIGIN) {
        Some("requests of web pages (with an Origin) are refused\n")
    } else {
        None
    }
}

async fn reload(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    match admin.reload.reload(Actor::Client(peer.ip())).await {
        Ok(text) => format!("{text}\n").into_response(),
        Err(text) => {
            let body = format!("not reloaded, the configuration before stays in force: {text}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}

async fn not_found() -> Response {
    let body = format!("not here; there are:\n{PATHS}");
    (StatusCode::NOT_FOUND, body).into_response()
}

async fn wrong_method() -> Response {
    let body = format!("not with this method; there are:\n{PATHS}");
    (StatusCode::METHOD_NOT_ALLOWED, body).into_response()
}
