//! The description of the endpoint, made from the code that answers.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Admin, check, deliveries, hosts, policies, rules, totals};

/// What the routes do not say themselves.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "waxseal",
        description = "What waxseal is doing, and what it is told to do. Times are RFC 3339 in UTC. What changes \
                       something takes the token, wherever there is one; elsewhere than on loopback reading takes it, too.",
    ),
    security((), ("token" = [])),
    modifiers(&TokenScheme),
)]
struct Described;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, api: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// All routes, and what they say about themselves.
pub(super) fn documented() -> OpenApiRouter<Admin> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(super::metrics))
        .routes(routes!(super::healthz))
        .routes(routes!(super::readyz))
        .routes(routes!(super::reload_as_text))
        .routes(routes!(super::health))
        .routes(routes!(super::token))
        .routes(routes!(totals::totals))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::show))
        .routes(routes!(rules::list, rules::change::add))
        .routes(routes!(rules::change::expire))
        .routes(routes!(policies::list))
        .routes(routes!(policies::show, policies::forget))
        .routes(routes!(policies::refresh))
        .routes(routes!(hosts::list))
        .routes(routes!(hosts::show, hosts::forget))
        .routes(routes!(check::check))
        .routes(routes!(super::reload))
}

/// The description, as `waxseal generate openapi` prints it.
pub fn openapi() -> OpenApi {
    documented().into_openapi()
}
