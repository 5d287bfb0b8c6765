//! The proxy.
pub mod settings;
