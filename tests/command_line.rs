//! The waxseal command as a user meets it: exit codes, and which words go where.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[expect(clippy::unwrap_used, reason = "part of a test")]
fn waxseal(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waxseal"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_remove("WAXSEAL_CONFIG")
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
