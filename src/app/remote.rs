//! The admin endpoint of a waxseal that runs, asked by a command.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::access::Token;
use crate::admin::{Listener, Problem};
use crate::app::Error;
use crate::net::tls::pinned;

/// Whether somebody listens is known at once on this machine.
const FIND: Duration = Duration::from_secs(2);
/// A refresh takes as long as the web server of the policy.
const PATIENCE: Duration = Duration::from_mins(3);

/// What an admin endpoint has below one path.
pub(super) struct Remote {
    client: Client,
    base: Url,
    /// For `Authorization`, where the endpoint has a token.
    bearer: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum No {
    /// What was asked for is not there.
    #[error("there is no such thing")]
    NotFound,
    /// In these words.
    #[error("{0}")]
    Refused(String),
}

impl Remote {
    /// Finds out whether anybody listens at `admin`.
    pub(super) async fn find(admin: Option<&Listener>, path: &str) -> Result<Option<Self>, Error> {
        let Some(admin) = admin else {
            return Ok(None);
        };
        let address = reachable(admin.listen);
        let connected = timeout(FIND, TcpStream::connect(address)).await;
        if !matches!(connected, Ok(Ok(_))) {
            return Ok(None);
        }
        let base = Url::parse(&format!("{}{path}", admin.url(address)));
        Ok(Some(Self {
            client: client(admin)?,
            base: base.map_err(|error| Error::Http(error.to_string()))?,
            bearer: admin.access.token().map(Token::bearer),
        }))
    }

    /// Asks for at most `limit` things, and says which.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        limit: u32,
        which: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<T, No> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(which);
        self.send(Method::GET, &[], &query).await
    }

    /// Asks for what `steps` lead to.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        steps: &[&str],
    ) -> Result<T, No> {
        self.send(method, steps, &[]).await
    }

    /// What this path says, whatever its status.
    pub(super) async fn whatever(&self) -> Result<serde_json::Value, No> {
        let response = self.request(Method::GET, self.base.clone()).send().await;
        response_json(response.map_err(|error| broken(&error))?).await
    }

    /// Orders what this path does; the answer is one line for people.
    pub(super) async fn order(&self) -> Result<String, No> {
        let response = self.request(Method::POST, self.base.clone()).send().await;
        let response = response.map_err(|error| broken(&error))?;
        if !response.status().is_success() {
            return Err(refusal(response, false).await);
        }
        let told = response.text().await.map_err(|error| broken(&error))?;
        Ok(told.trim_end().to_owned())
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.bearer {
            Some(bearer) => request.header(header::AUTHORIZATION, bearer),
            None => request,
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        steps: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, No> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(steps);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let response = self.request(method, url).send().await;
        let response = response.map_err(|error| broken(&error))?;
        if response.status().is_success() {
            return response_json(response).await;
        }
        Err(refusal(response, !steps.is_empty()).await)
    }
}

/// The words of the endpoint, or its status where it has none.
async fn refusal(response: Response, asked_for_one: bool) -> No {
    let status = response.status();
    if asked_for_one && status == StatusCode::NOT_FOUND {
        return No::NotFound;
    }
    let body = response.text().await.unwrap_or_default();
    No::Refused(match serde_json::from_str::<Problem>(&body) {
        Ok(problem) => problem.detail,
        Err(_) => format!("the admin endpoint says {status}: {}", body.trim()),
    })
}

async fn response_json<T: DeserializeOwned>(response: Response) -> Result<T, No> {
    let body = response.bytes().await.map_err(|error| broken(&error))?;
    // 204 has nothing to say.
    let body = if body.is_empty() { b"null" } else { &*body };
    serde_json::from_slice(body)
        .map_err(|error| No::Refused(format!("the answer makes no sense: {error}")))
}

fn broken(error: &reqwest::Error) -> No {
    No::Refused(format!("the admin endpoint does not answer: {error}"))
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
