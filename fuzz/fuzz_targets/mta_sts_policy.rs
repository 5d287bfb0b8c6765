//! The text of a policy of MTA-STS, as the web server sends it.
#![no_main]

use std::net::IpAddr;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use waxseal_fuzz::assert_harmless;
use waxseal_fuzz::mtasts::policy::{MAX_MX, PolicyError, parse};
use waxseal_fuzz::mtasts::{
    FetchError, HttpAnswer, MAX_MAX_AGE, MAX_POLICY, Mode, MxPattern, Policy, answer,
};
use waxseal_fuzz::name::Host;

fuzz_target!(|text: &[u8]| {
    let result = parse(text);
    match &result {
        Ok(policy) => {
            check_policy(policy);
            check_text(text, policy);
        }
        Err(error) => assert_harmless(&error.to_string()),
    }
    check_answer(text, result);
});

fn check_policy(policy: &Policy) {
    assert!(policy.max_age <= MAX_MAX_AGE);
    assert!(policy.mx.len() <= MAX_MX);
    assert!(policy.mode == Mode::None || !policy.mx.is_empty());
    // What is written is read.
    assert_eq!(policy.to_string().parse().as_ref(), Ok(policy));
    policy.mx.iter().for_each(check_pattern);
}

/// A pattern is for one host, or for one label; never for an address.
fn check_pattern(pattern: &MxPattern) {
    let covers = |name: &str| name.parse().is_ok_and(|host: Host| pattern.covers(&host));
    let fits = |name: &str| name.parse::<Host>().is_ok();
    assert_eq!(pattern.to_string().parse().as_ref(), Ok(pattern));
    match pattern {
        MxPattern::Exact(host) => {
            assert!(covers(host.as_str()) && !is_address(host.as_str()));
            assert!(!covers(&format!("mx.{host}")));
        }
        MxPattern::OneLabelBelow(parent) => {
            let below = format!("mx.{parent}");
            assert_eq!(covers(&below), fits(&below));
            assert!(!covers(parent.as_str()));
            assert!(!covers(&format!("a.mx.{parent}")));
            assert!(!is_address(&format!("192.{parent}")));
        }
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// What does not matter changes nothing: the ends of lines, blanks before them, unknown and repeated keys.
fn check_text(text: &[u8], policy: &Policy) {
    let again = |text: &str| assert_eq!(text.parse().as_ref(), Ok(policy), "{text:?}");
    let text = std::str::from_utf8(text).expect("a policy is UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    again(&lines.join("\n"));
    again(&lines.join(" \t\r\n"));
    again(&format!("x-unknown: *\n{text}"));
    again(&format!(
        "{text}\nversion: STSv2\nmode: worse\nmax_age: never"
    ));
}

/// The text means the same in an answer over HTTP, unless it is too long.
fn check_answer(text: &[u8], result: Result<Policy, PolicyError>) {
    let answer = HttpAnswer {
        status: 200,
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        content_encoding: None,
        body: text.to_vec(),
    };
    let read = answer::read(&answer);
    if text.len() > MAX_POLICY {
        assert_eq!(read, Err(FetchError::TooLong));
        return;
    }
    let policy = read.map(|(policy, kept): (_, Arc<str>)| {
        assert_eq!(kept.as_bytes(), text);
        policy
    });
    assert_eq!(policy, result.map_err(FetchError::Invalid));
}
