//! The admin endpoint: metrics, health, what became of mail, policies, rules, and the order to reload.
//!
//! `GET /metrics` is for Prometheus, `GET /healthz` tells that the process lives, `GET /readyz` that it
//! takes mail (503 while it starts or drains). `POST /reload` reads configuration and rules again. Below
//! `/api/v1` is what programs ask for, as JSON; [`openapi`] describes it. `/` is a page that shows it to people.
//!
//! [`access`] tells who may read and who may change something. Every answer says that it is not to be kept, and
//! tells browsers to load nothing from elsewhere.
//!
//! This room knows nothing of what it shows: the metrics come as a closure, the others as traits.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use utoipa::ToSchema;

use crate::name::{Destination, Domain};
use crate::policy::act::{Act, Actor, Deed};
use crate::policy::outcome::{Event, Observer};

pub mod access;
mod check;
mod deliveries;
mod hosts;
mod openapi;
mod page;
mod paging;
mod policies;
mod problem;
mod readiness;
mod rules;
mod serve;
#[cfg(test)]
mod tests;
mod totals;

pub use check::TooBusy;
pub use deliveries::{DeliveryDesk, DeliveryPage, Wanted};
pub use hosts::{HostDesk, HostError, HostPage, HostView, LostView};
pub use openapi::openapi;
pub use policies::{FailingView, PolicyDesk, PolicyError, PolicyPage, PolicyView};
pub use problem::Problem;
pub use readiness::{
    DnssecView, HealthView, LastReload, ProbeView, Readiness, ReloadView, State, StoreView,
};
pub use rules::{ChangeError, ChangeView, NewRule, RuleDesk, RuleInForce, RulePage, RuleScope};
pub use totals::{MinuteView, TotalsView};

use access::{Access, Asked, Purpose, Refusal};

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// Octets of a body; a rule is small.
const MOST_BODY: usize = 64 * 1024;

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
    fn reload(&self, by: Actor) -> BoxFuture<'_, Result<String, String>>;
}

/// Whoever knows what waxseal is doing.
pub trait Overview: Send + Sync {
    /// What became of mail.
    fn totals(&self) -> TotalsView;
    /// At most `limit` rules behind the first `skip`.
    fn rules(&self, skip: usize, limit: usize) -> RulePage;
    /// What mail to `destination` would meet, as `waxseal check --json` prints it.
    fn check(
        &self,
        destination: Destination,
        sender: Option<Domain>,
    ) -> BoxFuture<'_, Result<Value, TooBusy>>;
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
    /// Knows what waxseal is doing.
    pub overview: Arc<dyn Overview>,
    /// Changes the rules.
    pub rules: Arc<dyn RuleDesk>,
    /// Knows what MX hosts have shown.
    pub hosts: Arc<dyn HostDesk>,
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

/// Serves until the task is ended.
pub async fn serve(socket: TcpListener, listener: Listener, admin: Admin) {
    let router = router(admin, Arc::new(listener.access));
    serve::serve(socket, listener.tls.map(|tls| tls.server), router).await;
}

fn router(admin: Admin, access: Arc<Access>) -> Router {
    let (documented, api) = openapi::documented().split_for_parts();
    let api = serde_json::to_value(api).unwrap_or_default();
    documented
        .route("/api/v1/openapi.json", get(|| async { Json(api) }))
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(Arc::clone(&access)))
        .layer(from_fn_with_state(access, admit))
        .layer(map_response(with_headers))
        .with_state(admin)
}

/// Lets in who may come in.
async fn admit(
    Shared(access): Shared<Arc<Access>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
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
    let is_open = matches!(path, "/" | "/healthz") || path.starts_with("/page/");
    match (method.is_safe(), is_open) {
        (false, _) => Purpose::Act,
        (true, true) => Purpose::Open,
        (true, false) => Purpose::Read,
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

/// The metrics, in the text format of Prometheus
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = METRICS_TYPE)))]
async fn metrics(Shared(admin): Shared<Admin>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], (admin.render)()).into_response()
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", security(()), responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether waxseal takes mail
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, body = HealthView),
    (status = 503, description = "It starts or drains", body = HealthView),
))]
async fn readyz(Shared(admin): Shared<Admin>) -> Response {
    let status = match admin.readiness.state() {
        State::Ready => StatusCode::OK,
        State::Starting | State::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(admin.readiness.view())).into_response()
}

/// How waxseal is
#[utoipa::path(get, path = "/api/v1/health", responses(
    (status = 200, body = HealthView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
async fn health(Shared(admin): Shared<Admin>) -> Json<HealthView> {
    Json(admin.readiness.view())
}

/// What the token is about.
#[derive(Debug, Serialize, ToSchema)]
struct TokenView {
    /// Whether there is one; without it no web page can change anything.
    set_up: bool,
    /// Whether the request shows it.
    shown: bool,
}

/// Whether there is a token, and whether this is it
#[utoipa::path(get, path = "/api/v1/token", responses(
    (status = 200, body = TokenView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
async fn token(Extension(access): Extension<Arc<Access>>, headers: HeaderMap) -> Json<TokenView> {
    Json(TokenView {
        set_up: access.token().is_some(),
        shown: access.is_shown(&headers),
    })
}

/// What came of a reload.
#[derive(Debug, Serialize, ToSchema)]
struct ReloadedView {
    /// What is in force now.
    result: String,
}

/// Read configuration and rules again
#[utoipa::path(post, path = "/api/v1/reload", responses(
    (status = 200, body = ReloadedView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
async fn reload(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Result<Json<ReloadedView>, Problem> {
    let result = admin
        .reload
        .reload(Actor::Client(peer.ip()))
        .await
        .map_err(|why| not_reloaded(&why))?;
    Ok(Json(ReloadedView { result }))
}

/// Read configuration and rules again, told in plain text
#[utoipa::path(post, path = "/reload", responses(
    (status = 200, body = String),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
async fn reload_as_text(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Result<String, Problem> {
    let result = admin
        .reload
        .reload(Actor::Client(peer.ip()))
        .await
        .map_err(|why| not_reloaded(&why))?;
    Ok(format!("{result}\n"))
}

impl Admin {
    /// Tells who has done what, for the audit log.
    fn tell<E: ToString>(&self, peer: SocketAddr, deed: Deed, result: Result<String, &E>) {
        self.observer.record(Event::Act(&Act {
            by: Actor::Client(peer.ip()),
            deed,
            result: result.map_err(ToString::to_string),
            in_force: None,
        }));
    }
}

fn not_reloaded(why: &str) -> Problem {
    let detail = format!("not reloaded, the configuration before stays in force: {why}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}

async fn not_found() -> Problem {
    let detail = "not here; /api/v1/openapi.json tells what there is";
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn wrong_method() -> Problem {
    let detail = "not with this method; /api/v1/openapi.json tells what there is";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
