//! waxseal, a gate for outbound mail.

pub mod config;
pub mod discover;
pub mod dns;
pub mod name;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod smtp;
pub mod time;
