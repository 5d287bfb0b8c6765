//! Lists come in pages.

use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Problem;

/// Things on one page, unless the question says otherwise; and at most.
const PAGE: u32 = 100;
const MOST: u32 = 1000;

/// Which page of things that have names.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The name behind which the page begins.
    pub(super) after: Option<String>,
    /// How many to show, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl Page {
    /// How many are asked for.
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        limit(self.limit)
    }
}

/// How many things go on a page.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=MOST => Ok(limit),
        other => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("`limit` is a number from 1 to {MOST}, and not {other}"),
        )),
    }
}
