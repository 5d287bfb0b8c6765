//! The admin endpoint of a waxseal that runs.

use std::process::{Command, Output};

use crate::support::{house::House, mx::Script, world::World};

const TOKEN: &str = "0123456789abcdef-the-token";

/// A token, a certificate and its key, in a folder that the configuration of a house can name.
fn secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["elsewhere.test".to_owned()]).unwrap();
    for (name, text) in [
        ("token", format!("{TOKEN}\n")),
        ("admin.pem", pair.cert.pem()),
        ("admin.key", pair.signing_key.serialize_pem()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// `waxseal policy list`, with this `[admin]` beside the address of the house.
async fn list(house: &House, admin: String) -> (Option<i32>, String) {
    let file = house.folder().join("cli.toml");
    let address = house.admin();
    let text = format!("store = {{ path = 'other.db' }}\n[admin]\nlisten = '{address}'\n{admin}");
    std::fs::write(&file, text).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command.arg("--config").arg(file).args(["policy", "list"]);
        command.output().unwrap()
    });
    let Output {
        status,
        stdout,
        stderr,
    } = output.await.unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_command_shows_the_token_and_knows_the_certificate() {
    let folder = secrets();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let token = format!("token_file = '{}'\n", path("token"));
    let (certificate, key) = (path("admin.pem"), path("admin.key"));
    let tls = format!("tls_certificate = '{certificate}'\ntls_key = '{key}'\n");
    // Everywhere, so that even reading takes the token.
    let endpoint = format!("[admin]\nlisten = '0.0.0.0:0'\n{token}{tls}");
    let world = World::with(Script::default(), &endpoint).await;
    let (code, said) = list(&world.house, format!("{token}{tls}")).await;
    assert_eq!((code, said.contains("MTA-STS")), (Some(0), true), "{said}");

    let other = secrets();
    let (certificate, key) = (
        other.path().join("admin.pem"),
        other.path().join("admin.key"),
    );
    let wrong_pair = format!("tls_certificate = {certificate:?}\ntls_key = {key:?}\n");
    let mut other_token = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut other_token, b"0123456789abcdef-another").unwrap();
    let wrong_token = format!("token_file = {:?}\n", other_token.path());
    for (admin, complaint) in [
        (format!("{wrong_token}{tls}"), "this is not the token"),
        (format!("{token}{wrong_pair}"), "does not answer"),
        (token.clone(), "does not answer"),
    ] {
        let (code, said) = list(&world.house, admin).await;
        assert_eq!((code, said.contains(complaint)), (Some(1), true), "{said}");
    }
}
