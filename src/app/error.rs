//! Why a command, or the gate itself, does not run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::task::JoinError;

use super::explain::ExplainError;
use crate::admin::{HostError, PolicyError};
use crate::audit;
use crate::config::{ConfigError, RuleError};
use crate::net::https;
use crate::net::resolver::SetupError;
use crate::store::StoreError;

/// Why waxseal does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration or a rule file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Reading the configuration or building a gate from it has panicked.
    #[error("cannot read the configuration: {0}")]
    Broken(#[from] JoinError),
    /// DNS cannot be set up.
    #[error(transparent)]
    Dns(#[from] SetupError),
    /// HTTPS cannot be set up.
    #[error(transparent)]
    Https(#[from] https::SetupError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// An address is taken or not ours.
    #[error(
        "cannot listen on {address} ({what}): {error}; is another waxseal running? `waxseal config show` prints the listeners"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The kind of the listener, or `admin`.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The metrics cannot be set up.
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// There is no store, not even in memory.
    #[error("cannot remember MTA-STS policies: {0}")]
    Store(#[from] StoreError),
    /// The rules are in their file, and the waxseal that runs does not have them.
    #[error("{0}")]
    NotReloaded(String),
    /// What was asked about policies has no answer.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The rules stay as they are.
    #[error(transparent)]
    Rule(RuleError),
    /// Some entries of a table have no equivalent.
    #[error(
        "{0} of {1} entries are not among the rules; another rule counts for their destinations"
    )]
    LeftOut(usize, usize),
    /// A file that was named cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What was asked about hosts has no answer.
    #[error(transparent)]
    Host(#[from] HostError),
    /// HTTP cannot be set up.
    #[error("cannot set up HTTP: {0}")]
    Http(String),
    /// The audit log cannot be opened.
    #[error(transparent)]
    Audit(#[from] audit::OpenError),
    /// What was asked about a delivery has no answer.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

impl From<RuleError> for Error {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Config(error) => Self::Config(error),
            error => Self::Rule(error),
        }
    }
}
