//! `waxseal simulate`.

use std::fs;

use super::{stderr, stdout, waxseal};

#[test]
fn other_rules_are_tried_on_a_list() {
    let home = tempfile::tempdir().unwrap();
    let config = "dns = { servers = ['127.0.0.1:1'], dnssec = 'off' }\nadmin = { enabled = false }";
    fs::write(home.path().join("waxseal.toml"), config).unwrap();
    fs::write(
        home.path().join("list"),
        "[192.0.2.1] 3\n[192.0.2.2]\nu@a.example\n",
    )
    .unwrap();
    for (folder, tls) in [("policies", "may"), ("stricter", "encrypt")] {
        fs::create_dir(home.path().join(folder)).unwrap();
        let rule = format!("[[rule]]\ndomains = ['[192.0.2.1]']\ntls = '{tls}'\n");
        fs::write(home.path().join(folder).join("a.toml"), rule).unwrap();
    }
    let csv = |more: &str| {
        let output = waxseal(home.path(), &format!("simulate --domains list --csv{more}"));
        let text = stdout(&output);
        let line = text.lines().nth(1).unwrap_or_default();
        line.split(',').take(4).collect::<Vec<_>>().join(",")
    };
    assert_eq!(csv(""), "[192.0.2.1],3,0,if offered");
    assert_eq!(csv(" --rules stricter"), "[192.0.2.1],3,0,encrypted");
    let text = stdout(&waxseal(home.path(), "simulate --domains list"));
    assert!(text.contains("\n1 lines are no domain\n"), "{text}");
    assert!(!home.path().join("waxseal.db").exists());
    for (line, code, said) in [
        ("simulate", 2, "--from-log <FILE>"),
        (
            "simulate --domains list --rules gone",
            1,
            "waxseal: gone: No such file",
        ),
        ("simulate --from-log gone", 1, "waxseal: gone: No such file"),
        (
            "simulate --from-log a --domains b",
            2,
            "cannot be used with",
        ),
    ] {
        let output = waxseal(home.path(), line);
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert!(
            stderr(&output).contains(said),
            "{line}: {}",
            stderr(&output)
        );
    }
}
