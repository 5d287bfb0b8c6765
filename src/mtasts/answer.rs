//! From the answer of the web server to a policy (RFC 8461 §3.2, §3.3).
//!
//! The connection is someone else's work; what came over it is judged here, by status, media type and
//! length, before anyone reads it as a policy. A page that says "not found" with status 200, the form
//! of a hotel's network, or the first half of a policy must not pass for one.

use std::sync::Arc;

use super::{FetchError, MAX_POLICY, Policy, excerpt, policy};

/// What the web server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The field `Content-Type`, if there is one.
    pub content_type: Option<String>,
    /// The field `Content-Encoding`, if there is one.
    pub content_encoding: Option<String>,
    /// The content, as far as one octet more than [`MAX_POLICY`] at least.
    pub body: Vec<u8>,
}

/// The policy in an answer, and its text.
///
/// # Errors
/// Where there is none, and why.
pub fn read(answer: &HttpAnswer) -> Result<(Policy, Arc<str>), FetchError> {
    check_status(answer.status)?;
    check_media_type(answer.content_type.as_deref())?;
    check_encoding(answer.content_encoding.as_deref())?;
    // RFC 8461 §3.3: a limit is ours to impose; the head of a longer text is not the policy.
    if answer.body.len() > MAX_POLICY {
        return Err(FetchError::TooLong);
    }
    let policy = policy::parse(&answer.body).map_err(FetchError::Invalid)?;
    // What parsed is UTF-8, of which nothing is lost.
    let text = String::from_utf8_lossy(&answer.body);
    Ok((policy, Arc::from(&*text)))
}

fn check_status(status: u16) -> Result<(), FetchError> {
    match status {
        // RFC 8461 §3.3: only 200 is good.
        200 => Ok(()),
        // RFC 8461 §3.3: redirects are not followed.
        300..=399 => Err(FetchError::Redirect(status)),
        _ => Err(FetchError::Status(status)),
    }
}

/// RFC 8461 §3.2: `text/plain`, so that nobody who may put a picture or a page on that server makes a
/// policy. Parameters are ignored.
fn check_media_type(content_type: Option<&str>) -> Result<(), FetchError> {
    let Some(field) = content_type else {
        return Err(FetchError::MediaType("missing".to_owned()));
    };
    let media_type = field.split(';').next().unwrap_or(field);
    let media_type = media_type.trim_matches([' ', '\t']);
    if media_type.eq_ignore_ascii_case("text/plain") {
        return Ok(());
    }
    Err(FetchError::MediaType(excerpt(media_type)))
}

/// RFC 9110 §8.4: what is packed says so. It was asked for unpacked, and stays packed: a few octets must not
/// unfold into many.
fn check_encoding(content_encoding: Option<&str>) -> Result<(), FetchError> {
    match content_encoding.map(|field| field.trim_matches([' ', '\t'])) {
        None | Some("") => Ok(()),
        Some(coding) if coding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(coding) => Err(FetchError::Encoded(excerpt(coding))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mtasts::PolicyError;

    const TEXT: &str = "version: STSv1\r\nmode: enforce\r\nmx: mx.a.example\r\nmax_age: 86400\r\n";

    fn answer(status: u16, content_type: Option<&str>, body: impl Into<Vec<u8>>) -> HttpAnswer {
        HttpAnswer {
            status,
            content_type: content_type.map(str::to_owned),
            content_encoding: None,
            body: body.into(),
        }
    }

    fn plain(body: impl Into<Vec<u8>>) -> HttpAnswer {
        answer(200, Some("text/plain"), body)
    }

    #[test]
    fn a_good_answer_is_the_policy_and_its_text() {
        let (policy, text) = read(&plain(TEXT)).unwrap();
        assert_eq!(Ok(policy), TEXT.parse());
        assert_eq!(&*text, TEXT);
    }

    #[test]
    fn only_status_200_is_good() {
        // Stalwart does not look.
        for status in [
            201, 203, 204, 206, 226, 400, 401, 403, 404, 410, 418, 500, 503, 999, 100, 0,
        ] {
            let error = read(&answer(status, Some("text/plain"), TEXT)).unwrap_err();
            assert_eq!(error, FetchError::Status(status));
        }
    }

    #[test]
    fn a_redirect_is_not_followed() {
        for status in [300, 301, 302, 303, 304, 307, 308, 399] {
            let error = read(&answer(status, Some("text/plain"), TEXT)).unwrap_err();
            assert_eq!(error, FetchError::Redirect(status));
        }
    }

    #[test]
    fn the_media_type_is_plain_text_in_any_case_with_any_parameters() {
        for good in [
            "text/plain",
            "Text/Plain",
            "TEXT/PLAIN; charset=utf-8",
            "text/plain;charset=US-ASCII",
            "text/plain ; charset=utf-16; x=\"a;b\"",
            "text/plain;",
            " text/plain\t",
        ] {
            assert!(read(&answer(200, Some(good), TEXT)).is_ok(), "{good}");
        }
    }

    #[test]
    fn another_media_type_or_none_is_refused() {
        // Stalwart does not look.
        let bad = |field: Option<&str>, why: &str| {
            let error = read(&answer(200, field, TEXT)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the media type is {why} instead of text/plain")
            );
        };
        bad(None, "missing");
        bad(Some(""), "\"\"");
        bad(Some("text/html; charset=utf-8"), "\"text/html\"");
        bad(Some("text/plainer"), "\"text/plainer\"");
        bad(Some("text"), "\"text\"");
        bad(Some("text/markdown"), "\"text/markdown\"");
        bad(
            Some("application/octet-stream"),
            "\"application/octet-stream\"",
        );
        bad(Some("text/plain, text/html"), "\"text/plain, text/html\"");
        bad(Some("text/html\x1b[31m"), "\"text/html\\u{1b}[31m\"");
    }

    #[test]
    fn what_is_packed_is_refused() {
        let encoded = |coding: &str| HttpAnswer {
            content_encoding: Some(coding.to_owned()),
            ..plain(TEXT)
        };
        for good in ["identity", " Identity ", ""] {
            assert!(read(&encoded(good)).is_ok(), "{good}");
        }
        let error = read(&encoded("gzip")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the content is encoded as \"gzip\", although it was asked for without"
        );
        assert_eq!(error.result_type(), "sts-policy-fetch-error");
    }

    #[test]
    fn a_longer_text_is_refused_and_not_cut() {
        // chasquid reads the head of it; KumoMTA and maddy have no limit.
        let padded = |length: usize| {
            let mut text = TEXT.to_owned();
            text += "x: ";
            text += &"y".repeat(length - text.len());
            text
        };
        assert!(read(&plain(padded(MAX_POLICY))).is_ok());
        assert_eq!(
            read(&plain(padded(MAX_POLICY + 1))),
            Err(FetchError::TooLong)
        );
    }

    #[test]
    fn a_text_that_is_no_policy_is_invalid() {
        let error = read(&plain("<html>not found</html>")).unwrap_err();
        assert_eq!(error.result_type(), "sts-policy-invalid");
        assert_eq!(
            error.to_string(),
            "the policy is not valid: line 1 is not \"key: value\": \"<html>not found</html>\""
        );
        assert_eq!(
            read(&plain("")),
            Err(FetchError::Invalid(PolicyError::Missing("version")))
        );
    }
}
