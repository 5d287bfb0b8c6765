//! MTA-STS policies over HTTP: to read, to fetch anew, to forget.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::name::{Domain, NameError};
use crate::policy::act::{Act, Actor, Deed};
use crate::policy::outcome::Event;
use crate::store::Kept;

/// Policies on one page, unless the question says otherwise; and at most.
const PAGE: u32 = 100;
const MOST: u32 = 1000;

/// A remembered policy, as programs read it. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// The policy domain.
    pub domain: String,
    /// `enforce`, `testing` or `none`.
    pub mode: String,
    /// The patterns for MX hosts.
    pub mx: Vec<String>,
    /// Its lifetime from the moment it was fetched, in seconds.
    pub max_age: u64,
    /// The id of the record that led to it.
    pub id: String,
    /// When it was fetched.
    pub fetched: String,
    /// From when on it does not count.
    pub expires: String,
    /// When mail last asked for it, to a day.
    pub used: String,
    /// When it is fetched again.
    pub next_refresh: String,
    /// What keeps it from being fetched again.
    pub failing: Option<FailingView>,
    /// The text, as the web server sent it.
    pub text: String,
}

/// A refresh that keeps failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingView {
    /// The first failure since the last success.
    pub since: String,
    /// The last one.
    pub last: String,
    /// Why.
    pub why: String,
}

impl PolicyView {
    /// What is remembered of `domain`.
    pub fn of(domain: &Domain, kept: &Kept) -> Self {
        let fetched = &kept.fetched;
        let policy = &fetched.policy;
        Self {
            domain: domain.to_string(),
            mode: policy.mode.word().to_owned(),
            mx: policy.mx.iter().map(ToString::to_string).collect(),
            max_age: policy.max_age.as_secs(),
            id: fetched.id.to_string(),
            fetched: fetched.at.to_string(),
            expires: fetched.expires().to_string(),
            used: kept.used.to_string(),
            next_refresh: kept.refresh.to_string(),
            failing: kept.failing.as_ref().map(|failing| FailingView {
                since: failing.since.to_string(),
                last: failing.last.to_string(),
                why: failing.why.clone(),
            }),
            text: fetched.text.to_string(),
        }
    }
}

/// Some policies, in the order of their domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyPage {
    /// The policies.
    pub policies: Vec<PolicyView>,
    /// What to ask for as `after` to get the next ones; none where there are no more.
    pub next: Option<String>,
}

/// Why a question about policies has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The question names no domain.
    #[error("`{0}` is not a domain: {1}")]
    NotADomain(String, NameError),
    /// Nothing is remembered of the domain.
    #[error("no MTA-STS policy of {0} is remembered; `waxseal check {0}` looks for one")]
    Unknown(Domain),
    /// The policy could not be fetched; what was remembered stays.
    #[error("the policy of {domain} was not refreshed: {why}")]
    NotRefreshed {
        /// The policy domain.
        domain: Domain,
        /// Why.
        why: String,
    },
    /// MTA-STS is switched off.
    #[error("MTA-STS is switched off: [mta_sts] enabled = false")]
    Off,
    /// The store does not answer.
    #[error("the store does not answer: {0}")]
    Store(String),
    /// Whoever was asked says no, in these words.
    #[error("{0}")]
    Refused(String),
}

/// Whoever knows the policies.
pub trait PolicyDesk: Send + Sync {
    /// At most `limit` policies of the domains behind `after`.
    fn list(
        &self,
        after: Option<Domain>,
        limit: u32,
    ) -> BoxFuture<'_, Result<PolicyPage, PolicyError>>;
    /// What is remembered of one domain.
    fn show<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>>;
    /// Fetches its policy now.
    fn refresh<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>>;
    /// Forgets its policy.
    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(), PolicyError>>;
}

/// Which page.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<u32>,
}

/// An answer that is no success.
#[derive(Serialize)]
pub(super) struct Problem {
    pub(super) error: String,
}

impl IntoResponse for PolicyError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotADomain(..) => StatusCode::BAD_REQUEST,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::NotRefreshed { .. } => StatusCode::BAD_GATEWAY,
            Self::Off | Self::Store(_) | Self::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let error = self.to_string();
        (status, Json(Problem { error })).into_response()
    }
}

fn domain(text: &str) -> Result<Domain, PolicyError> {
    text.parse()
        .map_err(|error| PolicyError::NotADomain(text.to_owned(), error))
}

fn answer<T: Serialize>(result: Result<T, PolicyError>) -> Response {
    result.map_or_else(IntoResponse::into_response, |answer| {
        Json(answer).into_response()
    })
}

pub(super) async fn list(Shared(admin): Shared<Admin>, Query(page): Query<Page>) -> Response {
    let after = match page.after.as_deref().map(domain).transpose() {
        Ok(after) => after,
        Err(error) => return error.into_response(),
    };
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MOST);
    answer(admin.policies.list(after, limit).await)
}

pub(super) async fn show(Shared(admin): Shared<Admin>, Path(name): Path<String>) -> Response {
    match domain(&name) {
        Ok(domain) => answer(admin.policies.show(&domain).await),
        Err(error) => error.into_response(),
    }
}

pub(super) async fn refresh(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
) -> Response {
    let domain = match domain(&name) {
        Ok(domain) => domain,
        Err(error) => return error.into_response(),
    };
    let result = admin.policies.refresh(&domain).await;
    let told = |view: &PolicyView| format!("mode {}, id {}", view.mode, view.id);
    let told = result.as_ref().map(told);
    tell(&admin, peer, Deed::RefreshPolicy(domain), told);
    answer(result)
}

pub(super) async fn forget(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
) -> Response {
    let domain = match domain(&name) {
        Ok(domain) => domain,
        Err(error) => return error.into_response(),
    };
    let result = admin.policies.forget(&domain).await;
    let told = result.as_ref().map(|()| "forgotten".to_owned());
    tell(&admin, peer, Deed::ForgetPolicy(domain), told);
    answer(result)
}

/// Tells who has done what, for the audit log.
fn tell(admin: &Admin, peer: SocketAddr, deed: Deed, result: Result<String, &PolicyError>) {
    admin.observer.record(Event::Act(&Act {
        by: Actor::Client(peer.ip()),
        deed,
        result: result.map_err(ToString::to_string),
        in_force: None,
    }));
}
