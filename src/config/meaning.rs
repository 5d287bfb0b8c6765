//! From the file as written to the configuration as meant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::error::{ConfigError, Source};
use super::file::{self, File};
use super::values::Hostname;
use super::{Config, LogSettings, Policies, admin, destination, dns, listener, tls};
use crate::audit;
use crate::discover::AddressOrder;
use crate::name::Domain;
use crate::net::https::FetchSettings;
use crate::policy::downgrade::{Guard, Response};
use crate::policy::failure::Failure;
use crate::policy::handshake::Fingerprint;
use crate::proxy::settings::{
    AfterFailedHandshake, BareNewline, Limits, MxSettings, PoolSettings, SealReply, Settings,
    SmallMessages, Timeouts,
};
use crate::store::{self, Place};

/// RFC 5321 §4.5.3.2.3: an MTA waits at least so long for the reply to RCPT, and many no longer.
const RCPT_PATIENCE: Duration = Duration::from_mins(5);

/// Domains with metrics of their own, and the time series of each: 5 of deliveries, the rest of blocked legs.
const MAX_LISTED: usize = 100;
const SERIES: usize = 5 + Failure::POLICY_REASONS.len();

pub(super) fn config(mut file: File, source: Source<'_>) -> Result<Config, ConfigError> {
    let mut warnings = warnings(&file, source);
    if file.hostname.is_none() {
        file.hostname = Some(machine_name(&mut warnings));
    }
    no_address_twice(&file, source)?;
    Ok(Config {
        source: Some(source.file.to_owned()),
        digest: Some(Fingerprint::of(source.text.as_bytes())),
        policies: policies(&file, source),
        listeners: listener::for_mail(&file, source)?,
        maps: listener::for_questions(&file, source)?,
        admin: admin::listener(&file.admin, source)?,
        listed_domains: listed_domains(&file, source)?,
        dns: dns::settings(&file.dns, source)?,
        mta_sts: mta_sts(&file),
        store: store(&file, source, &mut warnings),
        addresses: addresses(file.mx.addresses),
        allow_networks: file.mx.allow_networks.iter().map(|net| net.0).collect(),
        mark: file.mx.mark.map(|mark| mark.0),
        roots: Arc::new(tls::roots(&file, source)?),
        settings: settings(&file, source)?,
        log: LogSettings {
            format: file.log.format,
            level: file.log.level.clone(),
        },
        audit: audit(&file, source),
        warnings,
        written: file,
    })
}

fn policies(file: &File, source: Source<'_>) -> Policies {
    match &file.policies {
        Some(folder) => Policies::Set {
            folder: source.resolve(folder.get_ref()),
            named_at: source.position(folder.span().start),
        },
        None => Policies::Default(source.resolve(Path::new("policies"))),
    }
}

fn no_address_twice(file: &File, source: Source<'_>) -> Result<(), ConfigError> {
    let listeners = file.listener.iter().map(|one| &one.get_ref().listen);
    let admin = file.admin.enabled.then_some(&file.admin.listen);
    let mut seen: Vec<SocketAddr> = Vec::new();
    for endpoint in listeners.chain(admin) {
        let address = endpoint.get_ref().0;
        if address.port() != 0 && seen.contains(&address) {
            return Err(source.error(
                &endpoint.span(),
                format!("{address} is taken by another listener of this file; choose another port"),
            ));
        }
        seen.push(address);
    }
    Ok(())
}

fn listed_domains(file: &File, source: Source<'_>) -> Result<Vec<Domain>, ConfigError> {
    let listed = &file.metrics.domains;
    if let Some(excess) = listed.get(MAX_LISTED) {
        let message = format!(
            "each domain has {SERIES} time series of its own; list {MAX_LISTED} of them at most"
        );
        return Err(source.error(&excess.span(), message));
    }
    Ok(listed.iter().map(|one| one.get_ref().0.clone()).collect())
}

fn mta_sts(file: &File) -> Option<FetchSettings> {
    let written = &file.mta_sts;
    written.enabled.then_some(FetchSettings {
        port: written.port.as_port(),
        timeout: written.timeout.0,
        families: addresses(file.mx.addresses).families(),
    })
}

/// What `path` says for a store that ends with the process.
const IN_MEMORY: &str = ":memory:";

fn store(file: &File, source: Source<'_>, warnings: &mut Vec<String>) -> Place {
    match file.store.path.as_ref().map(Spanned::get_ref) {
        Some(path) if path == Path::new(IN_MEMORY) => Place::Memory,
        Some(path) => Place::File(source.resolve(path)),
        None => {
            let (place, warning) = store::default_place(|name| std::env::var_os(name));
            warnings.extend(warning.map(str::to_owned));
            place
        }
    }
}

/// What `file` says for the standard output.
const STDOUT: &str = "stdout";

fn audit(file: &File, source: Source<'_>) -> audit::Settings {
    let place = |path: &Spanned<PathBuf>| match path.get_ref() {
        path if path == Path::new(STDOUT) => audit::Place::Stdout,
        path => audit::Place::File(source.resolve(path)),
    };
    audit::Settings {
        keep: file.audit.keep.as_usize(),
        place: file.audit.file.as_ref().map(place),
    }
}

fn addresses(order: file::Addresses) -> AddressOrder {
    match order {
        file::Addresses::Ipv6First => AddressOrder::Ipv6First,
        file::Addresses::Ipv4First => AddressOrder::Ipv4First,
        file::Addresses::Ipv6Only => AddressOrder::Ipv6Only,
        file::Addresses::Ipv4Only => AddressOrder::Ipv4Only,
    }
}

fn settings(file: &File, source: Source<'_>) -> Result<Settings, ConfigError> {
    let hostname = file.hostname.clone().unwrap_or_else(localhost).0.into();
    Ok(Settings {
        hostname,
        seal: if file.seal {
            SealReply::Stamped
        } else {
            SealReply::Verbatim
        },
        bare_newline: match file.message.bare_newline {
            file::BareNewline::Reject => BareNewline::Reject,
            file::BareNewline::Normalise => BareNewline::Normalise,
        },
        max_size: Some(file.message.max_size.0).filter(|size| *size > 0),
        limits: Limits {
            max_recipients: file.limits.max_recipients.as_usize(),
            max_command_line: file.limits.max_command_line.as_usize(),
            max_errors: file.limits.max_errors.as_usize(),
            max_legs: file.limits.max_legs.as_usize(),
        },
        timeouts: timeouts(&file.timeouts),
        mx: mx(&file.mx),
        pool: pool(&file.pool),
        caps: destination::caps(file, source)?,
        after_failed_handshake: if file.tls.plaintext_fallback {
            AfterFailedHandshake::Plaintext
        } else {
            AfterFailedHandshake::NextHost
        },
        resume_for: file.tls.resume_for.0,
        guard: Guard {
            response: match file.tls.downgrade {
                file::Downgrade::Warn => Response::Warn,
                file::Downgrade::Defer => Response::Defer,
            },
            hold: file.tls.downgrade_hold.0,
        },
    })
}

fn mx(mx: &file::Mx) -> MxSettings {
    MxSettings {
        port: mx.port.as_port(),
        max_hosts: mx.max_hosts.as_usize(),
        max_addresses: mx.max_addresses.as_usize(),
        dead_for: mx.dead_for.0,
        dead_entries: u64::from(mx.dead_entries.0),
        small_messages: if mx.chunking {
            SmallMessages::InOneChunk
        } else {
            SmallMessages::WithData
        },
    }
}

fn pool(pool: &file::Pool) -> PoolSettings {
    PoolSettings {
        idle: pool.idle.0,
        max_age: pool.max_age.0,
        max_messages: pool.max_messages.as_usize(),
        per_address: pool.per_address.as_usize(),
        connections: pool.connections.as_usize(),
    }
}

fn timeouts(waits: &file::Timeouts) -> Timeouts {
    Timeouts {
        idle: waits.idle.0,
        mta_data: waits.mta_data.0,
        connect: waits.connect.0,
        greeting: waits.greeting.0,
        ehlo: waits.ehlo.0,
        tls_handshake: waits.tls_handshake.0,
        reused: waits.reused.0,
        mail: waits.mail.0,
        rcpt: waits.rcpt.0,
        data: waits.data.0,
        data_block: waits.data_block.0,
        data_end: waits.data_end.0,
        ready: waits.ready.get_ref().0,
        drain: waits.drain.0,
    }
}

fn localhost() -> Hostname {
    Hostname("localhost".to_owned())
}

/// The host name of this machine, or `localhost` and a warning.
fn machine_name(warnings: &mut Vec<String>) -> Hostname {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().parse().unwrap_or_else(|_| {
        warnings.push(
            "this machine's host name cannot be used; waxseal calls itself localhost until you set `hostname`"
                .to_owned(),
        );
        localhost()
    })
}

fn warnings(file: &File, source: Source<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |span: &std::ops::Range<usize>, message: &str| {
        warnings.push(source.error(span, message).to_string());
    };
    for one in &file.listener {
        listener::warnings(one.get_ref(), &mut warn);
    }
    if file.timeouts.ready.get_ref().0 > RCPT_PATIENCE {
        warn(
            &file.timeouts.ready.span(),
            "`ready` is longer than the 5m that an MTA waits for the reply to RCPT; it may give up first",
        );
    }
    warnings
}

/// Rewrites the paths so that they mean the same from any folder.
pub(super) fn make_absolute(file: &mut File, source: Option<&Path>) {
    let folder = source.and_then(Path::parent).unwrap_or(Path::new(""));
    let rewrite = |path: &mut Spanned<PathBuf>| {
        *path.get_mut() = absolute(&folder.join(path.get_ref()));
    };
    file.tls.ca_files.iter_mut().for_each(rewrite);
    file.dns.trust_anchor.iter_mut().for_each(rewrite);
    let in_memory = |path: &&mut Spanned<PathBuf>| path.get_ref() != Path::new(IN_MEMORY);
    let mut store = file.store.path.iter_mut().filter(in_memory);
    store.by_ref().for_each(rewrite);
    let admin = &mut file.admin;
    let of_admin = [
        &mut admin.token_file,
        &mut admin.tls_certificate,
        &mut admin.tls_key,
    ];
    of_admin.into_iter().flatten().for_each(rewrite);
    let a_file = |path: &&mut Spanned<PathBuf>| path.get_ref() != Path::new(STDOUT);
    file.audit.file.iter_mut().filter(a_file).for_each(rewrite);
    for listener in &mut file.listener {
        let listener = listener.get_mut();
        let paths = [
            &mut listener.tls_certificate,
            &mut listener.tls_key,
            &mut listener.tls_client_ca,
            &mut listener.users_file,
        ];
        paths.into_iter().flatten().for_each(rewrite);
    }
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
