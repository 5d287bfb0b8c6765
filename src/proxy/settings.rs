//! What the operator can set for sessions and for connections to MX hosts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio_rustls::rustls::ServerConfig;

use crate::net::redirect::Redirect;
use crate::policy::cap::Cap;
use crate::policy::downgrade::Guard;
use crate::policy::outcome::Ingress;
use crate::socks::Users;

/// One listener for MTAs.
#[derive(Debug, Clone)]
pub struct Listener {
    /// How MTAs speak to it.
    pub kind: Ingress,
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Networks that an MTA may connect from.
    pub allow: Vec<IpNet>,
    /// Sessions at the same time; further ones get 421.
    pub max_sessions: usize,
    /// TLS towards the MTA.
    pub tls: MtaTls,
    /// Who chooses the MX.
    pub chooser: Chooser,
}

/// Who chooses the MX, and how waxseal hears of it.
#[derive(Debug, Clone)]
pub enum Chooser {
    /// waxseal does.
    Waxseal,
    /// The MTA, and a firewall sends its connections here.
    Firewall {
        /// Tells where they were headed.
        redirect: Arc<dyn Redirect>,
        /// Destinations that are none of waxseal's business.
        bypass: Arc<[IpNet]>,
    },
    /// The MTA, by SOCKS.
    Socks {
        /// Who may connect from beyond loopback.
        users: Arc<Users>,
        /// Destinations that are none of waxseal's business.
        bypass: Arc<[IpNet]>,
    },
}

/// TLS towards the MTA.
#[derive(Debug, Clone)]
pub enum MtaTls {
    /// STARTTLS is not offered.
    Off,
    /// STARTTLS is offered.
    Offered(Arc<ServerConfig>),
    /// STARTTLS is offered, and MAIL refused before it.
    Required(Arc<ServerConfig>),
    /// STARTTLS is passed on to the MX that the MTA has chosen.
    PassedOn,
}

/// Settings of all sessions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name in the greeting and in EHLO to the MX.
    pub hostname: Arc<str>,
    /// Whether the reply to the end of data tells how the message left.
    pub seal: SealReply,
    /// What to do with a CR or LF that stands alone.
    pub bare_newline: BareNewline,
    /// Largest message in octets; `None` = no limit.
    pub max_size: Option<u64>,
    /// Limits of a session.
    pub limits: Limits,
    /// Waits.
    pub timeouts: Timeouts,
    /// Connections to MX hosts.
    pub mx: MxSettings,
    /// Those that wait for the next message.
    pub pool: PoolSettings,
    /// How much goes to an MX at one time; the first one that names it counts.
    pub caps: Vec<Cap>,
    /// What follows a failed handshake where plaintext is allowed.
    pub after_failed_handshake: AfterFailedHandshake,
    /// How long TLS sessions with MX hosts go on; zero = every handshake is a full one.
    pub resume_for: Duration,
    /// How downgrades are met.
    pub guard: Guard,
}

/// Whether the reply to the end of data carries the seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealReply {
    /// `250 2.0.0 Ok [mx.example TLSv1.3 pkix]`
    Stamped,
    /// As the MX wrote it.
    Verbatim,
}

/// What to do with a CR or LF that stands alone in DATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareNewline {
    /// Refuse the message.
    Reject,
    /// Make it CRLF. In BDAT, whose sizes are announced, it is refused all the same.
    Normalise,
}

/// What follows a failed handshake where plaintext is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailedHandshake {
    /// A fresh connection without TLS.
    Plaintext,
    /// The next address or host.
    NextHost,
}

/// Limits of a session.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Recipients of a transaction.
    pub max_recipients: usize,
    /// Octets of a command line, CRLF included.
    pub max_command_line: usize,
    /// Refused commands before the session is closed.
    pub max_errors: usize,
    /// Recipient domains of an LMTP transaction.
    pub max_legs: usize,
}

/// Waits, by default those of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// For the next command of the MTA.
    pub idle: Duration,
    /// For further data of the MTA.
    pub mta_data: Duration,
    /// For a TCP connection to one address.
    pub connect: Duration,
    /// For the MX's greeting.
    pub greeting: Duration,
    /// For the reply to EHLO, HELO and STARTTLS.
    pub ehlo: Duration,
    /// For the TLS handshake, on either side.
    pub tls_handshake: Duration,
    /// For the first reply on a connection that has waited, before a fresh one is made instead.
    pub reused: Duration,
    /// For the reply to MAIL.
    pub mail: Duration,
    /// For the reply to RCPT.
    pub rcpt: Duration,
    /// For the reply to DATA.
    pub data: Duration,
    /// For the MX to take one block of data.
    pub data_block: Duration,
    /// For the reply to the end of data.
    pub data_end: Duration,
    /// From the first recipient to a connection that is ready for it.
    pub ready: Duration,
    /// For transactions in flight when waxseal stops.
    pub drain: Duration,
}

/// Connections to MX hosts.
#[derive(Debug, Clone)]
pub struct MxSettings {
    /// The port, where no rule has a route.
    pub port: u16,
    /// Hosts tried for one message, at most.
    pub max_hosts: usize,
    /// Addresses tried for one message, at most.
    pub max_addresses: usize,
    /// How long an address that did not connect is not dialled again; zero = always dialled.
    pub dead_for: Duration,
    /// How many such addresses are remembered.
    pub dead_entries: u64,
    /// How a small message goes there.
    pub small_messages: SmallMessages,
}

/// How a small message that the MTA sends with DATA goes to an MX with CHUNKING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallMessages {
    /// With DATA, once the MX has said 354.
    WithData,
    /// Whole, in the one chunk of a BDAT.
    InOneChunk,
}

/// Connections to MX hosts that wait for the next message.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// How long one waits; zero = none is kept.
    pub idle: Duration,
    /// How long one is used, from its handshake on.
    pub max_age: Duration,
    /// Messages that one is used for.
    pub max_messages: usize,
    /// How many wait for one address and port.
    pub per_address: usize,
    /// How many wait in all.
    pub connections: usize,
}
