//! waxseal, a gate for outbound mail.

pub mod discover;
pub mod dns;
pub mod name;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod smtp;
pub mod time;
