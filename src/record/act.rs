//! An administrative act as programs read it.

use serde::{Deserialize, Serialize};

use super::VERSION;
use crate::policy::act::{Act, Configured};
use crate::time::UnixTime;

/// What somebody did, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActRecord {
    /// The version of the format.
    pub v: u32,
    /// When it was done.
    pub time: String,
    /// Who did it: `process`, a signal such as `SIGHUP`, or the address of a client of the admin endpoint.
    pub by: String,
    /// `start`, `stop`, `reload`, `policy-refresh`, `policy-forget`, `host-forget`, `rule-add` or `rule-expire`.
    pub act: String,
    /// The domain whose policy it is about.
    pub domain: Option<String>,
    /// The MX host that it is about.
    pub host: Option<String>,
    /// `ok` or `failed`.
    pub result: String,
    /// What came of it, for people.
    pub detail: String,
    /// The version of waxseal.
    pub version: String,
    /// What is in force from then on; none where nothing has changed.
    pub in_force: Option<InForceView>,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForceView {
    /// The SHA-256 digest of the configuration file; none where there is no file.
    pub config: Option<String>,
    /// The SHA-256 digest of the rule files, one behind the other in name order.
    pub rule_files: String,
    /// How many rules there are.
    pub rules: usize,
    /// Those that are new, such as `50-partners.toml:3 secure`.
    pub added: Vec<String>,
    /// Those that are gone. A rule that was changed is among both.
    pub removed: Vec<String>,
}

impl ActRecord {
    /// Of what was done at `at`.
    pub fn of(act: &Act, at: UnixTime) -> Self {
        let (result, detail) = match &act.result {
            Ok(detail) => ("ok", detail),
            Err(detail) => ("failed", detail),
        };
        Self {
            v: VERSION,
            time: at.to_string(),
            by: act.by.to_string(),
            act: act.deed.word().to_owned(),
            domain: act.deed.domain().map(ToString::to_string),
            host: act.deed.host().map(ToString::to_string),
            result: result.to_owned(),
            detail: detail.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            in_force: act.in_force.as_ref().map(InForceView::of),
        }
    }
}

impl InForceView {
    fn of(configured: &Configured) -> Self {
        Self {
            config: configured.written.config.map(|print| print.to_string()),
            rule_files: configured.written.rules.to_string(),
            rules: configured.rules,
            added: configured.change.added.clone(),
            removed: configured.change.removed.clone(),
        }
    }
}
