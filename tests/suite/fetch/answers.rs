//! What the web server answers, and what of it is a policy.

use std::time::Duration;

use waxseal::mtasts::{FetchError, MAX_POLICY};

use super::{World, gone, text};
use crate::support::net::loopback;
use crate::support::sts_host::{Answer, End, Framing, Response, Site, StsHost, Tls};

/// A policy of this length.
fn long(length: usize) -> String {
    let text = text();
    let rest = length - text.len() - "x: \r\n".len();
    format!("{text}x: {}\r\n", "y".repeat(rest))
}

async fn answered(world: &World, answer: impl Into<Answer>) -> Result<String, FetchError> {
    world.host.answer(answer);
    let (_, text) = world.fetch().await?;
    Ok(text.as_ref().to_owned())
}

#[tokio::test]
async fn a_policy_may_come_in_any_frame() {
    let world = World::new().await;
    for (version, framing) in [
        ("HTTP/1.1", Framing::Length),
        ("HTTP/1.1", Framing::Chunked(7)),
        ("HTTP/1.1", Framing::Close),
        ("HTTP/1.0", Framing::Length),
        ("HTTP/1.0", Framing::Close),
    ] {
        let answer = Response {
            version,
            framing,
            ..Response::text(&text())
        };
        let told = answered(&world, answer).await.unwrap();
        assert_eq!(told, text(), "{version} {framing:?}");
    }
    let early =
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    let answer = Answer::Raw((early.to_owned() + &text()).into());
    assert_eq!(answered(&world, answer).await.unwrap(), text());
    gone(&world.host).await;
}

#[tokio::test]
async fn a_policy_of_64_kib_is_read_and_a_longer_one_refused_whatever_its_length_claims() {
    let world = World::new().await;
    let framed = |length, framing| Response {
        framing,
        ..Response::text(&long(length))
    };
    for framing in [Framing::Length, Framing::Chunked(4096), Framing::Close] {
        let told = answered(&world, framed(MAX_POLICY, framing)).await;
        assert_eq!(told.unwrap().len(), MAX_POLICY);
        let refused = answered(&world, framed(MAX_POLICY + 1, framing)).await;
        assert_eq!(refused, Err(FetchError::TooLong), "{framing:?}");
    }
    for claim in [MAX_POLICY + 2, 1 << 40] {
        let refused = answered(&world, framed(MAX_POLICY + 1, Framing::Claims(claim))).await;
        assert_eq!(refused, Err(FetchError::TooLong), "{claim}");
    }
    gone(&world.host).await;
}

#[tokio::test]
async fn what_never_ends_is_not_read_for_ever() {
    let world = World::new().await;
    let endless = |head: &str, again: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{head}");
        Answer::Endless(head.into(), again.repeat(100).into(), Duration::ZERO)
    };
    let body = "Content-Type: text/plain\r\n\r\n";
    assert_eq!(
        answered(&world, endless(body, "y: x\n")).await,
        Err(FetchError::TooLong)
    );
    for head in ["X: ", ""] {
        let again = if head.is_empty() { "X: y\r\n" } else { "y" };
        let error = answered(&world, endless(head, again)).await;
        assert_eq!(
            error,
            Err(FetchError::Protocol("message head is too large".to_owned()))
        );
    }
    gone(&world.host).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::new().await;
    let site = Site::policy(world.ca.server("target.test"), &text());
    let target = StsHost::start(&loopback(), world.host.port(), site).await;
    world.dns.replace(&format!(
        "mta-sts.a.test A {}\ntarget.test A {}",
        world.host.ip(),
        target.ip()
    ));
    let port = target.port();
    for status in [301, 302, 303, 307, 308] {
        for location in [
            format!("https://target.test:{port}/.well-known/mta-sts.txt"),
            "/other.txt".to_owned(),
        ] {
            let refused = answered(&world, Response::redirect(status, &location)).await;
            assert_eq!(refused, Err(FetchError::Redirect(status)), "{location}");
        }
    }
    assert_eq!(target.connections(), 0);
    assert_eq!(world.host.connections(), 10);
}

#[tokio::test]
async fn only_200_is_good_and_the_rest_is_not_even_read() {
    let world = World::new().await;
    for status in [201, 204, 206, 400, 401, 403, 404, 410, 429, 500, 503] {
        let good_but_for_the_status = Response {
            status,
            ..Response::text(&text())
        };
        let refused = answered(&world, good_but_for_the_status).await;
        assert_eq!(refused, Err(FetchError::Status(status)));
    }
    let head = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\n";
    let page = Answer::Endless(head.to_vec(), b"sorry ".to_vec(), Duration::ZERO);
    assert_eq!(answered(&world, page).await, Err(FetchError::Status(404)));
    gone(&world.host).await;
}

#[tokio::test]
async fn the_media_type_is_plain_text() {
    let world = World::new().await;
    let typed = |content_type: Option<&str>, fields: &[&str]| Response {
        content_type: content_type.map(str::to_owned),
        fields: fields.iter().map(ToString::to_string).collect(),
        ..Response::text(&text())
    };
    for good in ["text/plain", "Text/PLAIN; charset=utf-8"] {
        answered(&world, typed(Some(good), &[])).await.unwrap();
    }
    for (content_type, fields) in [
        (None, &[][..]),
        (Some("text/html"), &[]),
        (Some("application/octet-stream"), &[]),
        (Some("text/plain"), &["Content-Type: text/html"]),
        (Some("text/html"), &["Content-Type: text/plain"]),
    ] {
        let refused = answered(&world, typed(content_type, fields)).await;
        assert!(
            matches!(refused, Err(FetchError::MediaType(_))),
            "{content_type:?}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_long_page_instead_of_a_policy_is_told_by_its_type() {
    let world = World::new().await;
    let page = Response {
        content_type: Some("text/html".to_owned()),
        ..Response::text(&long(2 * MAX_POLICY))
    };
    let refused = answered(&world, page).await;
    assert!(matches!(refused, Err(FetchError::MediaType(_))));
}

#[tokio::test]
async fn a_policy_that_comes_packed_is_told_and_not_unpacked() {
    let world = World::new().await;
    let packed = Response {
        fields: vec!["Content-Encoding: gzip".to_owned()],
        body: b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(),
        ..Response::default()
    };
    let refused = answered(&world, packed).await;
    assert_eq!(refused, Err(FetchError::Encoded("\"gzip\"".to_owned())));
}

#[tokio::test]
async fn what_breaks_off_is_no_policy() {
    let world = World::new().await;
    let text = text();
    let broken = |framing, end| Response {
        framing,
        end,
        ..Response::text(&text)
    };
    let wire = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{text}");
    for (what, answer) in [
        // The body is shorter than it claims.
        (
            "length",
            broken(Framing::Claims(text.len() + 1), End::Properly).into(),
        ),
        (
            "cut length",
            broken(Framing::Claims(text.len() + 1), End::Cut).into(),
        ),
        // Nobody knows whether it was shortened on the way (RFC 8446 §6.1).
        ("cut", broken(Framing::Close, End::Cut).into()),
        (
            "chunk",
            Answer::Raw(
                wire.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n")
                    .into(),
            ),
        ),
        (
            "no chunk",
            Answer::Raw(
                wire.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .into(),
            ),
        ),
        ("head", Answer::Raw(wire[..30].into())),
        ("nothing", Answer::Raw(Vec::new())),
        (
            "garbage",
            Answer::Raw(b"\x00\xff not HTTP at all\r\n\r\n".to_vec()),
        ),
        ("bare text", Answer::Raw(text.as_str().into())),
        (
            "HTTP/2",
            Answer::Raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00".to_vec()),
        ),
    ] {
        let refused = answered(&world, answer).await;
        assert!(
            matches!(refused, Err(FetchError::Protocol(_))),
            "{what}: {refused:?}"
        );
    }
    gone(&world.host).await;
}

#[tokio::test]
async fn whoever_does_not_answer_in_time_has_no_policy() {
    let mut world = World::new().await;
    world.settings.timeout = Duration::from_millis(300);
    let site = |tls, answer| Site { tls, answer };
    let shows = Site::policy(world.ca.server(super::HOST), &text()).tls;
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    let now_and_then = Duration::from_millis(10);
    let drip = Answer::Endless(head.to_vec(), b"y".to_vec(), now_and_then);
    let wait = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    let ever = Answer::Endless(Vec::new(), wait, now_and_then);
    for (what, site) in [
        ("no handshake", site(Tls::Stalls, Answer::Stalls)),
        ("no answer", site(shows.clone(), Answer::Stalls)),
        ("a body in drops", site(shows.clone(), drip)),
        ("no last answer", site(shows, ever)),
    ] {
        world.host.show(site);
        assert_eq!(world.refusal().await, FetchError::TimedOut, "{what}");
    }
    gone(&world.host).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_is_told() {
    let world = World::new().await;
    let lost = FetchError::Unreachable("connection reset".to_owned());
    world.host.answer(Answer::Resets);
    assert_eq!(world.refusal().await, lost);
    world.host.show(Site {
        tls: Tls::Resets,
        answer: Answer::Resets,
    });
    assert_eq!(world.refusal().await, lost);
}
