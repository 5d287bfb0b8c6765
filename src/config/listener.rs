//! What a `[[listener]]` means: one for mail, or one for the questions of Postfix.

use std::ops::Range;

use toml::Spanned;

use super::chooser;
use super::error::{ConfigError, Source};
use super::file::{self, File, Kind};
use crate::mapserver;
use crate::policy::outcome::Ingress;
use crate::policy::postfix::Attributes;
use crate::proxy::settings::Listener;

/// The listeners for mail.
pub(super) fn for_mail(file: &File, source: Source<'_>) -> Result<Vec<Listener>, ConfigError> {
    if file.listener.is_empty() {
        return Err(ConfigError::of_file(
            source.file,
            "there is no listener; remove `listener = []` for the default ones or add a [[listener]]",
        ));
    }
    let mut listeners = Vec::new();
    for listener in &file.listener {
        if let Some(kind) = ingress(listener.get_ref().kind) {
            listeners.push(mail(kind, listener, source)?);
        }
    }
    Ok(listeners)
}

/// The listeners for policy questions.
pub(super) fn for_questions(
    file: &File,
    source: Source<'_>,
) -> Result<Vec<mapserver::Listener>, ConfigError> {
    let all = file.listener.iter();
    all.filter(|listener| ingress(listener.get_ref().kind).is_none())
        .map(|listener| questions(listener, source))
        .collect()
}

fn ingress(kind: Kind) -> Option<Ingress> {
    match kind {
        Kind::Relay => Some(Ingress::Relay),
        Kind::Lmtp => Some(Ingress::Lmtp),
        Kind::Transparent => Some(Ingress::Transparent),
        Kind::Socks5 => Some(Ingress::Socks5),
        Kind::Socketmap => None,
    }
}

fn mail(
    kind: Ingress,
    listener: &Spanned<file::Listener>,
    source: Source<'_>,
) -> Result<Listener, ConfigError> {
    let written = listener.get_ref();
    allows_somebody(written, source)?;
    if let Some(tlsrpt) = &written.tlsrpt {
        return Err(source.error(
            &tlsrpt.span(),
            "`tlsrpt` is for `kind = \"socketmap\"`: it tells Postfix what to report; remove it here",
        ));
    }
    Ok(Listener {
        kind,
        listen: written.listen.get_ref().0,
        allow: written.allow.get_ref().iter().map(|net| net.0).collect(),
        max_sessions: written.max_sessions.as_usize(),
        tls: chooser::mta_tls(kind, listener, source)?,
        chooser: chooser::chooser(kind, written, source)?,
    })
}

fn questions(
    listener: &Spanned<file::Listener>,
    source: Source<'_>,
) -> Result<mapserver::Listener, ConfigError> {
    let written = listener.get_ref();
    allows_somebody(written, source)?;
    let files = [
        ("tls_certificate", &written.tls_certificate),
        ("tls_key", &written.tls_key),
        ("tls_client_ca", &written.tls_client_ca),
    ];
    let files = files.into_iter();
    let files = files.filter_map(|(key, file)| Some((key, file.as_ref()?.span())));
    let mut keys = files.chain(chooser::keys(written));
    let required = written
        .tls_required
        .then(|| ("tls_required", listener.span()));
    if let Some((key, span)) = keys.next().or(required) {
        return Err(source.error(
            &span,
            format!(
                "`{key}` is for listeners that take mail: the socketmap protocol has no TLS; remove it, and keep the listener on loopback"
            ),
        ));
    }
    let told = written.tlsrpt.as_ref().is_some_and(|told| *told.get_ref());
    Ok(mapserver::Listener {
        listen: written.listen.get_ref().0,
        allow: written.allow.get_ref().iter().map(|net| net.0).collect(),
        max_sessions: written.max_sessions.as_usize(),
        attributes: if told {
            Attributes::Told
        } else {
            Attributes::Withheld
        },
    })
}

fn allows_somebody(written: &file::Listener, source: Source<'_>) -> Result<(), ConfigError> {
    if written.allow.get_ref().is_empty() {
        return Err(source.error(
            &written.allow.span(),
            "`allow` is empty, so that no MTA could connect; list its networks, or remove the key for loopback",
        ));
    }
    Ok(())
}

/// What is legal and probably not meant.
pub(super) fn warnings(written: &file::Listener, warn: &mut dyn FnMut(&Range<usize>, &str)) {
    let mut networks = written.allow.get_ref().iter();
    if networks.any(|net| net.0.prefix_len() == 0) {
        let message = match written.kind {
            Kind::Socketmap => {
                "`allow` lets the whole internet ask what you demand of whom, unless a firewall says otherwise"
            }
            Kind::Relay | Kind::Lmtp | Kind::Transparent | Kind::Socks5 => {
                "`allow` lets the whole internet in: this is an open relay unless a firewall says otherwise"
            }
        };
        warn(&written.allow.span(), message);
    }
    if let (Some(ca), false) = (&written.tls_client_ca, written.tls_required) {
        warn(
            &ca.span(),
            "`tls_client_ca` asks nothing of an MTA that does not use TLS; set `tls_required = true`",
        );
    }
}
