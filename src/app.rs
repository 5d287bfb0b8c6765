//! Wiring; to be replaced.

use crate::cli::CheckArgs;
use crate::config::Config;

/// waxseal cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to run yet.
    #[error("not wired yet")]
    NotWired,
}

/// Runs until told to stop.
#[expect(clippy::unused_async, reason = "to be replaced")]
pub async fn run(_config: Config) -> Result<(), Error> {
    Err(Error::NotWired)
}

/// Answers `waxseal check`.
#[expect(clippy::unused_async, reason = "to be replaced")]
pub async fn check(_config: Config, _question: &CheckArgs) -> Result<(), Error> {
    Err(Error::NotWired)
}
