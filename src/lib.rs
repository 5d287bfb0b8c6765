//! waxseal, a gate for outbound mail.
//!
//! It stands between an MTA and the internet. For every destination it finds out what TLS is owed,
//! upgrades the connection, proves who is on the other side, and holds back what cannot be proven.
//!
//! # One delivery in eight steps
//! 1. [`proxy::accept`] lets the MTA in.
//! 2. [`proxy::session`] drives [`smtp::session`]; the first recipient of a domain asks for a verdict.
//! 3. [`discover`] gathers the [facts](policy::facts): MX hosts, their addresses and TLSA records,
//!    what they have shown before, the MTA-STS policy.
//! 4. [`policy::decide`] joins facts and rule into a [verdict](policy::verdict): deliver, defer or refuse.
//! 5. [`proxy::upstream`] dials, says EHLO and STARTTLS; [`policy::authorize`] judges what the handshake showed.
//!    Where the MTA has dialled an address itself, [`policy::identify`] tells which hosts that may be.
//! 6. MAIL and RCPT go out; the content streams through one buffer to all legs.
//! 7. One [`policy::outcome::Outcome`] is built.
//! 8. [`metrics`], [`journal`] and [`audit`] each project it; [`record`] is how programs read it.
//!
//! # Words
//! | word | meaning |
//! | --- | --- |
//! | MTA, MX | the local mail server that connects to waxseal; the remote one that waxseal connects to |
//! | domain, host | a recipient domain; the name of an MX: A-labels, lower case, no trailing dot |
//! | session, transaction, leg | one connection of an MTA; one MAIL to end of data; its part for one recipient domain |
//! | attempt | one dial of one address of one MX |
//! | rule | an operator's word, from a file in `policies/` |
//! | mode | `enforce` (block) or `observe` (deliver anyway; log and count what would have been blocked) |
//!
//! # Floors
//! A module imports only from floors below its own, and modules of L5 not each other
//! (`tests/architecture.rs`). L0 to L2 are pure: no socket, clock, log, metric or file.
//!
//! | floor | modules |
//! | --- | --- |
//! | L0 | [`name`], [`time`], [`x509`] |
//! | L1 | [`dns`], [`mtasts`], [`dane`], [`smtp`], [`socketmap`], [`socks`] |
//! | L2 | [`policy`], [`record`] |
//! | L3 | [`usage`], [`net`], [`store`] |
//! | L4 | [`discover`] |
//! | L5 | [`proxy`], [`mapserver`], [`admin`], [`metrics`], [`journal`], [`audit`] |
//! | L6 | [`config`], [`log`], [`cli`], [`check`], [`simulate`], [`doctor`], [`firewall`], [`app`] |

pub mod admin;
pub mod app;
pub mod audit;
pub mod check;
pub mod cli;
pub mod config;
pub mod dane;
pub mod discover;
pub mod dns;
pub mod doctor;
pub mod firewall;
pub mod journal;
pub mod log;
pub mod mapserver;
pub mod metrics;
pub mod mtasts;
pub mod name;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod record;
pub mod simulate;
pub mod smtp;
pub mod socketmap;
pub mod socks;
pub mod store;
pub mod time;
pub mod usage;
pub mod x509;
