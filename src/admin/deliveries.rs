//! The last deliveries over HTTP: to read.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::paging::limit;
use super::{Admin, Problem};
use crate::name::{Destination, NameError};
use crate::policy::delivery_id::{DeliveryId, NotAnId};
use crate::policy::outcome::End;
use crate::record::Record;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// Only deliveries to this domain.
    domain: Option<String>,
    /// Only deliveries with this result: `delivered`, `rejected`, `blocked`, `refused`, `deferred` or `abandoned`.
    result: Option<String>,
    /// The id of the delivery before which the page begins.
    after: Option<String>,
    /// How many deliveries to show, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
    #[error("`{0}` is not a domain: {1}")]
    NotADomain(String, NameError),
    #[error("`{0}` is no result; there are: {all}", all = End::WORDS.join(", "))]
    NotAResult(String),
    #[error("{0} is not among the last deliveries")]
    Unknown(DeliveryId),
}

impl From<DeliveryError> for Problem {
    fn from(error: DeliveryError) -> Self {
        let status = match error {
            DeliveryError::Unknown(_) => StatusCode::NOT_FOUND,
            DeliveryError::NotAnId(_)
            | DeliveryError::NotADomain(..)
            | DeliveryError::NotAResult(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl Question {
    fn parse(self) -> Result<Wanted, Problem> {
        let domain = |text: String| {
            let parsed = text.parse();
            parsed.map_err(|error| DeliveryError::NotADomain(text, error))
        };
        let unknown = |result: &String| !End::WORDS.contains(&result.as_str());
        if let Some(result) = self.result.clone().filter(unknown) {
            return Err(DeliveryError::NotAResult(result).into());
        }
        let after = self.after.map(|id| id.parse::<DeliveryId>());
        Ok(Wanted {
            domain: self.domain.map(domain).transpose()?,
            result: self.result,
            after: after.transpose().map_err(DeliveryError::from)?,
            limit: limit(self.limit)? as usize,
        })
    }
}

/// The last deliveries, the latest first
#[utoipa::path(get, path = "/api/v1/deliveries", params(Question), responses(
    (status = 200, body = DeliveryPage),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    Shared(admin): Shared<Admin>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<DeliveryPage>, Problem> {
    let Query(question) = question?;
    Ok(Json(admin.deliveries.list(&question.parse()?)))
}

/// The story of one delivery
#[utoipa::path(get, path = "/api/v1/deliveries/{id}",
    params(("id" = String, Path, description = "The id in the log and in the reply to the MTA")),
    responses(
        (status = 200, body = Record),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    Shared(admin): Shared<Admin>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Record>, Problem> {
    let id = id?.parse::<DeliveryId>().map_err(DeliveryError::from)?;
    let found = admin.deliveries.show(id);
    let record = found.ok_or(DeliveryError::Unknown(id))?;
    Ok(Json(record))
}
