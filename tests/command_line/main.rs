//! The waxseal command as a user meets it: exit codes, and which words go where.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on must say so and stop"
)]

mod doctor;
mod rules;
mod simulate;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use waxseal::mtasts::Fetched;
use waxseal::policy::downgrade::{Kind, Known, Lost, Shown};
use waxseal::store::{Kept, KeptHost, Place, open};
use waxseal::time::{Clock, SystemClock, UnixTime};

fn waxseal(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waxseal"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_remove("WAXSEAL_CONFIG")
        .env("STATE_DIRECTORY", folder)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_good_configuration_is_summed_up() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("waxseal.toml"), "seal = false").unwrap();
    fs::create_dir(home.path().join("policies")).unwrap();
    let rule = "[[rule]]\ndomains = ['a.example', 'b.example']\ntls = 'encrypt'";
    fs::write(home.path().join("policies/a.toml"), rule).unwrap();
    let check = waxseal(home.path(), "config check");
    assert_eq!(stdout(&check), "ok: 2 files, 1 rule, 2 listeners\n");
    assert_eq!(
        (check.status.code(), stderr(&check).as_str()),
        (Some(0), "")
    );
    let json = stdout(&waxseal(home.path(), "config check --json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["ok"], &json["rules"]), (&true.into(), &1.into()));
    assert_eq!(json["files"][1], "policies/a.toml");
}

#[test]
fn a_wrong_configuration_exits_with_2_and_its_place() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("w.toml"), "[mx]\nportt = 25").unwrap();
    let message = "waxseal: w.toml:2:1: unknown key `portt` in [mx]; did you mean `port`?\n";
    for line in [
        "--config w.toml",
        "config check --config w.toml",
        "config show --config w.toml",
    ] {
        let output = waxseal(home.path(), line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(stderr(&output), message, "{line}");
    }
    let json = stdout(&waxseal(home.path(), "config check --json --config w.toml"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["ok"], &json["line"]), (&false.into(), &2.into()));
}

#[test]
#[cfg(unix)]
fn a_configuration_that_leads_nowhere_is_not_taken_for_none() {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("gone.toml", home.path().join("waxseal.toml")).unwrap();
    let output = waxseal(home.path(), "config check");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("waxseal: waxseal.toml: cannot be read"));
}

#[test]
fn help_has_examples_and_a_typo_a_hint() {
    let home = tempfile::tempdir().unwrap();
    let help = waxseal(home.path(), "--help");
    assert!(stdout(&help).contains("waxseal config check"));
    let typo = waxseal(home.path(), "confg show");
    assert_eq!(typo.status.code(), Some(2));
    assert!(stderr(&typo).contains("'config'"));
}

#[test]
fn no_thread_is_too_few() {
    let folder = tempfile::tempdir().unwrap();
    let output = waxseal(folder.path(), "--threads 0 config check");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--threads"), "{}", stderr(&output));
    let config = "dns = { servers = ['127.0.0.1:1'], dnssec = 'off' }";
    fs::write(folder.path().join("waxseal.toml"), config).unwrap();
    let output = waxseal(folder.path(), "--threads 1 query [192.0.2.1]");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn the_token_of_the_admin_endpoint_may_be_a_credential_of_systemd() {
    let home = tempfile::tempdir().unwrap();
    let config = "admin = { listen = '0.0.0.0:9825' }";
    fs::write(home.path().join("waxseal.toml"), config).unwrap();
    let check = |folder: &Path| {
        Command::new(env!("CARGO_BIN_EXE_waxseal"))
            .args(["config", "check"])
            .current_dir(home.path())
            .env_remove("WAXSEAL_CONFIG")
            .env("STATE_DIRECTORY", home.path())
            .env("CREDENTIALS_DIRECTORY", folder)
            .output()
            .unwrap()
    };
    let credentials = tempfile::tempdir().unwrap();
    let without = check(credentials.path());
    let said = stderr(&without);
    assert_eq!(without.status.code(), Some(2), "{said}");
    assert!(
        said.contains("waxseal.toml:1:20: 0.0.0.0:9825 is not loopback"),
        "{said}"
    );
    let credential = credentials.path().join("waxseal-admin-token");
    fs::write(&credential, "0123456789abcdef\n").unwrap();
    assert_eq!(
        stderr(&check(credentials.path())).lines().count(),
        1,
        "no folder of rules"
    );
    fs::write(&credential, "short\n").unwrap();
    let short = check(credentials.path());
    assert_eq!(short.status.code(), Some(2));
    assert!(stderr(&short).contains("waxseal-admin-token: a token of 5 characters"));
}

/// Without the admin endpoint of whoever else runs on this machine.
const ALONE: &str = "admin = { enabled = false }";

#[test]
fn policies_are_seen_and_forgotten_where_no_waxseal_runs() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("waxseal.toml"), ALONE).unwrap();
    let empty = waxseal(home.path(), "policy list");
    assert_eq!(stdout(&empty), "no MTA-STS policy is remembered\n");
    remember(&home.path().join("waxseal.db"), "a.example");
    let list = stdout(&waxseal(home.path(), "policy list"));
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[0].starts_with("DOMAIN "), "{list}");
    assert!(lines[1].starts_with("a.example  "), "{list}");
    assert!(lines[1].contains(" enforce  2"), "{list}");
    let show = stdout(&waxseal(home.path(), "policy show A.Example"));
    assert!(show.contains("mx            *.a.example\n"), "{show}");
    let json = stdout(&waxseal(home.path(), "policy show a.example --json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["mode"], "enforce");
    let forgotten = waxseal(home.path(), "policy forget a.example");
    let said = "forgotten: the MTA-STS policy of a.example\n";
    assert_eq!(stdout(&forgotten), said);
    for line in ["policy show a.example", "policy forget a.example"] {
        let gone = waxseal(home.path(), line);
        assert_eq!(gone.status.code(), Some(1), "{line}");
        let said = stderr(&gone);
        assert!(
            said.contains("`waxseal check a.example` looks for one"),
            "{said}"
        );
    }
}

#[test]
fn hosts_are_seen_and_forgotten_where_no_waxseal_runs() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("waxseal.toml"), ALONE).unwrap();
    let empty = waxseal(home.path(), "host list");
    assert_eq!(stdout(&empty), "no MX host is remembered\n");
    remember_host(&home.path().join("waxseal.db"), "mx.a.example");
    let list = stdout(&waxseal(home.path(), "host list"));
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[0].starts_with("HOST "), "{list}");
    assert!(lines[1].starts_with("mx.a.example  "), "{list}");
    assert!(
        lines[1].ends_with(
            "DOWNGRADE: starttls lost since 1970-01-01T00:00:00Z, accepted from 1970-01-04T00:00:00Z on"
        ),
        "{list}"
    );
    assert_eq!(stdout(&waxseal(home.path(), "host list --lost")), list);
    let show = stdout(&waxseal(home.path(), "host show MX.A.Example"));
    assert!(show.contains("best shown    dane\n"), "{show}");
    let json = stdout(&waxseal(home.path(), "host show mx.a.example --json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["lost"]["kind"], "starttls");
    let forgotten = waxseal(home.path(), "host forget mx.a.example");
    let said = "forgotten: what mx.a.example has shown\n";
    assert_eq!(stdout(&forgotten), said);
    for line in ["host show mx.a.example", "host forget mx.a.example"] {
        let gone = waxseal(home.path(), line);
        assert_eq!(gone.status.code(), Some(1), "{line}");
        let said = stderr(&gone);
        assert!(
            said.contains("nothing is remembered of mx.a.example"),
            "{said}"
        );
    }
}

#[test]
fn a_list_of_many_policies_comes_whole() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("waxseal.toml"), ALONE).unwrap();
    let store = home.path().join("waxseal.db");
    let domains: Vec<String> = (0..2001).map(|at| format!("d{at:04}.example")).collect();
    remember_all(&store, &domains);
    let list = stdout(&waxseal(home.path(), "policy list --json"));
    let found: Vec<String> = list
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|one| one["domain"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, domains);
}

fn remember(store: &Path, domain: &str) {
    remember_all(store, &[domain.to_owned()]);
}

/// Puts policies into a store, as a waxseal that fetched them a moment ago.
fn remember_all(file: &Path, domains: &[String]) {
    let now = SystemClock.now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Place::File(file.to_owned()), Arc::new(SystemClock));
        let store = store.await.unwrap();
        for domain in domains {
            let text = format!("version: STSv1\nmode: enforce\nmx: *.{domain}\nmax_age: 86400\n");
            let fetched = Fetched {
                id: "1".parse().unwrap(),
                policy: text.parse().unwrap(),
                text: text.into(),
                at: now,
            };
            let kept = Kept {
                fetched: Arc::new(fetched),
                used: now,
                refresh: now,
                failing: None,
            };
            store.keep(&domain.parse().unwrap(), &kept).await.unwrap();
        }
        store.close().await;
    });
}

/// Puts a host into a store that has lost STARTTLS long ago.
#[expect(clippy::unwrap_used, reason = "part of a test")]
fn remember_host(file: &Path, host: &str) {
    let lost = Lost {
        kind: Kind::Starttls,
        since: UnixTime(0),
    };
    let kept = KeptHost {
        known: Known {
            best: Shown::Dane,
            lost: Some(lost),
        },
        first: UnixTime(0),
        seen: SystemClock.now(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Place::File(file.to_owned()), Arc::new(SystemClock));
        let store = store.await.unwrap();
        store.keep_host(&host.parse().unwrap(), kept).await.unwrap();
        store.close().await;
    });
}

#[test]
fn a_query_tells_what_postfix_would_hear() {
    let home = tempfile::tempdir().unwrap();
    let config =
        "dns = { servers = ['127.0.0.1:1'], dnssec = 'off', timeout = '1s', attempts = 1 }";
    fs::write(home.path().join("waxseal.toml"), config).unwrap();
    fs::create_dir(home.path().join("policies")).unwrap();
    let rules = "[[rule]]\ndomains = ['[192.0.2.1]']\ntls = 'encrypt'\n\
                 [[rule]]\ndomains = ['[192.0.2.2]']\ntls = 'encrypt'\nroute = '[192.0.2.3]:25'\n";
    fs::write(home.path().join("policies/a.toml"), rules).unwrap();
    let query = |key: &str| {
        let output = waxseal(home.path(), &format!("query {key}"));
        (output.status.code(), stdout(&output))
    };
    let found = "rule      a.toml:1\nanswer    OK encrypt\n";
    assert_eq!(query("[192.0.2.1]"), (Some(0), found.to_owned()));
    let (code, text) = query(".example.com");
    assert!(text.starts_with("answer    NOTFOUND\nwhy       a parent domain"));
    assert_eq!(code, Some(1));
    let (code, text) = query("[192.0.2.2]");
    assert!(
        text.contains("answer    PERM\nwhy       the rule at a.toml:4 sends"),
        "{text}"
    );
    assert_eq!(code, Some(2));
    let (code, text) = query("a.example");
    assert!(
        text.starts_with("answer    TEMP\nwhy       DNS look-up of MX of a.example failed"),
        "{text}"
    );
    assert_eq!(code, Some(3));
    let json = stdout(&waxseal(home.path(), "query [192.0.2.1] --json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let want =
        serde_json::json!({ "result": "ok", "policy": "encrypt", "why": null, "rule": "a.toml:1" });
    assert_eq!(json, want);
}
