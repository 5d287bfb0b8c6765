//! What MX hosts have shown, over HTTP: to read, to forget.

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::policies::{Page, answer, problem};
use crate::name::{Host, NameError};
use crate::policy::downgrade::Guard;
use crate::store::{KeptHost, StoreError, Which};

/// A remembered host, as programs read it. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl IntoResponse for HostError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotAHost(..) => StatusCode::BAD_REQUEST,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Store(_) | Self::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        problem(status, &self)
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
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    lost: bool,
}

pub(super) async fn list(
    Shared(admin): Shared<Admin>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
) -> Response {
    let which = if filter.lost { Which::Lost } else { Which::All };
    match page.after.as_deref().map(host).transpose() {
        Ok(after) => answer(admin.hosts.list(which, after, page.limit()).await),
        Err(error) => error.into_response(),
    }
}

pub(super) async fn show(Shared(admin): Shared<Admin>, Path(name): Path<String>) -> Response {
    match host(&name) {
        Ok(host) => answer(admin.hosts.show(&host).await),
        Err(error) => error.into_response(),
    }
}

pub(super) async fn forget(Shared(admin): Shared<Admin>, Path(name): Path<String>) -> Response {
    match host(&name) {
        Ok(host) => answer(admin.hosts.forget(&host).await),
        Err(error) => error.into_response(),
    }
}
