//! `waxseal doctor`.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::{stdout, waxseal};

/// Listeners of its own, and no DNS.
fn write_config(home: &Path, more: &str) {
    let config = format!(
        "listener = [{{ kind = 'relay', listen = '127.0.0.1:0' }}]\n\
         dns = {{ servers = ['127.0.0.1:1'], dnssec = 'off', timeout = '1s', attempts = 1 }}\n{more}"
    );
    fs::write(home.join("waxseal.toml"), config).unwrap();
    fs::create_dir_all(home.join("policies")).unwrap();
}

/// What was found, as `state what`.
fn found(home: &Path, line: &str) -> (Option<i32>, Vec<String>) {
    let output = waxseal(home, &format!("doctor --json{line}"));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let findings = json["findings"].as_array().unwrap().iter();
    let told = findings.map(|one| {
        let word = |key: &str| one[key].as_str().unwrap().to_owned();
        assert_eq!(one["advice"].is_null(), word("state") == "ok", "{one}");
        format!("{} {}", word("state"), word("what"))
    });
    (output.status.code(), told.collect())
}

const WELL: [&str; 9] = [
    "ok configuration",
    "ok rules",
    "ok CA roots",
    "ok clock",
    "ok DNSSEC",
    "ok state folder",
    "ok listener",
    "ok running",
    "ok open files",
];

#[test]
fn where_all_is_well_it_says_so() {
    let home = tempfile::tempdir().unwrap();
    write_config(home.path(), "admin = { enabled = false }");
    assert_eq!(
        found(home.path(), ""),
        (Some(0), WELL.map(str::to_owned).to_vec())
    );
    let text = stdout(&waxseal(home.path(), "doctor"));
    assert!(
        text.starts_with("ok       configuration  waxseal.toml\n"),
        "{text}"
    );
    assert!(text.ends_with("\nall is well\n"), "{text}");
}

#[test]
fn what_is_to_be_looked_at_is_a_warning() {
    let home = tempfile::tempdir().unwrap();
    write_config(home.path(), "admin = { enabled = false }");
    let rule = "rule add a.example --tls encrypt --expires 2d --no-reload";
    assert!(waxseal(home.path(), rule).status.success());
    let (code, found) = found(home.path(), "");
    assert_eq!((code, found[2].as_str()), (Some(1), "warning rules"));
    let text = stdout(&waxseal(home.path(), "doctor"));
    assert!(
        text.contains("80-by-hand.toml:3: a.example (encrypt) expires on "),
        "{text}"
    );
    assert!(
        text.contains("\n                        -> change `expires`"),
        "{text}"
    );
}

#[test]
fn what_is_broken_is_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let map = format!(
        "admin = {{ enabled = false }}\n[[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:{port}'\n"
    );
    write_config(home.path(), "");
    let text = fs::read_to_string(home.path().join("waxseal.toml")).unwrap();
    let dns = text.lines().nth(1).unwrap();
    fs::write(home.path().join("waxseal.toml"), format!("{dns}\n{map}")).unwrap();
    fs::write(
        home.path().join("policies/a.toml"),
        "[[rule]]\ntls = 'may'\n",
    )
    .unwrap();
    let (code, told) = found(home.path(), "");
    assert_eq!(code, Some(2));
    assert_eq!(
        (told[1].as_str(), told[6].as_str()),
        ("broken rules", "broken listener")
    );
    fs::write(home.path().join("waxseal.toml"), "portt = 1").unwrap();
    let wrong = found(home.path(), "");
    assert_eq!(wrong, (Some(2), vec!["broken configuration".to_owned()]));
}
