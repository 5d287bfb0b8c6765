//! The command line of `waxseal doctor`.

use clap::Args;

use crate::name::Host;

pub(super) const EXAMPLES: &str = "\
Examples:
  waxseal doctor                             everything but port 25
  waxseal doctor --host mx.example.com       also: can this mail server be reached from here?
  sudo -u waxseal waxseal doctor --json      as the service would see it

Nothing is changed. Exit codes: 0 all is well, 1 something is to be looked at, 2 something is broken.";

/// What `waxseal doctor` is asked.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Mail server to connect to, to see whether port 25 is let out; no mail is sent
    #[arg(long, value_name = "HOST")]
    pub host: Option<Host>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
