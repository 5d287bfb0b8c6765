//! The policy of a domain, fetched from its web server (RFC 8461 §3.3).
//!
//! One GET over HTTPS, answered with a short text. Two things make it more than that. Whoever owns a domain
//! chooses which address is dialled, so each address is looked up by waxseal's own resolver and held against
//! the same guard as that of an MX (`guard`): no hosts file, no proxy, no redirect leads anywhere else. And
//! the certificate is all that protects the policy, so it is verified as a browser does, against the trust
//! anchors of the configuration and the very name of the web server (`tls`).
//!
//! Nothing is kept: no connection, no cookie, no HTTP cache. The answer is bounded in time (a minute for
//! everything, the look-up included) and in length: the body is read until it is longer than a policy may
//! be, and hyper gives up on a head of more than 100 fields or 400 KiB.
//!
//! This module promises what the web server says, or why it says nothing (`fault`). It knows nothing of what
//! was known before: that a failure here never ends a policy is for `discover` to see to.

mod fault;
mod guard;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
};
use reqwest::redirect;
use reqwest::{Client, Response, StatusCode};
use rustls::client::VerifierBuilderError;
use tokio::time::timeout;

use crate::dns::{Family, Resolver};
use crate::mtasts::answer::{self, HttpAnswer};
use crate::mtasts::{FetchError, MAX_POLICY, Policy, WELL_KNOWN, policy_host};
use crate::name::Domain;
use crate::net::dial::Dialer;
use crate::policy::requirement::Roots;

use guard::Guard;

/// What waxseal says it is.
const USER_AGENT: &str = concat!("waxseal/", env!("CARGO_PKG_VERSION"));

/// Whoever fetches policies. A port: built once in `main.rs`, another one in tests.
pub trait Fetch: Send + Sync {
    /// The policy of a domain, and its text as the web server sent it.
    fn policy<'a>(
        &'a self,
        domain: &'a Domain,
    ) -> BoxFuture<'a, Result<(Policy, Arc<str>), FetchError>>;
}

/// How policies are fetched.
#[derive(Debug, Clone, Copy)]
pub struct FetchSettings {
    /// The port of the web servers.
    pub port: u16,
    /// For everything, from the first look-up to the last octet.
    pub timeout: Duration,
    /// The address families that are used, the preferred one first.
    pub families: &'static [Family],
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            port: 443,
            // RFC 8461 §3.3: one minute is suggested.
            timeout: Duration::from_mins(1),
            families: &[Family::Ipv6, Family::Ipv4],
        }
    }
}

/// HTTPS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// For want of something in the TLS library.
    #[error("cannot set up TLS for MTA-STS policies: {0}")]
    Tls(#[from] rustls::Error),
    /// The trust anchors are of no use.
    #[error("cannot set up TLS for MTA-STS policies: {0}")]
    Roots(#[from] VerifierBuilderError),
    /// For want of something in the HTTP library.
    #[error("cannot set up HTTPS for MTA-STS policies: {0}")]
    Http(#[from] reqwest::Error),
}

/// Fetches policies over HTTPS.
#[derive(Debug, Clone)]
pub struct HttpsFetcher {
    client: Client,
    roots: Arc<Roots>,
    settings: FetchSettings,
}

impl HttpsFetcher {
    /// A fetcher that looks addresses up with `resolver`, dials what `dialer` lets it dial, and trusts `roots`.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        dialer: &Dialer,
        roots: &Arc<Roots>,
        settings: FetchSettings,
    ) -> Result<Self, SetupError> {
        let guard = Guard::new(resolver, dialer.clone(), settings);
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client(roots)?)
            .dns_resolver(guard)
            // RFC 8461 §3.3: redirects are not followed.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            // Whatever HTTPS_PROXY says: a proxy would look the name up and dial by itself.
            .no_proxy()
            .https_only(true)
            .http1_only()
            .pool_max_idle_per_host(0)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            // An address that swallows packets leaves time for the next one.
            .connect_timeout(settings.timeout / 2)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self {
            client,
            roots: Arc::clone(roots),
            settings,
        })
    }

    async fn answer(&self, domain: &Domain) -> Result<HttpAnswer, FetchError> {
        let (host, port) = (policy_host(domain), self.settings.port);
        let url = format!("https://{host}:{port}{WELL_KNOWN}");
        self.get(&url)
            .await
            .map_err(|error| fault::of(&error, &self.roots.source))
    }

    async fn get(&self, url: &str) -> reqwest::Result<HttpAnswer> {
        let request = self
            .client
            .get(url)
            .header(CONNECTION, "close")
            // RFC 9110 §12.5.3: without this field the server may encode the content as it likes.
            .header(ACCEPT_ENCODING, "identity");
        let response = request.send().await?;
        Ok(HttpAnswer {
            status: response.status().as_u16(),
            content_type: field(response.headers(), &CONTENT_TYPE),
            content_encoding: field(response.headers(), &CONTENT_ENCODING),
            body: body(response).await?,
        })
    }
}

impl Fetch for HttpsFetcher {
    fn policy<'a>(
        &'a self,
        domain: &'a Domain,
    ) -> BoxFuture<'a, Result<(Policy, Arc<str>), FetchError>> {
        Box::pin(async move {
            let answer = timeout(self.settings.timeout, self.answer(domain)).await;
            answer::read(&answer.unwrap_or(Err(FetchError::TimedOut))?)
        })
    }
}

/// RFC 9110 §5.3: fields of the same name are one list. A list of media types is no media type.
fn field(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let fields: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!fields.is_empty()).then(|| fields.join(", "))
}

/// The body, up to where it is longer than a policy may be, whatever Content-Length says. Only that of a 200
/// is of interest.
async fn body(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    if response.status() != StatusCode::OK {
        return Ok(body);
    }
    while body.len() <= MAX_POLICY {
        match response.chunk().await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(body)
}
