//! The socketmap protocol: how Postfix asks a table over a socket (its manual page `socketmap_table(5)`).
//!
//! A request is a netstring that holds the name of a table, a blank and a key; the reply is a netstring that
//! begins with one of five words. Requests follow each other on one connection, and a client may send many
//! before it reads. Postfix waits 100 seconds for a reply, takes 100000 octets at most, and asks once more
//! on a fresh connection where the old one was closed.
//!
//! This room promises the codec alone: [`Inbox`] finds the requests in what has arrived, without an
//! allocation for each, [`Request`] and [`Key`] say what is asked, [`Reply`] is written back. What is not a
//! netstring has no end that could be found, so after it nothing more can be read.

mod key;
mod netstring;
mod reply;
mod request;

pub use key::Key;
pub use netstring::{Inbox, Malformed};
pub use reply::Reply;
pub use request::{NotARequest, Request};

/// The longest request, without its netstring: a name of 253 characters may be four times as long in UTF-8, and
/// nobody asks for more. Postfix itself would send 10000 octets.
pub const MAX_REQUEST: usize = 2048;

/// The longest reply that Postfix takes, without its netstring.
pub const MAX_REPLY: usize = 100_000;
