//! `waxseal rule`.

use std::fs;
use std::path::Path;

use super::{ALONE, stderr, stdout, waxseal};

fn home(rules: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("waxseal.toml"), ALONE).unwrap();
    fs::create_dir(home.path().join("policies")).unwrap();
    fs::write(home.path().join("policies/10-mine.toml"), rules).unwrap();
    home
}

fn by_hand(home: &Path) -> String {
    fs::read_to_string(home.join("policies/80-by-hand.toml")).unwrap_or_default()
}

#[test]
fn a_rule_is_added_listed_and_expires() {
    let home = home("[[rule]]\ndomains = ['*']\ntls = 'standard'\n");
    let line =
        "rule add a.example .a.example --tls encrypt --min-version 1.3 --expires 2d --reason why";
    let added = waxseal(home.path(), line);
    assert_eq!(
        stdout(&added),
        "added: policies/80-by-hand.toml:3\nno waxseal runs here; the next one to start reads it\n",
        "{}",
        stderr(&added)
    );
    let list = stdout(&waxseal(home.path(), "rule list"));
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("PATTERN     SENDER  TLS                   MODE     EXPIRES"));
    assert!(lines[1].starts_with("*           *       standard (floor may)  enforce  -  "));
    assert!(lines[2].starts_with("a.example   *       encrypt               enforce  2"));
    assert!(lines[2].ends_with(" !  80-by-hand.toml:3  why"), "{list}");
    let expired = waxseal(home.path(), "rule expire a.example .a.example --no-reload");
    assert_eq!(stdout(&expired), "expired: 80-by-hand.toml:3\n");
    let lines = stdout(&waxseal(home.path(), "rule list --json"));
    let json: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&json["pattern"], &json["expired"], &json["line"]),
        (&".a.example".into(), &true.into(), &3.into())
    );
}

#[test]
fn a_rule_that_does_not_fit_is_refused_as_the_configuration_would_be() {
    let home = home("[[rule]]\ndomains = ['a.example']\ntls = 'may'\n");
    let refused = waxseal(home.path(), "rule add a.example --tls encrypt");
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        stderr(&refused),
        "waxseal: policies/80-by-hand.toml:3:1: there is a rule for the same domain and sender at 10-mine.toml:1; remove one of them\n"
    );
    let elsewhere = waxseal(home.path(), "rule expire a.example");
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(stderr(&elsewhere).contains("stands at policies/10-mine.toml:1, which people write"));
    assert_eq!(by_hand(home.path()), "");
}

#[test]
fn no_folder_is_made_where_nobody_would_look_for_it() {
    let home = tempfile::tempdir().unwrap();
    let lost = waxseal(home.path(), "rule add a.example --tls encrypt");
    // A configuration of the machine's own may be found instead.
    if !Path::new("/etc/waxseal/waxseal.toml").exists() {
        assert_eq!(lost.status.code(), Some(1));
        assert!(stderr(&lost).contains("name its configuration with --config"));
    }
    assert!(!home.path().join("policies").exists());
}

const TABLE: &str = "\
# partners
a.example   encrypt protocols=>=TLSv1.3
.b.example  secure match=mx.b.example
  ciphers=high
[relay.example]:587 verify
c.example   dane
";

#[test]
fn a_postfix_table_is_carried_over_and_back() {
    let home = home("");
    fs::write(home.path().join("tls_policy"), TABLE).unwrap();
    let import = waxseal(
        home.path(),
        "rule import postfix tls_policy --output policies/60-postfix.toml",
    );
    assert_eq!(import.status.code(), Some(1));
    assert_eq!(
        stderr(&import),
        "tls_policy:3: changed: `ciphers=high` is dropped: waxseal has suites with forward secrecy and AEAD alone\n\
         tls_policy:5: left out: `[relay.example]:587`: a next hop of Postfix's own configuration; write a rule with `route` for the domains whose mail goes there\n\
         waxseal: 1 of 4 entries are not among the rules; another rule counts for their destinations\n"
    );
    assert_eq!(
        fs::read_to_string(home.path().join("policies/60-postfix.toml")).unwrap(),
        "# tls_policy:2\n[[rule]]\ndomains = [\"a.example\"]\ntls = \"encrypt\"\nmin_version = \"1.3\"\n\n\
         # tls_policy:3\n[[rule]]\ndomains = [\".b.example\"]\ntls = \"secure\"\nmatch = [\"mx.b.example\"]\n\n\
         # tls_policy:6\n[[rule]]\ndomains = [\"c.example\"]\ntls = \"standard\"\nfloor = \"may\"\n"
    );
    let export = stdout(&waxseal(home.path(), "rule export postfix"));
    let entries: Vec<&str> = export
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(
        entries,
        [
            "a.example\tencrypt protocols=>=TLSv1.3",
            ".b.example\tsecure match=mx.b.example servername=hostname",
            "c.example\tdane",
        ]
    );
    let again = waxseal(
        home.path(),
        "rule import postfix tls_policy --output policies/61-postfix.toml",
    );
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("policies/61-postfix.toml:2:1: there is a rule for the same"));
    assert!(!home.path().join("policies/61-postfix.toml").exists());
}
