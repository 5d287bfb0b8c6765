//! What a scripted web server shows, as data. The default is a faultless answer.

use std::{fmt::Write, time::Duration};

use crate::support::{ca::Identity, mx::Versions};

/// The text of a policy that names these `mx` patterns.
pub(crate) fn policy(mode: &str, max_age: u32, mx: &[&str]) -> String {
    let mut text = format!("version: STSv1\r\nmode: {mode}\r\n");
    for pattern in mx {
        write!(text, "mx: {pattern}\r\n").unwrap();
    }
    text + &format!("max_age: {max_age}\r\n")
}

/// What a web server does with a connection.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) tls: Tls,
    pub(crate) answer: Answer,
}

impl Site {
    /// This certificate and this policy.
    pub(crate) fn policy(identity: Identity, text: &str) -> Self {
        Self {
            tls: Tls::Shows(identity, Versions::All),
            answer: Response::text(text).into(),
        }
    }
}

/// What comes of the handshake.
#[derive(Clone, Debug)]
pub(crate) enum Tls {
    Shows(Identity, Versions),
    /// Sends these bytes instead of a handshake, and closes.
    Breaks(Vec<u8>),
    /// Resets the connection when the handshake begins.
    Resets,
    /// Says nothing.
    Stalls,
}

/// What follows a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Response(Response),
    /// These bytes, then the end.
    Raw(Vec<u8>),
    /// The first bytes, then the second ones again and again, with a pause before each.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Resets the connection.
    Resets,
    /// Nothing.
    Stalls,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// How the client can tell where the body ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// By Content-Length.
    Length,
    /// By a Content-Length that lies.
    Claims(usize),
    /// By chunks of so many bytes.
    Chunked(usize),
    /// By the end of the connection.
    Close,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// With `close_notify`, as it should.
    Properly,
    /// Cut off below TLS.
    Cut,
    /// When the client ends it: the server would take another request.
    Never,
}

/// An HTTP response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) version: &'static str,
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    /// More fields, each a whole line without its end.
    pub(crate) fields: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
    pub(crate) end: End,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            version: "HTTP/1.1",
            status: 200,
            content_type: Some("text/plain".to_owned()),
            fields: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            end: End::Properly,
        }
    }
}

impl Response {
    /// 200 and this text.
    pub(crate) fn text(text: &str) -> Self {
        Self {
            body: text.into(),
            ..Self::default()
        }
    }

    /// Another status, with a short body.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::text("no policy here\r\n")
        }
    }

    /// A redirect to this URL.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self {
            fields: vec![format!("Location: {location}")],
            ..Self::status(status)
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} Whatever\r\n", self.version, self.status);
        let content_type = self.content_type.iter();
        let content_type = content_type.map(|value| format!("Content-Type: {value}"));
        let framing = match self.framing {
            Framing::Length => Some(format!("Content-Length: {}", self.body.len())),
            Framing::Claims(length) => Some(format!("Content-Length: {length}")),
            Framing::Chunked(_) => Some("Transfer-Encoding: chunked".to_owned()),
            Framing::Close => None,
        };
        for line in content_type.chain(self.fields.clone()).chain(framing) {
            write!(head, "{line}\r\n").unwrap();
        }
        let body = match self.framing {
            Framing::Chunked(size) => chunked(&self.body, size),
            _ => self.body.clone(),
        };
        [head.as_bytes(), b"\r\n", &body].concat()
    }
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in body.chunks(size) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}
