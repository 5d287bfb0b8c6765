//! The rules in force.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(super) mod change;

pub use change::{ChangeError, ChangeView, NewRule, RuleDesk, RuleScope};

use super::paging::limit;
use super::{Admin, Problem};

/// Nobody has so many rules.
const MOST_SKIPPED: u32 = 1_000_000;

/// One rule, for one pattern and one sender scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleInForce {
    /// File and line of the rule.
    pub origin: String,
    /// Whose mail: a domain, a `.suffix`, `mx` and a pattern for MX hosts, or `*`.
    pub pattern: String,
    /// From whom: a domain, a `.suffix`, or `*`.
    pub sender: String,
    /// What is asked: a word of Postfix's `smtp_tls_security_level`, or `standard`.
    pub tls: String,
    /// `enforce` (block) or `observe` (deliver anyway; log and count what would have been blocked).
    pub mode: String,
    /// Where mail is sent instead of the MX.
    pub route: Option<String>,
    /// Why the rule is there, in the operator's words.
    pub reason: Option<String>,
    /// From when on it is ignored.
    pub expires: Option<String>,
    /// Whether that has come.
    pub expired: bool,
    /// How often mail met the rule since it was loaded.
    pub hits: u64,
}

/// Some rules, in the order of their files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RulePage {
    /// When they were loaded.
    pub loaded: String,
    /// How many there are in all.
    pub total: usize,
    /// The rules.
    pub rules: Vec<RuleInForce>,
    /// What to ask for as `skip` to get the next ones; none where there are no more.
    pub next: Option<usize>,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many rules to leave out.
    #[param(maximum = 1_000_000)]
    skip: Option<u32>,
    /// How many rules to show, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The rules in force
#[utoipa::path(get, path = "/api/v1/rules", params(Page), responses(
    (status = 200, body = RulePage),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    Shared(admin): Shared<Admin>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<RulePage>, Problem> {
    let Query(page) = page?;
    let limit = limit(page.limit)?;
    match page.skip.unwrap_or(0) {
        skip @ 0..=MOST_SKIPPED => Ok(Json(admin.overview.rules(skip as usize, limit as usize))),
        other => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("`skip` is a number from 0 to {MOST_SKIPPED}, and not {other}"),
        )),
    }
}
