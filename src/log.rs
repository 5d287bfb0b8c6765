//! Log lines to stderr: text for people or JSON for programs.
//!
//! Each line has a time in UTC (RFC 3339), a level, and fields. Nothing here or in the rooms that log
//! ever sees a local part or a line of a message, so no level can reveal one.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

use crate::config::{LogFormat, LogSettings};

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the log: {0}")]
pub struct LogError(String);

/// Sets up the log of this process; a second time is an error.
pub fn init(settings: &LogSettings) -> Result<(), LogError> {
    let wrong = |error: &dyn std::fmt::Display| LogError(error.to_string());
    let filter = EnvFilter::try_new(settings.level.directives()).map_err(|error| wrong(&error))?;
    let lines = Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    let done = match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    done.map_err(|error| wrong(&error))
}
