//! MTA-STS policies over HTTP: to read, to fetch anew, to forget.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State as Shared};
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::paging::Page;
use super::{Admin, Problem};
use crate::name::{Domain, NameError};
use crate::policy::act::Deed;
use crate::store::Kept;

/// A remembered policy, as programs read it. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let status = match error {
            PolicyError::NotADomain(..) => StatusCode::BAD_REQUEST,
            PolicyError::Unknown(_) => StatusCode::NOT_FOUND,
            PolicyError::NotRefreshed { .. } => StatusCode::BAD_GATEWAY,
            PolicyError::Off | PolicyError::Store(_) | PolicyError::Refused(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}

fn domain(text: &str) -> Result<Domain, PolicyError> {
    text.parse()
        .map_err(|error| PolicyError::NotADomain(text.to_owned(), error))
}

/// The MTA-STS policies that are remembered
#[utoipa::path(get, path = "/api/v1/policies", params(Page), responses(
    (status = 200, body = PolicyPage),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    Shared(admin): Shared<Admin>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<PolicyPage>, Problem> {
    let Query(page) = page?;
    let after = page.after.as_deref().map(domain).transpose()?;
    let limit = page.limit()?;
    Ok(Json(admin.policies.list(after, limit).await?))
}

/// What is remembered of one policy
#[utoipa::path(get, path = "/api/v1/policies/{domain}",
    params(("domain" = String, Path, description = "The policy domain")),
    responses(
        (status = 200, body = PolicyView),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    Shared(admin): Shared<Admin>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<PolicyView>, Problem> {
    let domain = domain(&name?)?;
    Ok(Json(admin.policies.show(&domain).await?))
}

/// Fetch a policy now
#[utoipa::path(post, path = "/api/v1/policies/{domain}/refresh",
    params(("domain" = String, Path, description = "The policy domain")),
    responses(
        (status = 200, body = PolicyView),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn refresh(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<PolicyView>, Problem> {
    let domain = domain(&name?)?;
    let result = admin.policies.refresh(&domain).await;
    let told = result
        .as_ref()
        .map(|view| format!("mode {}, id {}", view.mode, view.id));
    admin.tell(peer, Deed::RefreshPolicy(domain), told);
    Ok(Json(result?))
}

/// Forget a policy; mail to the domain asks for it anew
#[utoipa::path(delete, path = "/api/v1/policies/{domain}",
    params(("domain" = String, Path, description = "The policy domain")),
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
    let domain = domain(&name?)?;
    let result = admin.policies.forget(&domain).await;
    let told = result.as_ref().map(|()| "forgotten".to_owned());
    admin.tell(peer, Deed::ForgetPolicy(domain), told);
    result?;
    Ok(StatusCode::NO_CONTENT)
}
