//! What `[admin]` means: where the endpoint listens, and who may do what there.

use std::env;
use std::fs;
use std::path::Path;

use super::error::{ConfigError, Source};
use super::file::Admin;
use super::tls;
use crate::admin::Listener;
use crate::admin::access::{Access, Token};

/// The credential that a service manager passes on, in the folder that it names (`systemd.exec(5)`).
const CREDENTIAL: &str = "waxseal-admin-token";

/// The endpoint, unless it is switched off.
pub(super) fn listener(
    written: &Admin,
    source: Source<'_>,
) -> Result<Option<Listener>, ConfigError> {
    if !written.enabled {
        return Ok(None);
    }
    let listen = written.listen.get_ref().0;
    let token = token(written, source)?;
    if token.is_none() && !listen.ip().to_canonical().is_loopback() {
        return Err(source.error(
            &written.listen.span(),
            format!(
                "{listen} is not loopback, so whoever reads there must show a token; add `token_file`, or the systemd credential `{CREDENTIAL}`"
            ),
        ));
    }
    let hosts = written.hosts.iter().map(|host| host.0.clone()).collect();
    Ok(Some(Listener {
        listen,
        access: Access::new(listen, token, hosts),
        tls: tls::admin_tls(written, source)?,
    }))
}

/// The token of the service manager, or else the one in the file: the service may not be able to read the file,
/// and whoever asks it from a shell does not have the credential.
fn token(written: &Admin, source: Source<'_>) -> Result<Option<Token>, ConfigError> {
    if let Some(folder) = env::var_os("CREDENTIALS_DIRECTORY") {
        let path = Path::new(&folder).join(CREDENTIAL);
        if super::is_there(&path) {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string());
            let token = text.and_then(|text| Token::new(&text));
            return token
                .map(Some)
                .map_err(|error| ConfigError::of_file(&path, error));
        }
    }
    let Some(file) = &written.token_file else {
        return Ok(None);
    };
    let text = tls::read(file, source)?;
    let token = Token::new(&String::from_utf8_lossy(&text));
    token.map(Some).map_err(|error| {
        let name = file.get_ref().display();
        source.error(&file.span(), format!("`{name}`: {error}"))
    })
}
