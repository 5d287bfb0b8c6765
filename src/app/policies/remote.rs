//! The policies of a waxseal that runs, over its admin endpoint.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Method, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::access::Token;
use crate::admin::{Listener, PolicyDesk, PolicyError, PolicyPage, PolicyView, Problem};
use crate::app::Error;
use crate::name::Domain;
use crate::net::tls::pinned;

/// Whether somebody listens is known at once on this machine.
const FIND: Duration = Duration::from_secs(2);
/// A refresh takes as long as the web server of the policy.
const PATIENCE: Duration = Duration::from_mins(3);

/// The admin endpoint of a waxseal that runs.
pub(super) struct AdminDesk {
    client: Client,
    base: Url,
    /// For `Authorization`, where the endpoint has a token.
    bearer: Option<String>,
}

impl AdminDesk {
    /// Finds out whether anybody listens at `admin`.
    pub(super) async fn find(admin: Option<&Listener>) -> Result<Option<Self>, Error> {
        let Some(admin) = admin else {
            return Ok(None);
        };
        let address = reachable(admin.listen);
        let connected = timeout(FIND, TcpStream::connect(address)).await;
        if !matches!(connected, Ok(Ok(_))) {
            return Ok(None);
        }
        let base = Url::parse(&format!("{}/api/v1/policies", admin.url(address)));
        Ok(Some(Self {
            client: client(admin)?,
            base: base.map_err(|error| Error::Http(error.to_string()))?,
            bearer: admin.access.token().map(Token::bearer),
        }))
    }

    async fn ask<T: DeserializeOwned>(
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
        let mut request = self.client.request(method, url);
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let response = request.send().await;
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
        Ok(problem) => problem.detail,
        Err(_) => format!("the admin endpoint says {status}: {}", body.trim()),
    };
    match (status, domain) {
        (StatusCode::NOT_FOUND, Some(domain)) => PolicyError::Unknown(domain),
        _ => PolicyError::Refused(why),
    }
}

async fn response_json<T: DeserializeOwned>(response: Response) -> Result<T, PolicyError> {
    let body = response.bytes().await.map_err(|error| broken(&error))?;
    // 204 has nothing to say.
    let body = if body.is_empty() { b"null" } else { &*body };
    serde_json::from_slice(body)
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

/// A client that trusts the certificate of the endpoint, and nobody else.
fn client(admin: &Listener) -> Result<Client, Error> {
    let certificate = admin.tls.as_ref().map(|tls| tls.certificate.clone());
    let builder = Client::builder().no_proxy().timeout(PATIENCE);
    builder
        .tls_backend_preconfigured(pinned::client(certificate)?)
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
