//! What a connection must prove before mail may leave on it.
//!
//! One chain, each link a type: [`facts::Facts`] are what DNS (and later MTA-STS and DANE) said about
//! a destination; [`decide::decide`] joins them with the operator's [`rules`] into a
//! [`verdict::Verdict`]: deliver, defer or refuse. A verdict to deliver names the hosts in the order
//! they are tried, each with a [`requirement::Requirement`]; [`authorize::authorize`] holds that
//! requirement against what the handshake showed and is the only maker of an
//! [`authorize::Authorized`], without which no MAIL FROM can be sent. What came of it is one
//! [`outcome::Outcome`]. Where the MTA has chosen the address itself, [`identify::identify`] tells which of the
//! hosts it may be.
//!
//! The best that a host has shown before is part of the facts, and of the requirement: [`downgrade`].
//!
//! The requirement is computed once, before anything is dialled, and never rewritten on the way. An
//! absence carries its reason; a failed look-up is never an absence. All of it is pure: time comes in
//! as an argument, and the whole table is a text file that a test compares (`tests/data/decide.table`).

pub mod act;
pub mod authorize;
pub mod cap;
pub mod decide;
pub mod delivery_id;
pub mod downgrade;
pub mod facts;
pub mod failure;
pub mod handshake;
pub mod identify;
pub mod outcome;
pub mod postfix;
pub mod refusal;
pub mod requirement;
pub mod rules;
pub mod verdict;
