//! Why an MTA, a command or a message is turned away, and the reply that says so.

use crate::smtp::reply::Reply;

/// Why waxseal turns away the MTA, a command of it, or a message, whatever the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The client's address is in no `allow` network.
    NotAllowed,
    /// `max_sessions` are open.
    Overloaded,
    /// waxseal is stopping.
    Draining,
    /// The client was silent for too long.
    Idle,
    /// A CR or LF stood alone in the content: the stuff that SMTP smuggling is made of.
    BareNewline,
    /// The content is longer than `max_size`.
    TooBig,
    /// A command line is longer than `max_command_line`.
    LineTooLong,
    /// Bytes came behind STARTTLS, before TLS (CVE-2011-0411).
    StarttlsInjection,
    /// What came is not SMTP, or came before the greeting.
    NotSmtp,
    /// The connection is waxseal's own, which a firewall has sent back.
    Loop,
    /// The MTA has connected to the listener itself, not to an MX.
    NotRedirected,
    /// The MTA wants to connect to another port than that of mail.
    WrongPort,
    /// The SOCKS client did not prove who it is.
    Unauthenticated,
    /// The SOCKS client asked for something that is not offered.
    BadRequest,
}

impl Refusal {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 14] = [
        Self::NotAllowed,
        Self::Overloaded,
        Self::Draining,
        Self::Idle,
        Self::BareNewline,
        Self::TooBig,
        Self::LineTooLong,
        Self::StarttlsInjection,
        Self::NotSmtp,
        Self::Loop,
        Self::NotRedirected,
        Self::WrongPort,
        Self::Unauthenticated,
        Self::BadRequest,
    ];

    /// The reply to the MTA.
    pub fn reply(self) -> Reply {
        let (code, enhanced, text) = match self {
            Self::NotAllowed => (
                554,
                "5.7.1",
                "your address is in no `allow` network of this listener",
            ),
            Self::Overloaded => (
                421,
                "4.3.2",
                "too many sessions (max_sessions), try again later",
            ),
            Self::Draining => (421, "4.3.2", "waxseal is stopping, try again later"),
            Self::Idle => (421, "4.4.2", "no command in time, closing"),
            Self::BareNewline => (
                550,
                "5.6.11",
                "the message has a CR or LF that stands alone",
            ),
            Self::TooBig => (552, "5.3.4", "the message is larger than max_size"),
            Self::LineTooLong => (500, "5.5.2", "the command line is too long"),
            Self::StarttlsInjection => (421, "4.7.0", "data behind STARTTLS, closing"),
            Self::NotSmtp => (
                500,
                "5.5.2",
                "this is SMTP: wait for the greeting, then say EHLO",
            ),
            Self::Loop => (
                421,
                "4.4.6",
                "this connection is waxseal's own, and a firewall has sent it back; exempt waxseal from that",
            ),
            Self::NotRedirected => (
                421,
                "4.4.6",
                "connect to a mail server: this port takes what a firewall sends here",
            ),
            Self::WrongPort => (421, "4.4.6", "not the port of mail ([mx] port)"),
            Self::Unauthenticated => (421, "4.7.0", "who are you?"),
            Self::BadRequest => (421, "4.5.0", "not a request that SOCKS has here"),
        };
        Reply::new(code, enhanced, text)
    }

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::Idle => "idle",
            Self::BareNewline => "bare-newline",
            Self::TooBig => "too-big",
            Self::LineTooLong => "line-too-long",
            Self::StarttlsInjection => "starttls-injection",
            Self::NotSmtp => "not-smtp",
            Self::Loop => "loop",
            Self::NotRedirected => "not-redirected",
            Self::WrongPort => "wrong-port",
            Self::Unauthenticated => "unauthenticated",
            Self::BadRequest => "bad-request",
        }
    }
}
