//! The world around waxseal, in process and scripted as data.
//!
//! Every part starts with `start(..)`, is asked afterwards what it saw, and ends when it is dropped. Real sockets
//! mean real time: do not pause tokio's clock in a test that uses them. Nothing waits for ever: see [`within`].

#![allow(
    dead_code,
    unused_imports,
    reason = "a vocabulary for scenarios; not each word is spoken yet"
)]

pub(crate) mod ca;
pub(crate) mod clock;
pub(crate) mod golden;
pub(crate) mod house;
pub(crate) mod http;
pub(crate) mod mta;
pub(crate) mod mx;
pub(crate) mod net;
pub(crate) mod socks;
mod stream;
pub(crate) mod sts_host;
pub(crate) mod tally;
pub(crate) mod world;
pub(crate) mod zone;

use std::time::Duration;

/// How long a test waits for anything at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, but not for ever.
///
/// # Panics
/// After [`PATIENCE`], saying that `what` did not come.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("gave up after {PATIENCE:?} waiting for {what}"))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
