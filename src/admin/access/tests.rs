use axum::http::HeaderName;

use super::Purpose::{Act, Open, Read};
use super::*;

const TOKEN: &str = "0123456789abcdef";
const HERE: &str = "127.0.0.1:9825";
const EVERYWHERE: &str = "[::]:9825";

fn judge(
    listen: &str,
    token: Option<&str>,
    peer: &str,
    purpose: Purpose,
    lines: &str,
) -> Result<(), Refusal> {
    let token = token.map(|token| Token::new(token).unwrap());
    let hosts = vec!["wax.example".to_owned()];
    let access = Access::new(listen.parse().unwrap(), token, hosts);
    let mut headers = HeaderMap::new();
    for line in lines.split('\n').filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let asked = Asked {
        peer: peer.parse().unwrap(),
        uri: &Uri::from_static("/"),
        headers: &headers,
    };
    access.judge(asked, purpose)
}

const LOCAL: &str = "127.0.0.1";
const MAPPED: &str = "::ffff:127.0.0.1";
const REMOTE: &str = "192.0.2.7";
const RIGHT: &str = "Authorization: Bearer 0123456789abcdef";
const LOWER: &str = "Authorization: bearer 0123456789abcdef";
const WRONG: &str = "Authorization: Bearer 0123456789abcdeF";
const BASIC: &str = "Authorization: Basic 0123456789abcdef";
const OWN: &str = "Origin: http://localhost:9825";
const SECURE: &str = "Origin: https://localhost:9825";
const NULL: &str = "Origin: null";
const OTHER: &str = "Origin: http://localhost:8080";
const LINK: &str = "Sec-Fetch-Site: cross-site";
const TYPED: &str = "Sec-Fetch-Site: none";

type Case = (&'static str, Purpose, &'static str, Result<(), Refusal>);

/// On loopback, without a token.
const WITHOUT: &[Case] = &[
    (LOCAL, Open, "", Ok(())),
    (LOCAL, Read, "", Ok(())),
    (LOCAL, Act, "", Ok(())),
    (MAPPED, Act, "", Ok(())),
    (REMOTE, Read, "", Ok(())),
    (REMOTE, Act, "", Err(Refusal::NotFromHere)),
    (REMOTE, Act, RIGHT, Err(Refusal::NotFromHere)),
    (LOCAL, Read, OWN, Ok(())),
    (LOCAL, Act, OWN, Err(Refusal::PageWithoutToken)),
    (LOCAL, Act, OTHER, Err(Refusal::ForeignPage)),
    (LOCAL, Read, OTHER, Err(Refusal::ForeignPage)),
    (LOCAL, Read, NULL, Err(Refusal::ForeignPage)),
    (LOCAL, Read, LINK, Err(Refusal::ForeignPage)),
    (LOCAL, Open, LINK, Ok(())),
    (LOCAL, Read, TYPED, Ok(())),
];

/// On loopback, with a token.
const WITH: &[Case] = &[
    (LOCAL, Open, "", Ok(())),
    (LOCAL, Read, "", Ok(())),
    (LOCAL, Act, "", Err(Refusal::NoToken)),
    (LOCAL, Act, RIGHT, Ok(())),
    (LOCAL, Act, LOWER, Ok(())),
    (LOCAL, Act, BASIC, Err(Refusal::NoToken)),
    (LOCAL, Act, WRONG, Err(Refusal::WrongToken)),
    (LOCAL, Read, WRONG, Err(Refusal::WrongToken)),
    (LOCAL, Act, OWN, Err(Refusal::NoToken)),
];

/// Beyond loopback whoever reads needs the token, too, wherever from.
const BEYOND: &[Case] = &[
    (REMOTE, Open, "", Ok(())),
    (REMOTE, Read, "", Err(Refusal::NoToken)),
    (LOCAL, Read, "", Err(Refusal::NoToken)),
    (REMOTE, Read, RIGHT, Ok(())),
    (REMOTE, Act, "", Err(Refusal::NoToken)),
    (REMOTE, Act, RIGHT, Ok(())),
    (REMOTE, Open, WRONG, Err(Refusal::WrongToken)),
];

#[test]
fn who_may_do_what() {
    for (listen, token, cases) in [
        (HERE, None, WITHOUT),
        (HERE, Some(TOKEN), WITH),
        (EVERYWHERE, Some(TOKEN), BEYOND),
    ] {
        for (peer, purpose, line, expected) in cases {
            let lines = format!("Host: localhost:9825\n{line}");
            let found = judge(listen, token, peer, *purpose, &lines);
            assert_eq!(
                found, *expected,
                "{listen} {token:?} {peer} {purpose:?} {line}"
            );
        }
    }
    // The configuration refuses it; if it came to be all the same, nobody would get in.
    let found = judge(EVERYWHERE, None, REMOTE, Read, "Host: localhost:9825");
    assert_eq!(found, Err(Refusal::NoToken));
}

#[test]
fn the_page_acts_with_the_token_and_no_other_page_does() {
    for (origin, expected) in [
        (OWN, Ok(())),
        (SECURE, Ok(())), // behind a proxy that does the TLS
        (OTHER, Err(Refusal::ForeignPage)),
        (NULL, Err(Refusal::ForeignPage)),
        (LINK, Err(Refusal::ForeignPage)),
    ] {
        let lines = format!("Host: localhost:9825\n{RIGHT}\n{origin}");
        let found = judge(HERE, Some(TOKEN), LOCAL, Act, &lines);
        assert_eq!(found, expected, "{origin}");
    }
}

#[test]
fn names_that_others_can_point_here_are_refused() {
    for known in [
        "localhost",
        "LocalHost:9825",
        "127.0.0.1:9825",
        "192.0.2.1",
        "[::1]:9825",
        "[2001:db8::1]",
        "wax.example",
        "WAX.example:80",
    ] {
        let lines = format!("Host: {known}");
        assert_eq!(judge(HERE, None, "::1", Read, &lines), Ok(()), "{known}");
    }
    for unknown in [
        "",
        "Host: rebound.example",
        "Host: localhost.rebound.example",
        "Host: 127.0.0.1.rebound.example",
        "Host: sub.wax.example",
        "Host: user@rebound.example",
        "Host: a b",
        "Host: localhost\nHost: rebound.example",
    ] {
        let found = judge(HERE, None, "::1", Read, unknown);
        assert_eq!(found, Err(Refusal::UnknownHost), "{unknown}");
        // A link may lead to the page, but not by another name.
        let found = judge(HERE, None, "::1", Open, unknown);
        assert_eq!(found, Err(Refusal::UnknownHost), "{unknown}");
    }
}

#[test]
fn a_token_is_one_line_that_nobody_guesses() {
    assert_eq!(
        Token::new(" 0123456789abcdef\n").unwrap().bearer(),
        "Bearer 0123456789abcdef"
    );
    for wrong in [
        "",
        "short",
        "0123456789 abcdef",
        "0123456789\nabcdef",
        "0123456789abcd\u{e9}f",
    ] {
        assert!(Token::new(wrong).is_err(), "{wrong:?}");
    }
    let told = format!("{:?}", Token::new("0123456789abcdef").unwrap());
    assert_eq!(told, "Token");
}
