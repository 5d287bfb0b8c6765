//! waxseal, a gate for outbound mail.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod discover;
pub mod dns;
pub mod journal;
pub mod log;
pub mod metrics;
pub mod name;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod smtp;
pub mod time;
