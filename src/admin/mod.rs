//! The admin endpoint: metrics, health, MTA-STS policies, and the order to reload.
//!
//! `GET /metrics` is for Prometheus, `GET /healthz` tells that the process lives, `GET /readyz` that it
//! takes mail (503 while it starts or drains). `POST /reload` reads configuration and rules again. Below
//! `/api/v1/policies` are the remembered policies, as JSON.
//!
//! [`access`] tells who may read and who may change something. Every answer says that it is not to be kept, and
//! tells browsers to load nothing from elsewhere.
//!
//! This room knows nothing of what it shows: the metrics come as a closure, the others as traits.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;

pub mod access;
mod policies;
mod problem;
mod readiness;
mod serve;
#[cfg(test)]
mod tests;

pub use policies::{FailingView, PolicyDesk, PolicyError, PolicyPage, PolicyView};
pub use problem::Problem;
pub use readiness::{LastReload, Readiness, State};

use access::{Access, Asked, Purpose, Refusal};
use serve::Sender;

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

const PATHS: &str = "\
GET /metrics
GET /healthz
GET /readyz
POST /reload
GET /api/v1/policies
GET /api/v1/policies/DOMAIN
POST /api/v1/policies/DOMAIN/refresh
DELETE /api/v1/policies/DOMAIN
";

/// What is for everybody to read.
const OPEN: [&str; 1] = ["/healthz"];

/// For browsers: nothing is kept, guessed, framed, told to others or loaded from elsewhere.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

/// Where the endpoint listens, and for whom.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who may do what.
    pub access: Access,
    /// HTTPS, unless it is plain HTTP.
    pub tls: Option<Tls>,
}

impl Listener {
    /// The URL of the endpoint, where it is reached at `address`.
    pub fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }
}

/// TLS of the endpoint.
#[derive(Debug, Clone)]
pub struct Tls {
    /// For the server.
    pub server: Arc<ServerConfig>,
    /// The certificate, for clients that have read the same configuration.
    pub certificate: CertificateDer<'static>,
}

/// Whoever can reload the configuration.
pub trait Reload: Send + Sync {
    /// Reads configuration and rules again; tells what is in force now, or why the old ones stay.
    fn reload(&self) -> BoxFuture<'_, Result<String, String>>;
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
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

/// Serves until the task is ended.
pub async fn serve(socket: TcpListener, listener: Listener, admin: Admin) {
    let router = router(admin, Arc::new(listener.access));
    serve::serve(socket, listener.tls.map(|tls| tls.server), router).await;
}

fn router(admin: Admin, access: Arc<Access>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/reload", post(reload))
        .route("/api/v1/policies", get(policies::list))
        .route(
            "/api/v1/policies/{domain}",
            get(policies::show).delete(policies::forget),
        )
        .route("/api/v1/policies/{domain}/refresh", post(policies::refresh))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(access, admit))
        .layer(map_response(with_headers))
        .with_state(admin)
}

/// Lets in who may come in.
async fn admit(
    Shared(access): Shared<Arc<Access>>,
    Extension(Sender(peer)): Extension<Sender>,
    request: Request,
    next: Next,
) -> Response {
    let asked = Asked {
        peer: peer.ip(),
        uri: request.uri(),
        headers: request.headers(),
    };
    match access.judge(asked, purpose(request.method(), request.uri().path())) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            tracing::info!(client = %peer.ip(), why = %refusal, "admin: a request is refused");
            refusal.into_response()
        }
    }
}

fn purpose(method: &Method, path: &str) -> Purpose {
    match method.is_safe() {
        false => Purpose::Act,
        true if OPEN.contains(&path) => Purpose::Open,
        true => Purpose::Read,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::ForeignPage | Self::NotFromHere | Self::PageWithoutToken => StatusCode::FORBIDDEN,
        };
        let mut response = Problem::new(status, self.to_string()).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
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

async fn reload(Shared(admin): Shared<Admin>) -> Response {
    match admin.reload.reload().await {
        Ok(text) => format!("{text}\n").into_response(),
        Err(text) => {
            let detail = format!("not reloaded, the configuration before stays in force: {text}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}

async fn not_found() -> Problem {
    let detail = format!("not here; there are:\n{PATHS}");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn wrong_method() -> Problem {
    let detail = format!("not with this method; there are:\n{PATHS}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
