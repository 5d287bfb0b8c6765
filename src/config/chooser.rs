//! Listeners whose MTAs choose the MX themselves: `transparent` and `socks5`.

use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;
use toml::Spanned;

use super::error::{ConfigError, Position, Source};
use super::file::{Listener, Mode, MtaStarttls};
use super::tls;
use crate::net::redirect::Interception;
use crate::policy::outcome::Ingress;
use crate::proxy::settings::{Chooser, MtaTls};
use crate::socks::Users;

/// The keys of such listeners that are written, and where.
pub(super) fn keys(written: &Listener) -> impl Iterator<Item = (&'static str, Range<usize>)> {
    let keys = [
        ("mode", written.mode.as_ref().map(Spanned::span)),
        (
            "mta_starttls",
            written.mta_starttls.as_ref().map(Spanned::span),
        ),
        ("bypass", written.bypass.as_ref().map(Spanned::span)),
        ("users_file", written.users_file.as_ref().map(Spanned::span)),
    ];
    keys.into_iter()
        .filter_map(|(key, span)| Some((key, span?)))
}

/// Who chooses the MX.
pub(super) fn chooser(
    kind: Ingress,
    listener: &Listener,
    source: Source<'_>,
) -> Result<Chooser, ConfigError> {
    if let (false, Some(mode)) = (kind == Ingress::Transparent, &listener.mode) {
        return Err(source.error(&mode.span(), "`mode` is for kind = \"transparent\" alone"));
    }
    if let (false, Some(file)) = (kind == Ingress::Socks5, &listener.users_file) {
        return Err(source.error(&file.span(), "`users_file` is for kind = \"socks5\" alone"));
    }
    if let (false, Some(bypass)) = (kind.mta_chooses(), &listener.bypass) {
        let message =
            "`bypass` is for kind = \"transparent\" or \"socks5\", where the MTA chooses the MX";
        return Err(source.error(&bypass.span(), message));
    }
    let bypass = bypass(listener);
    Ok(match kind {
        Ingress::Relay | Ingress::Lmtp => Chooser::Waxseal,
        Ingress::Transparent => Chooser::Firewall {
            redirect: Arc::new(interception(listener)),
            bypass,
        },
        Ingress::Socks5 => Chooser::Socks {
            users: Arc::new(users(listener, source)?),
            bypass,
        },
    })
}

fn interception(listener: &Listener) -> Interception {
    match listener.mode.as_ref().map(Spanned::get_ref) {
        None | Some(Mode::Redirect) => Interception::Redirect,
        Some(Mode::Tproxy) => Interception::Tproxy,
    }
}

fn bypass(listener: &Listener) -> Arc<[IpNet]> {
    let networks = listener.bypass.iter().flat_map(Spanned::get_ref);
    networks.map(|network| network.0).collect()
}

/// Who may connect from beyond loopback; without a file nobody, so nobody beyond it may be allowed.
fn users(listener: &Listener, source: Source<'_>) -> Result<Users, ConfigError> {
    let Some(file) = &listener.users_file else {
        let allow = &listener.allow;
        let loopback =
            |network: &IpNet| network.network().is_loopback() && network.broadcast().is_loopback();
        if allow.get_ref().iter().all(|network| loopback(&network.0)) {
            return Ok(Users::default());
        }
        let message = "`allow` lets in more than loopback, and nobody there could prove who it is; add `users_file`";
        return Err(source.error(&allow.span(), message));
    };
    let text = tls::read(file, source)?;
    let text = String::from_utf8(text).map_err(|_| {
        let name = file.get_ref().display();
        source.error(&file.span(), format!("`{name}` is not UTF-8"))
    })?;
    let mut users = Users::default();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        users.add(line).map_err(|error| ConfigError {
            file: Some(source.resolve(file.get_ref())),
            position: Some(Position {
                line: number,
                column: 1,
            }),
            message: error.to_string(),
        })?;
    }
    if users.is_empty() {
        let name = file.get_ref().display();
        return Err(source.error(
            &file.span(),
            format!("`{name}` names no user; {}", crate::socks::BadUser),
        ));
    }
    Ok(users)
}

/// TLS towards the MTA.
pub(super) fn mta_tls(
    kind: Ingress,
    listener: &Spanned<Listener>,
    source: Source<'_>,
) -> Result<MtaTls, ConfigError> {
    let written = listener.get_ref();
    let word = written.mta_starttls.as_ref();
    match word {
        Some(word) if !kind.mta_chooses() => {
            let message = "`mta_starttls` is for kind = \"transparent\" or \"socks5\"; elsewhere `tls_certificate` offers STARTTLS";
            return Err(source.error(&word.span(), message));
        }
        _ => {}
    }
    let tls = tls::mta_tls(listener, source)?;
    let at = |message: &str| {
        let span = word.map_or(listener.span(), Spanned::span);
        Err(source.error(&span, message))
    };
    match (word.map(Spanned::get_ref), tls) {
        (Some(MtaStarttls::Terminate), MtaTls::Off) => {
            tls::self_made().or_else(|error| at(&format!("cannot make a certificate: {error}")))
        }
        (Some(MtaStarttls::Terminate), tls) => Ok(tls),
        (Some(MtaStarttls::Passthrough), MtaTls::Off) => Ok(MtaTls::PassedOn),
        (_, MtaTls::Off) => Ok(MtaTls::Off),
        (None, tls) if !kind.mta_chooses() => Ok(tls),
        (_, _) => at("`tls_certificate` says nothing here unless mta_starttls = \"terminate\""),
    }
}
