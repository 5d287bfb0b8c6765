//! The server side of SMTP (RFC 5321) and LMTP (RFC 2033), sans-io.
//!
//! A session takes one parsed command and says what is to be done: answer at once, or ask the driver to
//! do what only the other side can know. It keeps the order of commands, the limits, and what is
//! advertised; it knows no socket, no clock and no MX. MAIL is answered here, before any MX is known, because
//! the MX, or the TLS that is owed to it, depends on the first recipient; an MX that refuses the sender is
//! heard at RCPT.
//!
//! Where the MTA has chosen the MX itself, greeting and EHLO are the MX's own: the driver asks it, and the
//! session takes out of its reply what stays between waxseal and the MX.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::name::Destination;
use crate::smtp::capabilities::{Capabilities, Extension};
use crate::smtp::command::{Charset, Chunk, Command, Mail, Recipient, SyntaxError};
use crate::smtp::reply::Reply;

/// SMTP or LMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// SMTP; a transaction has one recipient domain, because there is one reply to the data.
    Relay,
    /// LMTP; one reply for each recipient.
    Lmtp,
    /// SMTP with an MX that the MTA has chosen; else like [`Flavour::Relay`].
    Transparent,
}

/// How the MTA has introduced itself, for the MX to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// EHLO and its name.
    Ehlo(String),
    /// HELO and its name.
    Helo(String),
}

impl Hello {
    /// The MTA's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Ehlo(name) | Self::Helo(name) => name,
        }
    }
}

/// Whether the MTA may or must use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// STARTTLS is not offered.
    NotOffered,
    /// STARTTLS is offered.
    Offered,
    /// MAIL is refused before STARTTLS.
    Required,
    /// STARTTLS is the MX's, where it offers it: the TLS is none of waxseal's.
    PassedOn,
}

/// What a session advertises and allows.
#[derive(Debug, Clone)]
pub struct Settings {
    /// SMTP or LMTP.
    pub flavour: Flavour,
    /// The name in the greeting.
    pub hostname: Arc<str>,
    /// Largest message in octets; `None` = no limit.
    pub max_size: Option<u64>,
    /// TLS.
    pub starttls: StartTls,
    /// Recipients of a transaction.
    pub max_recipients: usize,
    /// Destinations of an LMTP transaction.
    pub max_legs: usize,
    /// Refused commands before the session is closed.
    pub max_errors: usize,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this reply.
    Reply(Reply),
    /// Offer this recipient to the MX, then call [`Session::recipient_answered`].
    Recipient(Recipient),
    /// Take the content up to CRLF.CRLF, then call [`Session::message_done`].
    Data,
    /// Take this many octets of content; after the last chunk, or when the message has failed, call
    /// [`Session::message_done`].
    Chunk(Chunk),
    /// Throw this many octets away, then send this reply (RFC 3030 §2: a chunk out of place).
    SwallowChunk(u64, Reply),
    /// Forget the transaction, then send this reply.
    Reset(Reply),
    /// Forget the transaction, greet the MX with this, and send what [`Session::mx_greeted`] makes of its reply.
    Hello(Hello),
    /// Pass STARTTLS on; if the MX agrees, splice the two connections.
    PassStartTls,
    /// Send this reply, then shake hands and call [`Session::tls_started`].
    StartTls(Reply),
    /// Send this reply and close.
    Quit(Reply),
    /// Send this reply and close: too many errors, or one after which nothing makes sense.
    Close(Reply),
}

/// What became of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// 2xx.
    Accepted,
    /// Anything else.
    Refused,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    greeted: Greeted,
    channel: Channel,
    transaction: Option<Transaction>,
    errors: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeted {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Plaintext,
    Tls,
}

#[derive(Debug)]
struct Transaction {
    mail: Mail,
    accepted: usize,
    pending: usize,
    destinations: SmallVec<[Destination; 1]>,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    NotBegun,
    Chunks,
}

impl Session {
    /// A session before its greeting.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            greeted: Greeted::No,
            channel: Channel::Plaintext,
            transaction: None,
            errors: 0,
        }
    }

    /// The first line.
    pub fn greeting(&self) -> Reply {
        let protocol = match self.settings.flavour {
            Flavour::Relay | Flavour::Transparent => "ESMTP",
            Flavour::Lmtp => "LMTP",
        };
        Reply::new(
            220,
            "",
            format!("{} {protocol} waxseal", self.settings.hostname),
        )
    }

    /// The MAIL of the transaction at hand.
    pub fn mail(&self) -> Option<&Mail> {
        self.transaction
            .as_ref()
            .map(|transaction| &transaction.mail)
    }

    /// Takes a command. Before any but RCPT, every [`Action::Recipient`] must have been answered.
    pub fn command(&mut self, parsed: Result<Command, SyntaxError>) -> Action {
        let action = match parsed {
            Ok(command) => self.act(command),
            Err(error @ SyntaxError::Chunk) => return Action::Close(error.reply()),
            Err(error) => Action::Reply(error.reply()),
        };
        match action {
            Action::Reply(reply) if reply.is_permanent() => self.count_error(reply),
            action => action,
        }
    }

    fn count_error(&mut self, reply: Reply) -> Action {
        self.errors += 1;
        if self.errors < self.settings.max_errors {
            return Action::Reply(reply);
        }
        Action::Close(Reply::new(421, "4.7.0", "too many errors"))
    }

    fn act(&mut self, command: Command) -> Action {
        let chunking = matches!(&self.transaction, Some(t) if t.content == Content::Chunks);
        match command {
            Command::Ehlo(_) | Command::Helo(_) | Command::Lhlo(_) => self.hello(command),
            Command::Mail(mail) => self.begin(mail),
            // RFC 3030 §2: once BDAT has begun, only BDAT goes on with the transaction.
            Command::Rcpt(_) | Command::Data if chunking => {
                out_of_order("BDAT has begun; BDAT or RSET")
            }
            Command::Rcpt(recipient) => self.recipient(recipient),
            Command::Data => match self.ready_for_content() {
                Ok(_) => Action::Data,
                Err(reply) => Action::Reply(reply),
            },
            Command::Bdat(chunk) => self.chunk(chunk),
            Command::Rset => {
                self.transaction = None;
                Action::Reset(Reply::fixed(250, "2.0.0 Ok"))
            }
            Command::StartTls => self.starttls(),
            Command::Noop => Action::Reply(Reply::fixed(250, "2.0.0 Ok")),
            Command::Vrfy => Action::Reply(Reply::new(
                252,
                "2.1.5",
                "cannot verify, but will try to deliver",
            )),
            Command::Help => Action::Reply(Reply::new(214, "2.0.0", "waxseal, see its README")),
            Command::Quit => Action::Quit(Reply::new(221, "2.0.0", "Bye")),
            Command::NotImplemented => {
                Action::Reply(Reply::new(502, "5.5.1", "command not implemented"))
            }
        }
    }

    /// EHLO, HELO, LHLO; each forgets the transaction (RFC 5321 §4.1.4).
    fn hello(&mut self, command: Command) -> Action {
        let name = &self.settings.hostname;
        let reply = match (self.settings.flavour, command) {
            (Flavour::Transparent, Command::Ehlo(name)) => {
                return Action::Hello(Hello::Ehlo(name));
            }
            (Flavour::Transparent, Command::Helo(name)) => {
                return Action::Hello(Hello::Helo(name));
            }
            (Flavour::Relay, Command::Helo(_)) => Reply::new(250, "", name),
            (Flavour::Relay, Command::Ehlo(_)) | (Flavour::Lmtp, Command::Lhlo(_)) => {
                Reply::multiline(250, &self.advertised())
            }
            (Flavour::Relay | Flavour::Transparent, _) => {
                return unknown("this is SMTP: say EHLO");
            }
            // RFC 2033 §4.1: HELO and EHLO do not exist in LMTP.
            (Flavour::Lmtp, _) => return unknown("this is LMTP: say LHLO"),
        };
        self.greeted = Greeted::Yes;
        self.transaction = None;
        Action::Reset(reply)
    }

    /// Takes the MX's reply to an [`Action::Hello`] and makes the MTA's out of it. A refusal passes as it is.
    pub fn mx_greeted(&mut self, hello: &Hello, reply: Reply) -> Reply {
        if !reply.is_positive() {
            return reply;
        }
        self.greeted = Greeted::Yes;
        self.transaction = None;
        let words = reply.lines().next().map(String::from_utf8_lossy);
        let mut lines = vec![words.unwrap_or_default().into_owned()];
        if let Hello::Ehlo(_) = hello {
            let offers = Capabilities::parse(&reply);
            lines.extend(offers.passed_on(self.settings.max_size));
            lines.extend(self.starttls_line(&offers));
            // RFC 9422 §4: there is one reply to the data, and each domain has a policy of its own.
            lines.push("LIMITS RCPTDOMAINMAX=1".to_owned());
        }
        Reply::multiline(250, &lines)
    }

    fn starttls_line(&self, offers: &Capabilities) -> Option<String> {
        let offered = match self.settings.starttls {
            StartTls::NotOffered => false,
            StartTls::Offered | StartTls::Required => self.channel == Channel::Plaintext,
            StartTls::PassedOn => offers.has(Extension::StartTls),
        };
        offered.then(|| "STARTTLS".to_owned())
    }

    fn advertised(&self) -> Vec<String> {
        let settings = &self.settings;
        let mut lines: Vec<String> = [
            &*settings.hostname,
            "PIPELINING",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "SMTPUTF8",
            "CHUNKING",
        ]
        .map(str::to_owned)
        .to_vec();
        // RFC 1870 §4: zero means no fixed limit.
        lines.push(format!("SIZE {}", settings.max_size.unwrap_or(0)));
        lines.extend(self.starttls_line(&Capabilities::none()));
        // RFC 9422 §4: an MTA may read the domain limit as one for the whole session. It then opens a
        // session for each domain, which serves it as well.
        let mut limits = format!("LIMITS RCPTMAX={}", settings.max_recipients);
        if settings.flavour == Flavour::Relay {
            limits.push_str(" RCPTDOMAINMAX=1");
        }
        lines.push(limits);
        lines
    }

    fn begin(&mut self, mail: Mail) -> Action {
        if self.greeted == Greeted::No {
            return out_of_order("say EHLO (or LHLO) first");
        }
        if self.settings.starttls == StartTls::Required && self.channel == Channel::Plaintext {
            return Action::Reply(Reply::new(
                530,
                "5.7.0",
                "must issue a STARTTLS command first",
            ));
        }
        if self.transaction.is_some() {
            return out_of_order("nested MAIL command");
        }
        if let (Some(size), Some(most)) = (mail.size, self.settings.max_size)
            && size > most
        {
            // RFC 1870 §6.1.
            return Action::Reply(Reply::new(
                552,
                "5.3.4",
                "the message is larger than max_size",
            ));
        }
        if mail.charset == Charset::Ascii && !mail.path.is_ascii() {
            return needs_utf8();
        }
        self.transaction = Some(Transaction {
            mail,
            accepted: 0,
            pending: 0,
            destinations: SmallVec::new(),
            content: Content::NotBegun,
        });
        Action::Reply(Reply::fixed(250, "2.1.0 Ok"))
    }

    fn recipient(&mut self, recipient: Recipient) -> Action {
        let settings = &self.settings;
        let Some(transaction) = &mut self.transaction else {
            return out_of_order("need MAIL command");
        };
        if transaction.mail.charset == Charset::Ascii && !recipient.path.is_ascii() {
            return needs_utf8();
        }
        if transaction.accepted + transaction.pending >= settings.max_recipients {
            return Action::Reply(Reply::new(
                452,
                "4.5.3",
                "too many recipients (max_recipients)",
            ));
        }
        let to = recipient.path.destination();
        if !transaction.destinations.contains(to) {
            match settings.flavour {
                Flavour::Relay | Flavour::Transparent if !transaction.destinations.is_empty() => {
                    let text = "one recipient domain per transaction; send this recipient again";
                    return Action::Reply(Reply::new(452, "4.5.3", text));
                }
                Flavour::Lmtp if transaction.destinations.len() >= settings.max_legs => {
                    let text = "too many recipient domains (max_legs); send this recipient again";
                    return Action::Reply(Reply::new(452, "4.5.3", text));
                }
                _ => transaction.destinations.push(to.clone()),
            }
        }
        transaction.pending += 1;
        Action::Recipient(recipient)
    }

    /// Tells what became of an [`Action::Recipient`].
    pub fn recipient_answered(&mut self, answered: Answered) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        transaction.pending = transaction.pending.saturating_sub(1);
        match answered {
            Answered::Accepted => transaction.accepted += 1,
            // Once all recipients of a domain are refused, another domain may have the transaction.
            Answered::Refused if transaction.accepted + transaction.pending == 0 => {
                transaction.destinations.clear();
            }
            Answered::Refused => {}
        }
    }

    fn ready_for_content(&mut self) -> Result<&mut Transaction, Reply> {
        let no_recipients = match self.settings.flavour {
            Flavour::Relay | Flavour::Transparent => 554,
            // RFC 2033 §4.2.
            Flavour::Lmtp => 503,
        };
        match &mut self.transaction {
            None => Err(Reply::new(503, "5.5.1", "need MAIL command")),
            Some(transaction) if transaction.accepted == 0 => {
                Err(Reply::new(no_recipients, "5.5.1", "no valid recipients"))
            }
            Some(transaction) => Ok(transaction),
        }
    }

    fn chunk(&mut self, chunk: Chunk) -> Action {
        match self.ready_for_content() {
            Ok(transaction) => {
                transaction.content = Content::Chunks;
                Action::Chunk(chunk)
            }
            Err(reply) => Action::SwallowChunk(chunk.size, reply),
        }
    }

    fn starttls(&mut self) -> Action {
        match (self.settings.starttls, self.channel) {
            (StartTls::NotOffered, _) => {
                Action::Reply(Reply::new(502, "5.5.1", "STARTTLS is not offered"))
            }
            (_, Channel::Tls) => out_of_order("TLS is in use already"),
            (StartTls::PassedOn, Channel::Plaintext) => Action::PassStartTls,
            (_, Channel::Plaintext) => {
                Action::StartTls(Reply::new(220, "2.0.0", "Ready to start TLS"))
            }
        }
    }

    /// The replies to the message are out: back to waiting for MAIL.
    pub fn message_done(&mut self) {
        self.transaction = None;
    }

    /// TLS is up: what was said before never happened (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.channel = Channel::Tls;
        self.greeted = Greeted::No;
        self.transaction = None;
    }
}

fn out_of_order(text: &str) -> Action {
    Action::Reply(Reply::new(503, "5.5.1", text))
}

fn unknown(text: &str) -> Action {
    Action::Reply(Reply::new(500, "5.5.1", text))
}

/// RFC 6531 §3.5.
fn needs_utf8() -> Action {
    Action::Reply(Reply::new(
        553,
        "5.6.7",
        "a non-ASCII address needs SMTPUTF8",
    ))
}

#[cfg(test)]
mod tests;
