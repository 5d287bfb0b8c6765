//! What MX hosts have shown, over HTTP: to read, to forget.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State as Shared};
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::paging::limit;
use super::{Admin, Problem};
use crate::name::{Host, NameError};
use crate::policy::act::Deed;
use crate::policy::downgrade::Guard;
use crate::store::{KeptHost, StoreError, Which};

/// A remembered host, as programs read it. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    /// The host.
    pub host: String,
    /// The best that it has shown: `dane`, `pkix` or `tls`; `plaintext` where a loss was accepted.
    pub best: String,
    /// What it does not show at present.
    pub lost: Option<LostView>,
    /// When it was seen first.
    pub first: String,
    /// When it was seen last, to a day.
    pub seen: String,
}

/// A downgrade that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostView {
    /// `starttls` or `authentication`.
    pub kind: String,
    /// When it was noticed.
    pub since: String,
    /// From when on it is accepted.
    pub until: String,
}

impl HostView {
    /// What is remembered of `host`.
    pub fn of(host: &Host, kept: &KeptHost, guard: Guard) -> Self {
        Self {
            host: host.to_string(),
            best: kept.known.best.word().to_owned(),
            lost: kept.known.lost.map(|lost| LostView {
                kind: lost.kind.label().to_owned(),
                since: lost.since.to_string(),
                until: guard.ends(lost.since).to_string(),
            }),
            first: kept.first.to_string(),
            seen: kept.seen.to_string(),
        }
    }
}

/// Some hosts, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostPage {
    /// The hosts.
    pub hosts: Vec<HostView>,
    /// What to ask for as `after` to get the next ones; none where there are no more.
    pub next: Option<String>,
}

/// Why a question about hosts has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The question names no host.
    #[error("`{0}` is not the name of a host: {1}")]
    NotAHost(String, NameError),
    /// Nothing is remembered of the host.
    #[error("nothing is remembered of {0}: no mail went there under TLS in the last 90 days")]
    Unknown(Host),
    /// The store does not answer.
    #[error("the store does not answer: {0}")]
    Store(#[from] StoreError),
    /// Whoever was asked says no, in these words.
    #[error("{0}")]
    Refused(String),
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        let status = match error {
            HostError::NotAHost(..) => StatusCode::BAD_REQUEST,
            HostError::Unknown(_) => StatusCode::NOT_FOUND,
            HostError::Store(_) | HostError::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

/// Whoever knows the hosts.
pub trait HostDesk: Send + Sync {
    /// At most `limit` of these hosts, those behind `after`.
    fn list(
        &self,
        which: Which,
        after: Option<Host>,
        limit: u32,
    ) -> BoxFuture<'_, Result<HostPage, HostError>>;
    /// What is remembered of one host.
    fn show<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<HostView, HostError>>;
    /// Forgets it: what it shows next is what it has shown best.
    fn forget<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), HostError>>;
}

fn host(text: &str) -> Result<Host, HostError> {
    text.parse()
        .map_err(|error| HostError::NotAHost(text.to_owned(), error))
}

/// Which hosts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only hosts that show less than before.
    #[serde(default)]
    lost: bool,
    /// The name behind which the page begins.
    after: Option<String>,
    /// How many to show, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What MX hosts have shown
#[utoipa::path(get, path = "/api/v1/hosts", params(Filter), responses(
    (status = 200, body = HostPage),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    Shared(admin): Shared<Admin>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<HostPage>, Problem> {
    let Query(filter) = filter?;
    let which = if filter.lost { Which::Lost } else { Which::All };
    let after = filter.after.as_deref().map(host).transpose()?;
    let limit = limit(filter.limit)?;
    Ok(Json(admin.hosts.list(which, after, limit).await?))
}

/// What one MX host has shown
#[utoipa::path(get, path = "/api/v1/hosts/{host}",
    params(("host" = String, Path, description = "The MX host")),
    responses(
        (status = 200, body = HostView),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    Shared(admin): Shared<Admin>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<HostView>, Problem> {
    Ok(Json(admin.hosts.show(&host(&name?)?).await?))
}

/// Forget an MX host: what it shows next is what it has shown best
#[utoipa::path(delete, path = "/api/v1/hosts/{host}",
    params(("host" = String, Path, description = "The MX host")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn forget(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let host = host(&name?)?;
    let result = admin.hosts.forget(&host).await;
    let told = result.as_ref().map(|()| "forgotten".to_owned());
    admin.tell(peer, Deed::ForgetHost(host), told);
    result?;
    Ok(StatusCode::NO_CONTENT)
}
