//! From an accepted connection to a counted outcome: sessions, legs and upstream connections.
//!
//! [`accept`] lets MTAs in. [`session`] drives the SMTP or LMTP dialogue with one MTA and gathers the
//! recipients of a transaction into one `leg` per recipient domain. A leg asks the [`gate`] what has
//! to be proven, lets `opener` find an MX that proves it, and owns the [`upstream`] connection from
//! MAIL FROM to the reply to the end of data.
//!
//! Some MTAs choose the MX themselves: a firewall or SOCKS tells which (`arrival`). Their sessions talk to that
//! MX alone (`chosen`); everything else is the same.
//!
//! What this room promises: a recipient gets its 250 only after its MX has said 250; nothing is sent to
//! an MX without an `Authorized`; the content passes through one buffer of fixed size, octet for octet,
//! to all legs at the same time (a small message may wait until it is whole: `held`); every leg ends in exactly one
//! `Outcome`.
//!
//! A connection that has carried a message waits in the `pool` for the next one, and its TLS session goes on with later
//! connections (`earlier`); what it has to prove is asked anew. Where the operator has set limits for an MX (`caps`),
//! mail waits for room (`admission`).
//!
//! The server side of the dialogue is sans-io (`smtp::session`). The client side is plain sequential
//! async code over types that stand for its states (dialled, greeted, ready, in a transaction): each
//! step awaits one reply, and reads better in the order in which it happens.

pub mod accept;
mod admission;
mod arrival;
mod caps;
mod chosen;
mod content;
mod dead;
mod dialogue;
mod earlier;
pub mod gate;
mod held;
mod leg;
mod notes;
mod opener;
mod pool;
mod recent;
pub mod session;
pub mod settings;
mod trail;
mod transaction;
pub mod upstream;

pub use caps::Caps;
pub use dead::DeadAddresses;
pub use pool::Pool;
pub use recent::{Answers, Decisions, Moment, Recent};
