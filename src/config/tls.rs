//! Certificates and keys from PEM files: the roots that an MX is judged by, and waxseal's own
//! certificates towards the MTA and at the admin endpoint.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};
use toml::Spanned;

use super::error::{ConfigError, Source};
use super::file::{Admin, File, Listener, RootSet, Tls};
use crate::admin;
use crate::policy::requirement::Roots;
use crate::proxy::settings::MtaTls;

/// Who the certificate of waxseal's own making is for: nobody looks.
const SELF_MADE: &str = "waxseal.localhost";

/// The roots of `[tls]`; MTA-STS needs at least one.
pub(super) fn roots(file: &File, source: Source<'_>) -> Result<Roots, ConfigError> {
    let (tls, needed) = (&file.tls, file.mta_sts.enabled);
    let (name, mut anchors) = match tls.roots.get_ref() {
        RootSet::Webpki => ("webpki", webpki_roots::TLS_SERVER_ROOTS.to_vec()),
        RootSet::System => ("system", system_anchors(tls, source)?),
        RootSet::None => ("none", Vec::new()),
    };
    let mut names = vec![name.to_owned()];
    for file in &tls.ca_files {
        anchors.extend(anchors_of(file, source)?);
        names.push(file.get_ref().display().to_string());
    }
    if anchors.is_empty() && needed {
        return Err(source.error(
            &tls.roots.span(),
            "nobody is trusted, so that no MTA-STS policy could be fetched; add ca_files, choose other roots, or write [mta_sts] enabled = false",
        ));
    }
    Ok(Roots {
        source: names.join(", "),
        anchors,
    })
}

/// The roots of one CA file, by a path that means the same to other programs.
pub(super) fn ca_file(file: &Spanned<PathBuf>, source: Source<'_>) -> Result<Roots, ConfigError> {
    let path = super::meaning::absolute(&source.resolve(file.get_ref()));
    Ok(Roots {
        source: path.display().to_string(),
        anchors: anchors_of(file, source)?,
    })
}

/// A system's store may hold certificates that webpki cannot use; they are passed over.
fn system_anchors(tls: &Tls, source: Source<'_>) -> Result<Vec<TrustAnchor<'static>>, ConfigError> {
    let anchors: Vec<_> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
        .map(|anchor| anchor.to_owned())
        .collect();
    if anchors.is_empty() {
        return Err(source.error(
            &tls.roots.span(),
            "the system has no CA certificates; install them (often a package `ca-certificates`) or write roots = \"webpki\"",
        ));
    }
    Ok(anchors)
}

fn anchors_of(
    file: &Spanned<PathBuf>,
    source: Source<'_>,
) -> Result<Vec<TrustAnchor<'static>>, ConfigError> {
    let anchor = |der: &CertificateDer<'static>| {
        webpki::anchor_from_trusted_cert(der)
            .map(|anchor| anchor.to_owned())
            .map_err(|error| {
                let name = file.get_ref().display();
                let message = format!("`{name}` holds a certificate that cannot be a CA: {error}");
                source.error(&file.span(), message)
            })
    };
    certificates(file, source)?.iter().map(anchor).collect()
}

fn certificates(
    file: &Spanned<PathBuf>,
    source: Source<'_>,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found = CertificateDer::pem_slice_iter(&read(file, source)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| source.error(&file.span(), not_pem(file, &error)))?;
    if found.is_empty() {
        let name = file.get_ref().display();
        return Err(source.error(
            &file.span(),
            format!("`{name}` holds no certificate; it must be PEM with BEGIN CERTIFICATE"),
        ));
    }
    Ok(found)
}

pub(super) fn read(file: &Spanned<PathBuf>, source: Source<'_>) -> Result<Vec<u8>, ConfigError> {
    let path = source.resolve(file.get_ref());
    std::fs::read(&path).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", path.display());
        source.error(&file.span(), message)
    })
}

fn not_pem(file: &Spanned<PathBuf>, error: &rustls::pki_types::pem::Error) -> String {
    format!("`{}` is not PEM: {error}", file.get_ref().display())
}

/// A certificate and its key, as a listener names them.
type Pair<'a> = (&'a Spanned<PathBuf>, &'a Spanned<PathBuf>);

/// Both or none. `at` is the place of the listener, for the one that is missing.
fn pair<'a>(
    certificate: Option<&'a Spanned<PathBuf>>,
    key: Option<&'a Spanned<PathBuf>>,
    at: impl Fn(&str) -> ConfigError,
) -> Result<Option<Pair<'a>>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(_), None) => Err(at(
            "`tls_certificate` without `tls_key`; add the private key",
        )),
        (None, Some(_)) => Err(at(
            "`tls_key` without `tls_certificate`; add the certificate",
        )),
        (None, None) => Ok(None),
    }
}

/// TLS of one listener for mail.
pub(super) fn mta_tls(
    listener: &Spanned<Listener>,
    source: Source<'_>,
) -> Result<MtaTls, ConfigError> {
    let at = |message: &str| source.error(&listener.span(), message);
    let written = listener.get_ref();
    let files = (written.tls_certificate.as_ref(), written.tls_key.as_ref());
    let Some(files) = pair(files.0, files.1, at)? else {
        return match &written.tls_client_ca {
            _ if written.tls_required => Err(at(
                "`tls_required` without `tls_certificate` and `tls_key`; add both",
            )),
            Some(_) => Err(at(
                "`tls_client_ca` without `tls_certificate` and `tls_key`; add both",
            )),
            None => Ok(MtaTls::Off),
        };
    };
    let verifier = client_verifier(written, source)?;
    let config = Arc::new(server_config(files, verifier, source)?);
    Ok(if written.tls_required {
        MtaTls::Required(config)
    } else {
        MtaTls::Offered(config)
    })
}

/// TLS of the admin endpoint.
pub(super) fn admin_tls(
    admin: &Admin,
    source: Source<'_>,
) -> Result<Option<admin::Tls>, ConfigError> {
    let at = |message: &str| source.error(&admin.listen.span(), message);
    let files = (admin.tls_certificate.as_ref(), admin.tls_key.as_ref());
    let Some(files) = pair(files.0, files.1, at)? else {
        return Ok(None);
    };
    let server = server_config(files, WebPkiClientVerifier::no_client_auth(), source)?;
    Ok(Some(admin::Tls {
        server: Arc::new(server),
        certificate: certificates(files.0, source)?.remove(0),
    }))
}

/// STARTTLS with a certificate of waxseal's own making, new at each start: for an MTA that insists on TLS
/// and asks for nobody's name.
pub(super) fn self_made() -> Result<MtaTls, String> {
    let made = rcgen::generate_simple_self_signed([SELF_MADE.to_owned()]);
    let made = made.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = builder()
        .map(ConfigBuilder::<ServerConfig, _>::with_no_client_auth)
        .and_then(|builder| builder.with_single_cert(vec![made.cert.der().clone()], key));
    let config = config.map_err(|error| error.to_string())?;
    Ok(MtaTls::Offered(Arc::new(config)))
}

/// The provider is named, so that no other crate's choice of a process default gets in.
fn builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn server_config(
    (certificate, key): Pair<'_>,
    verifier: Arc<dyn ClientCertVerifier>,
    source: Source<'_>,
) -> Result<ServerConfig, ConfigError> {
    let chain = certificates(certificate, source)?;
    let private = PrivateKeyDer::from_pem_slice(&read(key, source)?)
        .map_err(|error| source.error(&key.span(), not_pem(key, &error)))?;
    builder()
        .map(|builder| builder.with_client_cert_verifier(verifier))
        .and_then(|builder| builder.with_single_cert(chain, private))
        .map_err(|error| {
            let message = format!("this certificate and its key cannot be used: {error}");
            source.error(&certificate.span(), message)
        })
}

fn client_verifier(
    listener: &Listener,
    source: Source<'_>,
) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let Some(file) = &listener.tls_client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let roots = RootCertStore {
        roots: anchors_of(file, source)?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| source.error(&file.span(), error.to_string()))
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
}
