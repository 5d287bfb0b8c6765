//! Texts of policies, good and bad. `|` stands for the end of a line, LF unless a test says otherwise.

mod properties;

use super::*;

fn read(text: &str) -> Result<Policy, PolicyError> {
    text.replace('|', "\n").parse()
}

/// A policy in short: mode, seconds, patterns.
fn short(policy: &Policy) -> String {
    let head = [
        policy.mode.word().to_owned(),
        policy.max_age.as_secs().to_string(),
    ];
    let patterns = policy.mx.iter().map(ToString::to_string);
    head.into_iter()
        .chain(patterns)
        .collect::<Vec<_>>()
        .join(" ")
}

fn good(text: &str, want: &str) {
    match read(text) {
        Ok(policy) => assert_eq!(short(&policy), want, "{text:?}"),
        Err(error) => panic!("{text:?}: {error}"),
    }
}

fn bad(text: &str, want: &str) {
    let error = read(text).expect_err(text);
    assert_eq!(error.to_string(), want, "{text:?}");
}

#[test]
fn the_example_of_the_rfc_is_good() {
    good(
        "version: STSv1|mode: enforce|mx: mail.example.com|mx: *.example.net|mx: backupmx.example.com|max_age: 604800|",
        "enforce 604800 mail.example.com *.example.net backupmx.example.com",
    );
}

#[test]
fn lines_end_in_either_way_or_not_at_all() {
    let lines = "version: STSv1|mode: testing|mx: a.example|max_age: 60";
    for end in ["\n", "\r\n"] {
        let text = lines.replace('|', end);
        good(&text, "testing 60 a.example");
        good(&(text + end), "testing 60 a.example");
    }
    good(
        "version: STSv1\r|mode: testing|mx: a.example\r|max_age: 60|",
        "testing 60 a.example",
    );
    good(
        "version: STSv1|mode: testing|mx: a.example|max_age: 60\r",
        "testing 60 a.example",
    );
    bad(
        "version: STSv1\rmode: testing\rmx: a.example\rmax_age: 60\r",
        "line 1 has a control character: \"version: STSv1\\rmode: testing\\rmx: a.example\\rmax_age: 60\"",
    );
    bad(
        "version: STSv1\r\r|",
        "line 1 has a control character: \"version: STSv1\\r\"",
    );
}

#[test]
fn order_and_blanks_do_not_matter() {
    good(
        "max_age: 60|mx: b.example|mode: enforce|mx: a.example|version: STSv1",
        "enforce 60 b.example a.example",
    );
    good(
        "version:STSv1|mode:enforce|mx:a.example|max_age:60",
        "enforce 60 a.example",
    );
    good(
        "version: \t STSv1 \t|mode:\tenforce\t\r|mx:  a.example  |max_age: 60 ",
        "enforce 60 a.example",
    );
    // Empty lines are a deviation.
    good(
        "||version: STSv1|\r|mode: enforce| \t |mx: a.example|max_age: 60|||",
        "enforce 60 a.example",
    );
}

#[test]
fn unknown_keys_are_ignored() {
    let with = |line: &str| {
        good(
            &format!("version: STSv1|{line}|mode: enforce|mx: a.example|max_age: 60"),
            "enforce 60 a.example",
        );
    };
    with("x: y");
    with("x:y");
    with("a.b-c_9: some: words; = \"quoted\" über 漢字 \u{1f512}");
    with(&format!("{}: y", "x".repeat(32)));
    with("9: y");
    with("mxx: not a host");
    with("max-age: soon");
    // RFC 8461 §3.2: keys are compared to the letter.
    with("Version: STSv2");
    with("MODE: none");
    with("MX: b.example");
}

#[test]
fn an_unknown_key_must_be_well_formed_too() {
    let with = |line: &str, why: &str| {
        bad(
            &format!("version: STSv1|{line}|mode: none|max_age: 60"),
            why,
        );
    };
    with("x", "line 2 is not \"key: value\": \"x\"");
    with(": y", "line 2 is not \"key: value\": \": y\"");
    with("x : y", "line 2 is not \"key: value\": \"x : y\"");
    with(" x: y", "line 2 is not \"key: value\": \" x: y\"");
    with("-x: y", "line 2 is not \"key: value\": \"-x: y\"");
    with("ü: y", "line 2 is not \"key: value\": \"ü: y\"");
    with("x=y", "line 2 is not \"key: value\": \"x=y\"");
    with(
        "# a comment: no",
        "line 2 is not \"key: value\": \"# a comment: no\"",
    );
    with("x:", "line 2 has no value after \"x\"");
    with("x: \t", "line 2 has no value after \"x\"");
    with("x: y\tz", "line 2 has a control character: \"x: y\\tz\"");
    with("x: \0", "line 2 has a control character: \"x: \\0\"");
    with(
        "x: \u{7f}",
        "line 2 has a control character: \"x: \\u{7f}\"",
    );
    let key = "x".repeat(33);
    with(
        &format!("{key}: y"),
        &format!("line 2 is not \"key: value\": \"{key}: y\""),
    );
}

#[test]
fn of_a_repeated_key_the_first_counts() {
    good(
        "version: STSv1|version: STSv2|mode: enforce|mode: none|mode: x|mx: a.example|max_age: 60|max_age: 1|max_age: x",
        "enforce 60 a.example",
    );
    bad(
        "version: STSv2|version: STSv1",
        "line 1: the version is \"STSv2\" instead of STSv1",
    );
    bad(
        "version: STSv1|mode: x|mode: enforce",
        "line 2: the mode is \"x\" instead of enforce, testing or none",
    );
    good(
        "version: STSv1|mode: enforce|mx: a.example|mx: a.example|max_age: 60",
        "enforce 60 a.example a.example",
    );
}

#[test]
fn what_is_missing_is_named() {
    bad("", "it has no `version`");
    bad("||", "it has no `version`");
    bad(
        "mode: enforce|mx: a.example|max_age: 60",
        "it has no `version`",
    );
    bad(
        "version: STSv1|mx: a.example|max_age: 60",
        "it has no `mode`",
    );
    bad(
        "version: STSv1|mode: enforce|mx: a.example",
        "it has no `max_age`",
    );
    bad("version: STSv1|mode: enforce|max_age: 60", "it has no `mx`");
    bad("version: STSv1|mode: testing|max_age: 60", "it has no `mx`");
    bad(
        "Version: STSv1|Mode: enforce|MX: a.example|Max_Age: 60",
        "it has no `version`",
    );
}

#[test]
fn the_mode_none_needs_no_mx() {
    // Stalwart and chasquid refuse this one.
    good("version: STSv1|mode: none|max_age: 60|", "none 60");
    good(
        "version: STSv1|mode: none|mx: a.example|max_age: 60|",
        "none 60 a.example",
    );
    good(
        "version: STSv1|mode: none|mx: 192.0.2.1|max_age: 60|",
        "none 60",
    );
    bad("version: STSv1|mode: none|", "it has no `max_age`");
}

#[test]
fn version_and_mode_are_exact() {
    for version in [
        "STSv2",
        "stsv1",
        "STSv10",
        "STSv1;",
        "\"STSv1\"",
        "STSv1 STSv1",
        "1",
    ] {
        bad(
            &format!("version: {version}"),
            &format!("line 1: the version is {version:?} instead of STSv1"),
        );
    }
    for mode in [
        "Enforce",
        "ENFORCE",
        "report",
        "enforce;",
        "enforce testing",
        "test",
    ] {
        bad(
            &format!("version: STSv1|mode: {mode}"),
            &format!("line 2: the mode is {mode:?} instead of enforce, testing or none"),
        );
    }
}

#[test]
fn max_age_is_a_number_up_to_a_year() {
    let age = |value: &str, want: &str| {
        good(&format!("version: STSv1|mode: none|max_age: {value}"), want);
    };
    age("0", "none 0");
    age("1", "none 1");
    age("0000000060", "none 60");
    age("31557600", "none 31557600");
    age("31557601", "none 31557600");
    age("4294967296", "none 31557600");
    age("9999999999", "none 31557600");
    for value in [
        "00000000060",
        "10000000000",
        "99999999999999999999999",
        "-1",
        "+60",
        "60s",
        "1e6",
        "1 000",
        "0x60",
        "٦٠",
    ] {
        bad(
            &format!("version: STSv1|mode: none|max_age: {value}"),
            &format!("line 3: max_age is {value:?} instead of a number of 1 to 10 digits"),
        );
    }
}

#[test]
fn a_malformed_mx_makes_the_policy_invalid() {
    let with = |value: &str, why: &str| {
        bad(
            &format!("version: STSv1|mode: enforce|mx: a.example|mx: {value}|max_age: 60"),
            &format!("line 4: mx is {value:?}: {why}"),
        );
    };
    let wildcard = "`*` may only stand for the whole left-most label, as in `*.example.com`";
    with("*", wildcard);
    with("mx.*.example", wildcard);
    with("mx*.example", wildcard);
    let international = "an international name must be written as A-labels (xn--...)";
    with("mx.bücher.example", international);
    let character = "the name has a character other than letters, digits, '-' and '_'";
    with("a.example b.example", character);
    with("a.example, b.example", character);
    with("<a.example>", character);
    with(
        ".example",
        "a label of the name is empty or longer than 63 characters",
    );
    bad(
        "version: STSv1|mode: enforce|mx:|max_age: 60",
        "line 3 has no value after \"mx\"",
    );
}

#[test]
fn an_address_in_mx_matches_nothing() {
    let policy = |mx: &str| format!("version: STSv1|mode: enforce|{mx}|max_age: 60");
    for address in [
        "192.0.2.1",
        "[192.0.2.1]",
        "2001:db8::1",
        "[IPv6:2001:db8::1]",
        "*.0.2.1",
    ] {
        good(
            &policy(&format!("mx: {address}|mx: a.example")),
            "enforce 60 a.example",
        );
        bad(
            &policy(&format!("mx: {address}")),
            "every `mx` is an address, which no host matches",
        );
    }
    let policy = read(&policy("mx: 192.0.2.1|mx: *.0.2.1|mx: a.example")).unwrap();
    assert!(!policy.covers(&"192.0.2.1".parse().unwrap()));
}

#[test]
fn there_are_not_more_than_a_thousand_mx() {
    let policy = |lines: usize| {
        format!(
            "version: STSv1|mode: enforce|{}max_age: 60",
            "mx: a.example|".repeat(lines)
        )
    };
    assert_eq!(read(&policy(MAX_MX)).unwrap().mx.len(), MAX_MX);
    bad(
        &policy(MAX_MX + 1),
        "line 1003 is one `mx` more than the 1000 that are read",
    );
    // Those that match nothing count too.
    let addresses = "mx: 192.0.2.1|".repeat(MAX_MX + 1);
    bad(
        &format!("version: STSv1|{addresses}"),
        "line 1002 is one `mx` more than the 1000 that are read",
    );
}

#[test]
fn what_is_not_utf8_is_refused() {
    let refused = |text: &[u8], want: &str| {
        assert_eq!(parse(text).unwrap_err().to_string(), want, "{text:?}");
    };
    let mark = "it begins with a byte order mark; it must be saved as UTF-8 without one";
    refused(
        b"\xef\xbb\xbfversion: STSv1\nmode: none\nmax_age: 60\n",
        mark,
    );
    refused(b"\xef\xbb\xbf", mark);
    refused(
        b"version: STSv1\nmode: none\nx: caf\xe9\nmax_age: 60\n",
        "line 3 is not UTF-8",
    );
    refused(b"\xff\xfev\0e\0r\0", "line 1 is not UTF-8");
    // Elsewhere it is a character as any other.
    good(
        "version: STSv1|mode: none|x: \u{feff}|max_age: 60",
        "none 60",
    );
    bad(
        "version: STSv1|\u{feff}mode: none",
        "line 2 is not \"key: value\": \"\\u{feff}mode: none\"",
    );
}

#[test]
fn what_is_quoted_is_short_and_harmless() {
    let error = read(&format!("version: \u{202e}{}", "x".repeat(1000)))
        .unwrap_err()
        .to_string();
    let want = format!(
        "line 1: the version is \"\\u{{202e}}{}\"... instead of STSv1",
        "x".repeat(63)
    );
    assert_eq!(error, want);
    bad(
        "<!DOCTYPE html>|<html>",
        "line 1 is not \"key: value\": \"<!DOCTYPE html>\"",
    );
}
