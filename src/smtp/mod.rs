//! SMTP and LMTP.
pub mod reply;
