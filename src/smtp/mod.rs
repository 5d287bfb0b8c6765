//! SMTP and LMTP as texts: commands, replies, envelopes, the end of data. No socket, no clock.
//!
//! Towards the MTA waxseal is a server: [`session`] says what each [`command`] leads to. Towards the MX it
//! is a client: [`reply`] and [`capabilities`] read what the MX says, [`bridge`] says the MTA's envelope in the
//! words that the MX knows. Between the two, [`data`] finds the end of a message and lets nothing through
//! that an MX could take for another one.
//!
//! Local parts of addresses pass through here and show up in no `Debug`; what may be logged of a reply is
//! its [`reply::Reply::status`].

pub mod address;
pub mod bridge;
pub mod capabilities;
pub mod command;
pub mod data;
pub mod reply;
pub mod session;
