//! The rooms of waxseal that are fuzzed: pure floors, from the same files.
//!
//! They are compiled here as they stand, without sockets, TLS and the store above them. So a target is
//! built in seconds rather than minutes, and only what is fuzzed carries counters. A room that begins to
//! import another one does not compile until that one is listed too.

#[path = "../../src/dns/mod.rs"]
pub mod dns;
#[path = "../../src/mtasts/mod.rs"]
pub mod mtasts;
#[path = "../../src/name.rs"]
pub mod name;
#[path = "../../src/socketmap/mod.rs"]
pub mod socketmap;
#[path = "../../src/time.rs"]
pub mod time;

/// Fails unless `text` can go to a log or a terminal: some text, not too long, no control characters.
pub fn assert_harmless(text: &str) {
    assert!(!text.is_empty() && text.len() < 1000, "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}
