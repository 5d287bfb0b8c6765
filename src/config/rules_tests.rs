use std::fs;

use super::*;
use crate::name::Destination;
use crate::policy::handshake::TlsVersion;
use crate::policy::requirement::Mode;
use crate::policy::rules::{
    Floor, Level, NameMatch, Pattern, Query, Rule, SenderScope, ServerName,
};
use crate::time::UnixTime;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// Reads rule files, given as name and text, from a folder.
fn read(files: &[(&str, &str)]) -> Result<RuleSet, String> {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("policies");
    fs::create_dir(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    let config = Config::parse("", &home.path().join("waxseal.toml")).unwrap();
    let strip = |text: String| text.replace(&format!("{}/", home.path().display()), "");
    match read_rules(&config, NOW) {
        Ok(mut set) => {
            set.warnings = set.warnings.into_iter().map(strip).collect();
            Ok(set)
        }
        Err(error) => Err(strip(error.to_string())),
    }
}

fn only(text: &str) -> Rule {
    let set = read(&[("a.toml", text)]).unwrap();
    let mut rules = set.rules.iter();
    let rule = rules.next().unwrap().clone();
    assert!(rules.next().is_none(), "{text}");
    rule
}

/// Keys of one wrong `[[rule]]`, with the exact message.
const WRONG: &[(&str, &str)] = &[
    (
        "tls = 'may'",
        "1:1: the rule names no destination; add `domains` or `mx`",
    ),
    (
        "domains = ['a.example']",
        "1:1: `tls` is missing in [[rule]]; add it",
    ),
    (
        "domain = ['a.example']\ntls = 'may'",
        "2:1: unknown key `domain` in [[rule]]; did you mean `domains`?",
    ),
    (
        "domains = ['a.example']\nmx = ['b.example']\ntls = 'may'",
        "3:7: a rule has `domains` or `mx`, not both; make it two rules",
    ),
    (
        "domains = ['a.example']\ntls = 'verify'",
        "3:7: unknown word `verify`; write one of: none, may, encrypt, standard, dane-only, secure, fingerprint",
    ),
    (
        "domains = ['*.a.example']\ntls = 'may'",
        "2:12: `*.a.example` is not a domain; write \".a.example\" for every domain below a.example",
    ),
    (
        "domains = ['192.0.2.1']\ntls = 'may'",
        "2:12: `192.0.2.1` is an address; write \"[192.0.2.1]\"",
    ),
    (
        "domains = ['a.example', 'u@b.example']\ntls = 'may'",
        "2:25: `u@b.example` is a mail address; rules are about domains, write what follows the @",
    ),
    (
        "domains = ['a..example']\ntls = 'may'",
        "2:12: `a..example` is not a domain: a label of the name is empty or longer than 63 characters",
    ),
    (
        "domains = ['*']\nsenders = []\ntls = 'may'",
        "3:11: `senders` is empty, so that the rule is for nobody; leave it out for everybody",
    ),
    (
        "domains = ['*']\nsenders = ['*']\ntls = 'may'",
        "3:12: `*` names every sender; leave `senders` out",
    ),
    (
        "domains = ['*']\ntls = 'encrypt'\nfloor = 'may'",
        "4:9: `floor` needs `tls = \"standard\"`, and this rule has `tls = \"encrypt\"`; change the level or remove `floor`",
    ),
    (
        "domains = ['*']\ntls = 'encrypt'\nmatch = ['nexthop']",
        "4:9: `match` needs `tls = \"secure\"`, and this rule has `tls = \"encrypt\"`; change the level or remove `match`",
    ),
    (
        "domains = ['*']\ntls = 'standard'\nca_file = 'ca.pem'",
        "4:11: `ca_file` needs `tls = \"secure\"`, and this rule has `tls = \"standard\"`; change the level or remove `ca_file`",
    ),
    (
        "domains = ['*']\ntls = 'may'\nfingerprints = []",
        "4:16: `fingerprints` needs `tls = \"fingerprint\"`, and this rule has `tls = \"may\"`; change the level or remove `fingerprints`",
    ),
    (
        "domains = ['*']\ntls = 'fingerprint'",
        "3:7: `tls = \"fingerprint\"` needs `fingerprints` (`waxseal check DOMAIN --connect` prints them)",
    ),
    (
        "domains = ['*']\ntls = 'fingerprint'\nfingerprints = ['sha256:00']",
        "4:17: `sha256:00` is not a fingerprint; write \"sha256:\" and 64 hexadecimal digits (`waxseal check DOMAIN --connect` prints them)",
    ),
    (
        "domains = ['*']\ntls = 'secure'\nmatch = []",
        "4:9: `match` is empty, so that no certificate could match; leave it out for nexthop, dot-nexthop",
    ),
    (
        "domains = ['*']\ntls = 'secure'\nmatch = ['hostnme']",
        "4:10: `hostnme` is none of nexthop, dot-nexthop, hostname, mta-sts, a name or \".suffix\": a name has a dot",
    ),
    (
        "domains = ['*']\ntls = 'secure'\nservername = 'host'",
        "4:14: `host` is none of hostname, nexthop or a name: a name has a dot",
    ),
    (
        "domains = ['*']\ntls = 'secure'\nca_file = 'ca.pem'",
        "4:11: cannot read `policies/ca.pem`: No such file or directory (os error 2)",
    ),
    (
        "domains = ['*']\ntls = 'standard'\nmin_version = '1.3'",
        "4:15: `min_version` beside a level that allows plaintext would turn old TLS into plaintext; raise the level or remove `min_version`",
    ),
    (
        "domains = ['*']\ntls = 'encrypt'\nmin_version = '1.1'",
        "4:15: unknown word `1.1`; write one of: 1.2, 1.3",
    ),
    (
        "domains = ['*']\ntls = 'may'\nroute = 'a.example'",
        "4:9: `a.example` is not a host and port; write \"gateway.example.com:25\", \"[192.0.2.1]:25\" or \"[2001:db8::1]:25\"",
    ),
    (
        "domains = ['*']\ntls = 'may'\nroute = 'a.example:0'",
        "4:9: `a.example:0` is not a host and port; write \"gateway.example.com:25\", \"[192.0.2.1]:25\" or \"[2001:db8::1]:25\"",
    ),
    (
        "domains = ['*']\ntls = 'may'\nexpires = 2030-01-01T00:00:00",
        "4:11: `2030-01-01T00:00:00` is not an instant; write a date (2030-12-31, midnight UTC) or a time with its offset (2030-12-31T18:00:00Z)",
    ),
    (
        "domains = ['*']\ntls = 'may'\nmode = 'dry-run'",
        "4:8: unknown word `dry-run`; write one of: enforce, observe",
    ),
    (
        "mx = ['*']\ntls = 'encrypt'",
        "2:7: `*` names every MX; write domains = [\"*\"], or in a [[destination]] network = [\"0.0.0.0/0\", \"::/0\"]",
    ),
    (
        "mx = ['.h.example']\ntls = 'standard'",
        "3:7: an `mx` rule may only raise the level, because MX records can be forged, and this one allows plaintext (standard (floor may)); choose encrypt or more, or name the `domains`",
    ),
    (
        "mx = ['.h.example']\ntls = 'encrypt'\nroute = 'a.example:25'",
        "4:9: an `mx` rule takes no `route`, because MX records can be forged; name the `domains`",
    ),
    (
        "domains = ['a.example', 'A.example.']\ntls = 'may'",
        "1:1: this rule names the same domain and sender twice; remove one of them",
    ),
];

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_way_out() {
    for (keys, message) in WRONG {
        let error = read(&[("a.toml", &format!("[[rule]]\n{keys}"))]).expect_err(keys);
        assert_eq!(error, format!("policies/a.toml:{message}"), "{keys}");
    }
}

#[test]
fn rules_that_clash_name_both_files() {
    let rule = "\n[[rule]]\ndomains = ['a.example']\ntls = 'may'";
    assert_eq!(
        read(&[("a.toml", rule), ("b.toml", rule)]).unwrap_err(),
        "policies/b.toml:2:1: there is a rule for the same domain and sender at a.toml:2; remove one of them"
    );
}

#[test]
fn the_shipped_rules_load() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("waxseal.toml");
    let config = Config::parse("", &file).unwrap();
    let set = read_rules(&config, NOW).unwrap();
    assert_eq!(
        (set.files.len(), set.entries, set.rules.iter().count()),
        (2, 7, 9)
    );
    assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    let destination: Destination = "x.partner.example".parse().unwrap();
    let query = Query {
        destination: &destination,
        sender: None,
        now: NOW,
    };
    let rule = set.rules.for_domain(&query).unwrap();
    assert_eq!(
        (&rule.level, rule.min_version),
        (&Level::Encrypt, TlsVersion::Tls13)
    );
    assert_eq!(rule.origin.to_string(), "50-partners.toml:14");
}

#[test]
fn only_visible_toml_files_are_read_in_name_order() {
    let rule = |domain: &str| format!("[[rule]]\ndomains = ['{domain}']\ntls = 'may'");
    let (b, a) = (rule("b.example"), rule("a.example"));
    let wrong = "this is no rule";
    let set = read(&[
        ("20.toml", &b),
        ("10.toml", &a),
        (".30.toml", wrong),
        ("40.toml~", wrong),
        ("50.toml.rpmsave", wrong),
        ("README", wrong),
    ])
    .unwrap();
    let files: Vec<_> = set
        .rules
        .iter()
        .map(|rule| rule.origin.to_string())
        .collect();
    assert_eq!(files, ["10.toml:1", "20.toml:1"]);
}

#[test]
fn each_pattern_and_sender_makes_a_rule_of_its_own() {
    let set = read(&[(
        "a.toml",
        "[[rule]]\ndomains = ['*', 'B\u{fc}cher.example', '.c.example', '[IPv6:2001:db8::1]']\n\
         senders = ['s.example', '.s.example']\ntls = 'standard'\nfloor = 'encrypt'\nreason = 'why'",
    )])
    .unwrap();
    let rules: Vec<_> = set.rules.iter().collect();
    assert_eq!(rules.len(), 8);
    assert_eq!(rules[0].pattern, Pattern::Any);
    assert_eq!(
        rules[2].pattern,
        Pattern::Exact("xn--bcher-kva.example".parse().unwrap())
    );
    assert_eq!(
        rules[4].pattern,
        Pattern::Suffix("c.example".parse().unwrap())
    );
    assert_eq!(
        rules[7].sender,
        SenderScope::Suffix("s.example".parse().unwrap())
    );
    assert!(
        rules
            .iter()
            .all(|rule| rule.level == Level::Standard(Floor::Encrypt))
    );
    assert!(
        rules
            .iter()
            .all(|rule| rule.reason.as_deref() == Some("why"))
    );
}

#[test]
fn a_rule_without_more_has_the_defaults() {
    let rule = only("[[rule]]\ndomains = ['a.example']\ntls = 'secure'");
    assert_eq!(
        rule.level,
        Level::Secure {
            matches: vec![NameMatch::Nexthop, NameMatch::DotNexthop],
            roots: None
        }
    );
    assert_eq!(rule.sender, SenderScope::Anyone);
    assert_eq!(
        (rule.min_version, rule.mode),
        (TlsVersion::Tls12, Mode::Enforce)
    );
    assert_eq!(rule.server_name, ServerName::Hostname);
    assert_eq!((rule.route, rule.expires), (None, None));
}

#[test]
fn a_route_is_a_host_and_a_port() {
    let good = |text: &str, want: &str| {
        let rule = only(&format!(
            "[[rule]]\ndomains = ['*']\ntls = 'may'\nroute = '{text}'"
        ));
        assert_eq!(rule.route.unwrap().to_string(), want);
    };
    good("GW.example:2525", "gw.example:2525");
    good("[192.0.2.1]:25", "[192.0.2.1]:25");
    good("[IPv6:2001:db8::1]:25", "[IPv6:2001:db8::1]:25");
    good("[2001:db8::1]:25", "[IPv6:2001:db8::1]:25");
    let bad = [
        "x",
        "192.0.2.1:25",
        "2001:db8::1:25",
        "a.example:65536",
        ":25",
        "[x]:25",
    ];
    for text in bad {
        let text = format!("[[rule]]\ndomains = ['*']\ntls = 'may'\nroute = '{text}'");
        read(&[("a.toml", &text)]).expect_err(&text);
    }
}

#[test]
fn a_date_expires_at_midnight_utc_and_a_time_when_it_says() {
    let expires = |text: &str| {
        only(&format!(
            "[[rule]]\ndomains = ['*']\ntls = 'may'\nexpires = {text}"
        ))
        .expires
    };
    assert_eq!(expires("1970-01-02"), Some(UnixTime(86_400)));
    assert_eq!(expires("1970-01-02T01:00:00+01:00"), Some(UnixTime(86_400)));
    assert_eq!(expires("1960-01-01"), Some(UnixTime(0)));
}

#[test]
fn an_expired_rule_loads_with_one_warning() {
    let text =
        "\n[[rule]]\ndomains = ['a.example', 'b.example']\ntls = 'none'\nexpires = 2020-02-01";
    let set = read(&[("a.toml", text)]).unwrap();
    assert_eq!(set.rules.iter().count(), 2);
    assert_eq!(
        set.warnings,
        ["policies/a.toml:2: expired on 2020-02-01T00:00:00Z; ignored"]
    );
}

#[test]
fn a_missing_folder_is_an_error_only_where_it_was_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("waxseal.toml");
    let folder = |name: &str| home.path().join(name).display().to_string();
    let unnamed = read_rules(&Config::parse("", &file).unwrap(), NOW).unwrap();
    assert_eq!(
        unnamed.warnings,
        [format!(
            "there is no folder `{}`, so there are no rules: TLS is used where it is offered",
            folder("policies")
        )]
    );
    let named = Config::parse("seal = true\npolicies = 'rules'", &file).unwrap();
    assert_eq!(
        read_rules(&named, NOW).unwrap_err().to_string(),
        format!(
            "{}:2:12: cannot read the folder `{}`: No such file or directory (os error 2); create it or remove `policies`",
            file.display(),
            folder("rules")
        )
    );
}

#[test]
fn a_secure_rule_needs_roots() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("policies")).unwrap();
    let rule = "[[rule]]\ndomains = ['a.example']\ntls = 'secure'";
    fs::write(home.path().join("policies/a.toml"), rule).unwrap();
    let text = "tls = { roots = 'none' }\nmta_sts = { enabled = false }";
    let config = Config::parse(text, &home.path().join("w.toml")).unwrap();
    let error = read_rules(&config, NOW).unwrap_err();
    assert!(
        error
            .message
            .contains("needs a trusted CA and there is none"),
        "{error}"
    );
    let pair = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    fs::write(home.path().join("policies/ca.pem"), pair.cert.pem()).unwrap();
    fs::write(
        home.path().join("policies/a.toml"),
        format!("{rule}\nca_file = 'ca.pem'"),
    )
    .unwrap();
    assert_eq!(read_rules(&config, NOW).unwrap().entries, 1);
}

#[test]
fn an_mx_rule_that_asks_less_than_the_rule_for_everything_is_a_warning() {
    let warnings = |any: &str, mx: &str| {
        let text = format!("[[rule]]\ndomains = ['*']\n{any}\n[[rule]]\nmx = ['.h.example']\n{mx}");
        read(&[("a.toml", &text)]).unwrap().warnings
    };
    let weaker = [
        "policies/a.toml:4: this `mx` rule asks less than the one for `*` at a.toml:1, and MX records can be forged",
    ];
    assert_eq!(warnings("tls = 'secure'", "tls = 'encrypt'"), weaker);
    assert_eq!(
        warnings("tls = 'encrypt'", "mode = 'observe'\ntls = 'secure'"),
        weaker
    );
    assert!(warnings("tls = 'encrypt'", "tls = 'encrypt'").is_empty());
    assert!(warnings("tls = 'standard'", "mode = 'observe'\ntls = 'secure'").is_empty());
}

#[test]
fn rules_that_a_policy_table_cannot_follow_are_warned_about() {
    let rule = "[[rule]]\ndomains = ['*', 'a.example']\nsenders = ['b.example']\ntls = 'encrypt'";
    let warnings = |listeners: &str| {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("policies")).unwrap();
        fs::write(home.path().join("policies/a.toml"), rule).unwrap();
        let config = Config::parse(listeners, &home.path().join("waxseal.toml")).unwrap();
        read_rules(&config, UnixTime(0)).unwrap().warnings
    };
    assert!(warnings("").is_empty());
    let map = "[[listener]]\nkind = 'socketmap'\nlisten = '127.0.0.1:8461'";
    let [warning] = &warnings(map)[..] else {
        panic!("one warning for one rule");
    };
    assert!(
        warning.contains("a.toml:1: `senders`: the policy table"),
        "{warning}"
    );
}
