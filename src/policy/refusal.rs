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
}

impl Refusal {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 8] = [
        Self::NotAllowed,
        Self::Overloaded,
        Self::Draining,
        Self::Idle,
        Self::BareNewline,
        Self::TooBig,
        Self::LineTooLong,
        Self::StarttlsInjection,
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
        }
    }
}
