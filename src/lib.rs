//! waxseal, a gate for outbound mail.

pub mod name;
pub mod smtp;
pub mod time;
