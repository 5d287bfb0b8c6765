//! Who may ask, and for what.
//!
//! A request counts only where its `Host` is an address, `localhost` or a name that the operator listed: a
//! web page can make a browser call its own name by the address of this machine (DNS rebinding), but it
//! cannot make the browser say another name. There are no cookies, and what a browser sends for a page of
//! another origin is refused, so that nobody's browser asks for things behind their back.
//!
//! What changes something takes the token, wherever there is one. Without a token it has to come from this
//! machine, and not from a web page. Reading is free on loopback and takes the token elsewhere; only whether
//! waxseal lives, and the page without its contents, are for everybody.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// Fewer characters could be guessed.
const LEAST: usize = 16;

/// What whoever asks has to know.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// The token in a text: one line of visible characters.
    pub fn new(text: &str) -> Result<Self, String> {
        let token = text.trim();
        if !token.bytes().all(|octet| octet.is_ascii_graphic()) {
            Err("a token is one line of visible ASCII characters".to_owned())
        } else if token.len() < LEAST {
            let (found, least) = (token.len(), LEAST);
            Err(format!(
                "a token of {found} characters could be guessed; write at least {least}, such as `openssl rand -hex 32` makes"
            ))
        } else {
            Ok(Self(token.into()))
        }
    }

    /// For the header `Authorization`.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Compared in a time that does not depend on where they differ.
    fn is(&self, shown: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), shown.as_bytes()).is_ok()
    }
}

/// Says nothing.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Who may do what.
#[derive(Debug, Clone)]
pub struct Access {
    reading: Reading,
    token: Option<Token>,
    hosts: Vec<String>,
}

/// Who may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Anybody,
    WithToken,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To know that waxseal lives, or to load the page without its contents.
    Open,
    /// To read.
    Read,
    /// To change something.
    Act,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "waxseal does not go by this name: ask for its address or for localhost, or add the name to [admin] hosts"
    )]
    UnknownHost,
    #[error("requests of other web pages are refused")]
    ForeignPage,
    #[error("this takes the token: `Authorization: Bearer TOKEN`")]
    NoToken,
    #[error("this is not the token")]
    WrongToken,
    #[error(
        "change things from this machine: send this to a loopback address, or set up [admin] token_file"
    )]
    NotFromHere,
    #[error("a web page cannot change anything without a token: set up [admin] token_file")]
    PageWithoutToken,
}

/// A request, before anything is done about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) peer: IpAddr,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

impl Access {
    /// At an endpoint that listens at `listen`. Beyond loopback nobody gets in without a token.
    pub fn new(listen: SocketAddr, token: Option<Token>, hosts: Vec<String>) -> Self {
        let reading = if is_loopback(listen.ip()) {
            Reading::Anybody
        } else {
            Reading::WithToken
        };
        Self {
            reading,
            token,
            hosts,
        }
    }

    /// What a client has to show.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether a request that was let in shows the token.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        self.token.is_some() && shown(headers).is_some()
    }

    /// Whether the request may go on.
    pub(super) fn judge(&self, asked: Asked<'_>, purpose: Purpose) -> Result<(), Refusal> {
        let host = self.host(asked).ok_or(Refusal::UnknownHost)?;
        // A link on another site may lead to the page; nothing else may come from there.
        if purpose != Purpose::Open && is_foreign(asked.headers, host) {
            return Err(Refusal::ForeignPage);
        }
        match (&self.token, shown(asked.headers)) {
            (Some(token), Some(shown)) if token.is(shown) => Ok(()),
            (Some(_), Some(_)) => Err(Refusal::WrongToken),
            (token, _) => self.judge_without(token.as_ref(), asked, purpose),
        }
    }

    /// Of a request that shows no token that there is.
    fn judge_without(
        &self,
        token: Option<&Token>,
        asked: Asked<'_>,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        match (purpose, self.reading) {
            (Purpose::Open, _) | (Purpose::Read, Reading::Anybody) => Ok(()),
            (Purpose::Read, Reading::WithToken) => Err(Refusal::NoToken),
            (Purpose::Act, _) if token.is_some() => Err(Refusal::NoToken),
            (Purpose::Act, _) => may_act(asked),
        }
    }

    /// The one `Host`, if waxseal goes by it.
    fn host<'a>(&self, asked: Asked<'a>) -> Option<&'a str> {
        let mut hosts = asked.headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok()?,
            _ => return None,
        };
        let of_uri = asked.uri.authority().map(Authority::as_str);
        let known = self.goes_by(host) && of_uri.is_none_or(|host| self.goes_by(host));
        known.then_some(host)
    }

    fn goes_by(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host().trim_matches(['[', ']']);
        // An address is no name, and so cannot lead elsewhere.
        host.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self
                .hosts
                .iter()
                .any(|name| host.eq_ignore_ascii_case(name))
    }
}

/// Without any token.
fn may_act(asked: Asked<'_>) -> Result<(), Refusal> {
    if !is_loopback(asked.peer) {
        Err(Refusal::NotFromHere)
    // Browsers send `Origin` with everything that is no GET.
    } else if asked.headers.contains_key(header::ORIGIN) {
        Err(Refusal::PageWithoutToken)
    } else {
        Ok(())
    }
}

/// An IPv4 client of an IPv6 socket comes from `::ffff:127.0.0.1`.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a browser sends this for a page that is not waxseal's own.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let origin = headers.get(header::ORIGIN).map(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").map(|(_, host)| host) != Some(host)
    });
    let site = headers.get("sec-fetch-site").map(|site| {
        // "none": somebody has typed the address.
        site != "same-origin" && site != "none"
    });
    origin.unwrap_or(false) || site.unwrap_or(false)
}

/// The token that the request shows.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    // RFC 9110 §11.1: the scheme is case-insensitive.
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

#[cfg(test)]
mod tests;
