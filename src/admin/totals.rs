//! What became of mail, in numbers.

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, Problem};

/// What became of mail since waxseal has started, and in the last hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TotalsView {
    /// When waxseal has started.
    pub since: String,
    /// Messages that left under TLS.
    pub sealed: u64,
    /// Messages that left in plaintext.
    pub open: u64,
    /// Legs (the recipients of a message in one domain) that were kept back because no MX proved what the policy asks
    /// for.
    pub blocked: u64,
    /// Messages that left although they would have been blocked, had a rule or policy not only observed.
    pub would_block: u64,
    /// Legs that failed for other reasons of waxseal's own.
    pub failed: u64,
    /// Legs that an MX rejected.
    pub rejected: u64,
    /// The last sixty minutes, the oldest first; the last one is not over.
    pub last_hour: Vec<MinuteView>,
}

/// One minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MinuteView {
    /// Its begin.
    pub at: String,
    /// Messages that left under TLS.
    pub sealed: u64,
    /// Messages that left in plaintext.
    pub open: u64,
    /// Legs that were blocked.
    pub blocked: u64,
}

/// What became of mail
#[utoipa::path(get, path = "/api/v1/totals", responses(
    (status = 200, body = TotalsView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn totals(Shared(admin): Shared<Admin>) -> Json<TotalsView> {
    Json(admin.overview.totals())
}
