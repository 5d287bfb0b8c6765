//! What a scripted MX does, as data. The default is a faultless MX without TLS.

use std::{collections::HashMap, fmt::Write, sync::Arc, time::Duration};

use rustls::server::ProducesTickets;

use crate::support::ca::Identity;

/// What the MX does at one point of the dialogue.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes and goes on. [`reply`] makes them.
    Send(Vec<u8>),
    /// Sends these bytes, closes, and lets the peer read them.
    SendAndClose(Vec<u8>),
    /// Sends these bytes one at a time, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Sends a line that never ends, until the peer has had enough.
    EndlessLine,
    /// Closes without a word. Bytes still on their way from the peer meet a reset, as when a process dies.
    Close,
    /// Resets the connection.
    Reset,
    /// Neither reads nor writes any more.
    Stall,
    /// Waits, then acts.
    After(Duration, Box<Act>),
}

/// A reply; a line break in `text` makes it a multi-line one.
pub(crate) fn reply(code: u16, text: &str) -> Act {
    Act::Send(reply_bytes(code, text))
}

/// A reply after which the MX closes, such as `421`.
pub(crate) fn last_reply(code: u16, text: &str) -> Act {
    Act::SendAndClose(reply_bytes(code, text))
}

fn reply_bytes(code: u16, text: &str) -> Vec<u8> {
    let lines: Vec<_> = text.lines().collect();
    let (last, first) = lines.split_last().unwrap_or((&"", &[]));
    let mut wire = String::new();
    for line in first {
        write!(wire, "{code}-{line}\r\n").unwrap();
    }
    write!(wire, "{code} {last}\r\n").unwrap();
    wire.into_bytes()
}

impl Act {
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }

    /// What happens after all waiting.
    pub(super) fn last(&self) -> &Self {
        match self {
            Self::After(_, act) => act.last(),
            act => act,
        }
    }

    /// The reply code that the peer gets to see, if any.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Send(bytes) | Self::SendAndClose(bytes) | Self::Drip(bytes, _) => {
                std::str::from_utf8(bytes.get(..3)?).ok()?.parse().ok()
            }
            Self::After(_, act) => act.code(),
            Self::EndlessLine | Self::Close | Self::Reset | Self::Stall => None,
        }
    }
}

/// What an [`Answer`] may depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// What follows the verb: `TO:<bob@example.com> NOTIFY=NEVER`.
    pub(crate) argument: &'a str,
    /// How often any connection gave this MX this command before: 0 for the first time.
    pub(crate) nth: usize,
    /// The number of the connection, from 0.
    pub(crate) connection: usize,
    pub(crate) tls: bool,
}

impl Ask<'_> {
    /// The address between the angle brackets.
    pub(crate) fn address(&self) -> &str {
        address(self.argument)
    }
}

pub(super) fn address(argument: &str) -> &str {
    let inner = argument
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or("", |(address, _)| address)
}

/// How the MX answers a command: made of an [`Act`] for always the same, or one of these.
#[derive(Clone)]
pub(crate) struct Answer(Arc<dyn Fn(Ask<'_>) -> Act + Send + Sync>);

impl From<Act> for Answer {
    fn from(act: Act) -> Self {
        Self::by(move |_| act.clone())
    }
}

impl Answer {
    pub(crate) fn by(choose: impl Fn(Ask<'_>) -> Act + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }

    /// By the address in MAIL or RCPT; `250` for others.
    pub(crate) fn by_address<const N: usize>(acts: [(&str, Act); N]) -> Self {
        let acts: HashMap<_, _> = acts.map(|(address, act)| (address.to_owned(), act)).into();
        Self::by(move |ask| {
            acts.get(ask.address())
                .cloned()
                .unwrap_or_else(|| reply(250, "2.0.0 OK"))
        })
    }

    /// One after the other, over all connections; the last one stays.
    pub(crate) fn in_turn(acts: impl Into<Vec<Act>>) -> Self {
        let acts = acts.into();
        Self::by(move |ask| acts[ask.nth.min(acts.len() - 1)].clone())
    }

    pub(super) fn act(&self, ask: Ask<'_>) -> Act {
        (self.0)(ask)
    }
}

/// STARTTLS.
#[derive(Clone, Default)]
pub(crate) enum StartTls {
    /// Not offered, and refused with 502.
    #[default]
    Absent,
    Offered(Tls),
    /// It works, but someone took it out of the capability list.
    Stripped(Tls),
    /// Offered, but the command is answered so, and no handshake follows: 454, a stall, a close..
    Answers(Act),
    /// Says 220, reads the `ClientHello`, then does this instead of a `ServerHello`, and closes.
    Breaks(Act),
}

impl StartTls {
    /// Offered, with this certificate and nothing else special.
    pub(crate) fn with(identity: Identity) -> Self {
        Self::Offered(Tls::with(identity))
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Offered(tls) | Self::Stripped(tls) => Some(tls),
            Self::Absent | Self::Answers(_) | Self::Breaks(_) => None,
        }
    }

    pub(super) fn is_listed(&self) -> bool {
        !matches!(self, Self::Absent | Self::Stripped(_))
    }
}

/// How the MX does TLS: no ALPN, no client certificates.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) identity: Identity,
    /// What it shows instead to who asks for one of these names.
    pub(crate) by_name: Vec<(&'static str, Identity)>,
    pub(crate) versions: Versions,
    /// Plaintext that comes in one write with the 220, as an attacker would inject it.
    pub(crate) injected: Vec<u8>,
    /// Makes tickets that another script with the same one takes; without it sessions end with the script.
    pub(crate) ticketer: Option<Arc<dyn ProducesTickets>>,
}

impl Tls {
    pub(crate) fn with(identity: Identity) -> Self {
        Self {
            identity,
            by_name: Vec::new(),
            versions: Versions::All,
            injected: Vec::new(),
            ticketer: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Versions {
    #[default]
    All,
    Only12,
    Only13,
}

/// What ends the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EndOfData {
    /// RFC 5321 §4.1.1.4: `CRLF . CRLF` and nothing else.
    #[default]
    Strict,
    /// The victim of SMTP smuggling: a lone dot between any two of CRLF, LF and CR.
    Lenient,
}

/// What is kept of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    #[default]
    All,
    /// For messages that would not fit into memory.
    HashAndLength,
}

/// Something that happens in the middle of a message.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    /// After so many octets of the body, as they come on the wire.
    pub(crate) after: u64,
    /// After `Act::Send` the MX reads on.
    pub(crate) act: Act,
}

/// The behaviour of an MX. `Script::default()` accepts everything; a scenario changes what it is about.
#[derive(Clone)]
pub(crate) struct Script {
    /// The name in the greeting and the capability list.
    pub(crate) name: String,
    /// Instead of `220 <name> ESMTP`.
    pub(crate) greeting: Option<Answer>,
    /// Instead of the capability list.
    pub(crate) ehlo: Option<Answer>,
    /// Instead of `250 <name>`.
    pub(crate) helo: Option<Answer>,
    /// Without STARTTLS: that line follows from `starttls`.
    pub(crate) capabilities: Vec<String>,
    /// The list under TLS. Default: the same.
    pub(crate) capabilities_tls: Option<Vec<String>>,
    pub(crate) starttls: StartTls,
    pub(crate) mail: Answer,
    /// The recipients answered with 2xx are those of the message.
    pub(crate) rcpt: Answer,
    pub(crate) data: Answer,
    /// Also the answer to the last BDAT.
    pub(crate) end_of_data: Answer,
    /// To a BDAT that is not the last.
    pub(crate) bdat: Answer,
    pub(crate) rset: Answer,
    pub(crate) noop: Answer,
    pub(crate) quit: Answer,
    pub(crate) ends: EndOfData,
    pub(crate) keep: Keep,
    /// Something that happens in the middle of each message.
    pub(crate) interrupt: Option<Interrupt>,
}

impl Default for Script {
    fn default() -> Self {
        let ok = || Answer::from(reply(250, "2.0.0 OK"));
        Self {
            name: "mx.test".to_owned(),
            greeting: None,
            ehlo: None,
            helo: None,
            capabilities: capabilities(&[
                "PIPELINING",
                "SIZE 0",
                "8BITMIME",
                "ENHANCEDSTATUSCODES",
                "DSN",
                "SMTPUTF8",
                "CHUNKING",
            ]),
            capabilities_tls: None,
            starttls: StartTls::Absent,
            mail: reply(250, "2.1.0 OK").into(),
            rcpt: reply(250, "2.1.5 OK").into(),
            data: reply(354, "Go ahead").into(),
            end_of_data: reply(250, "2.0.0 OK: queued").into(),
            bdat: ok(),
            rset: ok(),
            noop: ok(),
            quit: last_reply(221, "2.0.0 Bye").into(),
            ends: EndOfData::Strict,
            keep: Keep::All,
            interrupt: None,
        }
    }
}

impl Script {
    /// The default with STARTTLS.
    pub(crate) fn with_tls(identity: Identity) -> Self {
        Self {
            starttls: StartTls::with(identity),
            ..Self::default()
        }
    }
}

/// A capability list.
pub(crate) fn capabilities(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}
