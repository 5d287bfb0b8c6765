//! What mail to a domain would meet.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::{Admin, Problem};
use crate::name::{Destination, Domain};

/// Too many checks are under way: each of them asks the DNS, and maybe a web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many checks are under way; ask again when one has ended")]
pub struct TooBusy;

impl From<TooBusy> for Problem {
    fn from(busy: TooBusy) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, busy.to_string())
    }
}

/// From whom.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// The sender domain, where a rule may depend on it.
    sender: Option<String>,
}

/// What mail to a domain would meet
///
/// What `waxseal check DOMAIN --json` prints: the rule, the facts, what each host must prove. Nothing is dialled.
#[utoipa::path(get, path = "/api/v1/check/{domain}",
    params(("domain" = String, Path, description = "The recipient domain, or an address literal"), Whose),
    responses(
        (status = 200, body = Object),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn check(
    Shared(admin): Shared<Admin>,
    domain: Result<Path<String>, PathRejection>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let (Path(domain), Query(whose)) = (domain?, whose?);
    let destination: Destination = domain
        .parse()
        .map_err(|error| not_a_domain(&domain, error))?;
    let sender = whose.sender.map(|sender| {
        let parsed = sender.parse::<Domain>();
        parsed.map_err(|error| not_a_domain(&sender, error))
    });
    let sender = sender.transpose()?;
    Ok(Json(admin.overview.check(destination, sender).await?))
}

fn not_a_domain(text: &str, error: impl std::fmt::Display) -> Problem {
    let detail = format!("`{text}` is not a domain: {error}");
    Problem::new(StatusCode::BAD_REQUEST, detail)
}
