//! What is in a request: the name of a table, a blank, the key.

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The table: what stands behind the last colon in `socketmap:inet:127.0.0.1:8461:waxseal`.
    pub table: &'a str,
    /// What is looked up; may be empty, and hold blanks.
    pub key: &'a str,
}

/// Why the content of a netstring is not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARequest {
    /// Postfix asks in UTF-8.
    #[error("a request must be UTF-8")]
    NotUtf8,
    /// No blank, or nothing in front of it.
    #[error("a request must be the name of a table, a blank and a key")]
    NoKey,
}

impl<'a> Request<'a> {
    /// Parses the content of a netstring.
    pub fn parse(content: &'a [u8]) -> Result<Self, NotARequest> {
        let text = std::str::from_utf8(content).map_err(|_| NotARequest::NotUtf8)?;
        match text.split_once(' ') {
            Some((table, key)) if !table.is_empty() => Ok(Self { table, key }),
            _ => Err(NotARequest::NoKey),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_table_and_a_key() {
        let good = |content: &str, table: &str, key: &str| {
            assert_eq!(
                Request::parse(content.as_bytes()),
                Ok(Request { table, key })
            );
        };
        good("waxseal example.com", "waxseal", "example.com");
        good("waxseal ", "waxseal", "");
        good("waxseal  a b", "waxseal", " a b");
        good("waxseal bücher.example", "waxseal", "bücher.example");
        let bad = |content: &[u8], want: NotARequest| {
            assert_eq!(Request::parse(content), Err(want));
        };
        bad(b"", NotARequest::NoKey);
        bad(b"waxseal", NotARequest::NoKey);
        bad(b" example.com", NotARequest::NoKey);
        bad(b"waxseal \xff", NotARequest::NotUtf8);
    }
}
