//! The policies of a waxseal that runs, over its admin endpoint.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::admin::{PolicyDesk, PolicyError, PolicyPage, PolicyView};
use crate::app::Error;
use crate::name::Domain;

/// Whether somebody listens is known at once on this machine.
const FIND: Duration = Duration::from_secs(2);
/// A refresh takes as long as the web server of the policy.
const PATIENCE: Duration = Duration::from_mins(3);

/// The admin endpoint of a waxseal that runs.
pub(in crate::app) struct AdminDesk {
    client: Client,
    base: Url,
}

/// Its answer where it says no.
#[derive(Deserialize)]
struct Problem {
    error: String,
}

impl AdminDesk {
    /// Finds out whether anybody listens at `admin`, to ask about `what`.
    pub(in crate::app) async fn find(
        admin: Option<SocketAddr>,
        what: &str,
    ) -> Result<Option<Self>, Error> {
        let Some(admin) = admin.map(reachable) else {
            return Ok(None);
        };
        let connected = timeout(FIND, TcpStream::connect(admin)).await;
        if !matches!(connected, Ok(Ok(_))) {
            return Ok(None);
        }
        let base = Url::parse(&format!("http://{admin}/api/v1/{what}"));
        Ok(Some(Self {
            client: client()?,
            base: base.map_err(|error| Error::Http(error.to_string()))?,
        }))
    }

    /// Asks for what is below; a name that is not known there is [`PolicyError::Unknown`].
    pub(in crate::app) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        steps: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, PolicyError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(steps);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let response = self.client.request(method, url).send().await;
        let response = response.map_err(|error| broken(&error))?;
        if response.status().is_success() {
            return response_json(response).await;
        }
        Err(refusal(response, steps.first().copied()).await)
    }
}

/// The words of the endpoint, or its status where it has none.
async fn refusal(response: Response, domain: Option<&str>) -> PolicyError {
    let status = response.status();
    let domain = domain.and_then(|domain| domain.parse().ok());
    let body = response.text().await.unwrap_or_default();
    let why = match serde_json::from_str::<Problem>(&body) {
        Ok(problem) => problem.error,
        Err(_) => format!("the admin endpoint says {status}: {}", body.trim()),
    };
    match (status, domain) {
        (StatusCode::NOT_FOUND, Some(domain)) => PolicyError::Unknown(domain),
        _ => PolicyError::Refused(why),
    }
}

async fn response_json<T: DeserializeOwned>(response: Response) -> Result<T, PolicyError> {
    let body = response.bytes().await.map_err(|error| broken(&error))?;
    serde_json::from_slice(&body)
        .map_err(|error| PolicyError::Refused(format!("the answer makes no sense: {error}")))
}

fn broken(error: &reqwest::Error) -> PolicyError {
    PolicyError::Refused(format!("the admin endpoint does not answer: {error}"))
}

/// Where to connect to for what listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let port = listen.port();
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, port).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, port).into(),
        other => other,
    }
}

/// A client for plain HTTP. The library wants to know its TLS all the same; this one trusts nobody.
fn client() -> Result<Client, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let builder = Client::builder().no_proxy().timeout(PATIENCE);
    builder
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| Error::Http(error.to_string()))
}

impl PolicyDesk for AdminDesk {
    fn list(
        &self,
        after: Option<Domain>,
        limit: u32,
    ) -> BoxFuture<'_, Result<PolicyPage, PolicyError>> {
        Box::pin(async move {
            let mut query = vec![("limit", limit.to_string())];
            query.extend(after.map(|after| ("after", after.to_string())));
            self.ask(Method::GET, &[], &query).await
        })
    }

    fn show<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async move { self.ask(Method::GET, &[domain.as_str()], &[]).await })
    }

    fn refresh<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<PolicyView, PolicyError>> {
        Box::pin(async move {
            let steps = [domain.as_str(), "refresh"];
            self.ask(Method::POST, &steps, &[]).await
        })
    }

    fn forget<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<(), PolicyError>> {
        Box::pin(async move { self.ask(Method::DELETE, &[domain.as_str()], &[]).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_on_loopback() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9825"), "127.0.0.1:9825");
        assert_eq!(asked("[::]:9825"), "[::1]:9825");
        assert_eq!(asked("192.0.2.1:9825"), "192.0.2.1:9825");
    }
}
