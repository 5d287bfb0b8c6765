//! Rules that are added and ended over HTTP.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::{Admin, Problem};
use crate::policy::act::{Actor, Deed};

/// Whose mail a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleScope {
    /// Recipient domains, a `.suffix` for every domain below, or `*`.
    pub domains: Vec<String>,
    /// MX hosts or `*.suffix`, instead of recipient domains.
    pub mx: Vec<String>,
    /// Only for mail from these sender domains.
    pub senders: Vec<String>,
}

/// A rule that is to be; the words are those of a rule file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewRule {
    /// Recipient domains, a `.suffix` for every domain below, or `*`.
    pub domains: Vec<String>,
    /// MX hosts or `*.suffix`, instead of recipient domains.
    pub mx: Vec<String>,
    /// Only for mail from these sender domains.
    pub senders: Vec<String>,
    /// `none`, `may`, `encrypt`, `standard`, `dane-only`, `secure` or `fingerprint`.
    #[schema(required)]
    pub tls: String,
    /// Of `standard`: `may` or `encrypt`, where the destination publishes nothing.
    pub floor: Option<String>,
    /// Of `secure`: names of the certificate, or `nexthop`, `dot-nexthop`, `hostname`, `mta-sts`.
    pub r#match: Vec<String>,
    /// Of `fingerprint`: SHA-256 of the certificate or its public key.
    pub fingerprints: Vec<String>,
    /// The name for SNI: `hostname`, `nexthop` or a name.
    pub servername: Option<String>,
    /// The least version of TLS: `1.2` or `1.3`.
    pub min_version: Option<String>,
    /// Of `standard`: false, so that MTA-STS is not followed.
    pub mta_sts: Option<bool>,
    /// Where mail is sent instead of the MX.
    pub route: Option<String>,
    /// `enforce` or `observe`.
    pub mode: Option<String>,
    /// Why the rule is there.
    pub reason: Option<String>,
    /// From when on it is ignored: a date, or a time with its offset.
    pub expires: Option<String>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangeView {
    /// Where the rules stand that were added or ended.
    pub origins: Vec<String>,
    /// What is legal and probably not meant.
    pub warnings: Vec<String>,
    /// What is in force now.
    pub result: String,
}

/// Why rules were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The set would not load with it.
    #[error("{0}")]
    Wrong(String),
    /// No rule is about that.
    #[error("{0}")]
    Unknown(String),
    /// The rule is not for a command to change.
    #[error("{0}")]
    NotOurs(String),
    /// The file could not be written, or not be read again.
    #[error("{0}")]
    Failed(String),
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let status = match error {
            ChangeError::Wrong(_) => StatusCode::BAD_REQUEST,
            ChangeError::Unknown(_) => StatusCode::NOT_FOUND,
            ChangeError::NotOurs(_) => StatusCode::CONFLICT,
            ChangeError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

/// Whoever can change the rules.
pub trait RuleDesk: Send + Sync {
    /// Adds a rule, and puts it in force.
    fn add(&self, rule: NewRule, by: Actor) -> BoxFuture<'_, Result<ChangeView, ChangeError>>;
    /// Lets rules that were added expire now.
    fn expire(&self, scope: RuleScope, by: Actor)
    -> BoxFuture<'_, Result<ChangeView, ChangeError>>;
}

/// Add a rule, as `waxseal rule add` does
#[utoipa::path(post, path = "/api/v1/rules", request_body = NewRule, responses(
    (status = 200, body = ChangeView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn add(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    rule: Result<Json<NewRule>, JsonRejection>,
) -> Result<Json<ChangeView>, Problem> {
    let Json(rule) = rule?;
    let result = admin.rules.add(rule, Actor::Client(peer.ip())).await;
    tell(&admin, peer, Deed::AddRule, &result);
    Ok(Json(result?))
}

/// Let rules that were added expire now; their text stays
#[utoipa::path(post, path = "/api/v1/rules/expire", request_body = RuleScope, responses(
    (status = 200, body = ChangeView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn expire(
    Shared(admin): Shared<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    scope: Result<Json<RuleScope>, JsonRejection>,
) -> Result<Json<ChangeView>, Problem> {
    let Json(scope) = scope?;
    let by = Actor::Client(peer.ip());
    let result = admin.rules.expire(scope, by).await;
    tell(&admin, peer, Deed::ExpireRule, &result);
    Ok(Json(result?))
}

fn tell(admin: &Admin, peer: SocketAddr, deed: Deed, result: &Result<ChangeView, ChangeError>) {
    let told = result.as_ref().map(|view| view.origins.join(", "));
    admin.tell(peer, deed, told);
}
