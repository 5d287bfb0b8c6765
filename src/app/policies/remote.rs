//! The policies of a waxseal that runs.

use futures_util::future::BoxFuture;
use reqwest::Method;

use crate::admin::{PolicyDesk, PolicyError, PolicyPage, PolicyView};
use crate::app::remote::{No, Remote};
use crate::name::Domain;

/// Where an admin endpoint has them.
pub(super) const PATH: &str = "/api/v1/policies";

fn no(domain: &Domain) -> impl FnOnce(No) -> PolicyError {
    |no| match no {
        No::NotFound => PolicyError::Unknown(domain.clone()),
        No::Refused(why) => PolicyError::Refused(why),
    }
}

impl PolicyDesk for Remote {
    fn list(
        &self,
        after: Option<Domain>,
        limit: u32,
    ) -> BoxFuture<'_, Result<PolicyPage, PolicyError>> {
        Box::pin(async move {
            let after = after.map(|after| ("after", after.to_string()));
            let page = self.page(limit, after).await;
            page.map_err(|no| PolicyError::Refused(no.to_string()))
        })
    }

    fn show<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async move {
            let shown = self.ask(Method::GET, &[domain.as_str()]).await;
            shown.map_err(no(domain))
        })
    }

    fn refresh<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async move {
            let steps = [domain.as_str(), "refresh"];
            self.ask(Method::POST, &steps).await.map_err(no(domain))
        })
    }

    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(), PolicyError>> {
        Box::pin(async move {
            let gone = self.ask(Method::DELETE, &[domain.as_str()]).await;
            gone.map_err(no(domain))
        })
    }
}
