//! The last deliveries over HTTP: to read.

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::policies::Problem;
use crate::name::{Destination, NameError};
use crate::policy::delivery_id::{DeliveryId, NotAnId};
use crate::policy::outcome::End;
use crate::record::Record;

/// Deliveries on one page, unless the question says otherwise; and at most.
const PAGE: usize = 50;
const MOST: usize = 500;

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// To this domain.
    pub domain: Option<Destination>,
    /// With this result, one of [`End::WORDS`].
    pub result: Option<String>,
    /// Those before this one.
    pub after: Option<DeliveryId>,
    /// So many, at most.
    pub limit: usize,
}

/// Some deliveries, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Record>,
    /// What to ask for as `after` to get the next ones; none where there are no more.
    pub next: Option<String>,
}

/// Whoever remembers the last deliveries.
pub trait DeliveryDesk: Send + Sync {
    /// Those that are asked for, the latest first.
    fn list(&self, wanted: &Wanted) -> DeliveryPage;
    /// One of them, if it is among the last ones.
    fn show(&self, id: DeliveryId) -> Option<Record>;
}

/// The question as it stands in the URL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    domain: Option<String>,
    result: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
    #[error("`{0}` is not a domain: {1}")]
    NotADomain(String, NameError),
    #[error("`{0}` is no result; there are: {all}", all = End::WORDS.join(", "))]
    NotAResult(String),
    #[error(
        "{0} is not among the last deliveries; `waxseal explain {0}` also looks into the audit log"
    )]
    Unknown(DeliveryId),
}

impl IntoResponse for DeliveryError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::NotAnId(_) | Self::NotADomain(..) | Self::NotAResult(_) => {
                StatusCode::BAD_REQUEST
            }
        };
        let error = self.to_string();
        (status, Json(Problem { error })).into_response()
    }
}

impl Asked {
    fn parse(self) -> Result<Wanted, DeliveryError> {
        let domain = |text: String| {
            let parsed = text.parse();
            parsed.map_err(|error| DeliveryError::NotADomain(text, error))
        };
        let unknown = |result: &String| !End::WORDS.contains(&result.as_str());
        if let Some(result) = self.result.clone().filter(unknown) {
            return Err(DeliveryError::NotAResult(result));
        }
        Ok(Wanted {
            domain: self.domain.map(domain).transpose()?,
            result: self.result,
            after: self.after.map(|id| id.parse::<DeliveryId>()).transpose()?,
            limit: self.limit.unwrap_or(PAGE).clamp(1, MOST),
        })
    }
}

pub(super) async fn list(
    Shared(admin): Shared<Admin>,
    Query(asked): Query<Asked>,
) -> Result<Json<DeliveryPage>, DeliveryError> {
    let wanted = asked.parse()?;
    Ok(Json(admin.deliveries.list(&wanted)))
}

pub(super) async fn show(
    Shared(admin): Shared<Admin>,
    Path(id): Path<String>,
) -> Result<Json<Record>, DeliveryError> {
    let id = id.parse::<DeliveryId>()?;
    let found = admin.deliveries.show(id);
    found.map(Json).ok_or(DeliveryError::Unknown(id))
}
