//! `waxseal doctor`: looks at everything that waxseal needs around it, and says what to do about what is not well.
//!
//! Each check gives findings and changes nothing. Nobody is contacted but those that waxseal talks to anyway: the
//! name servers, the waxseal that runs here, and the host that `--host` names, which is connected to and sent no mail.

use serde_json::Value;

use crate::config::{Config, ConfigError, read_rules};
use crate::name::Host;
use crate::net::resolver::DnsResolver;
use crate::time::{Clock, SystemClock};

mod admin;
mod clock;
mod files;
mod listeners;
mod names;
mod port25;
mod report;
mod state;
mod written;

/// How something is, from well to broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing is to be done.
    Well,
    /// Mail goes on, and somebody should look.
    Warning,
    /// Mail does not go on, or does without what it should have.
    Broken,
}

impl State {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Warning => 1,
            Self::Broken => 2,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    state: State,
    detail: String,
    /// What to do; none where all is well.
    advice: Option<String>,
}

impl Finding {
    fn well(what: &'static str, detail: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Well,
            detail: detail.into(),
            advice: None,
        }
    }

    fn warning(what: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Warning,
            detail: detail.into(),
            advice: Some(advice.into()),
        }
    }

    fn broken(what: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            state: State::Broken,
            ..Self::warning(what, detail, advice)
        }
    }
}

/// Who answers at the admin endpoint of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Running {
    /// Nobody.
    Nobody,
    /// A waxseal, which says this of itself (`/readyz`).
    Waxseal(Value),
    /// Somebody who is no waxseal, or one that does not answer, and how.
    Somebody(String),
}

/// All that was found.
#[derive(Debug)]
pub struct Diagnosis(Vec<Finding>);

impl Diagnosis {
    /// Of a configuration that does not load; without it there is nothing else to look at.
    pub fn of_error(error: &ConfigError) -> Self {
        Self(vec![written::unreadable("configuration", error)])
    }

    /// The worst that was found.
    pub fn state(&self) -> State {
        let states = self.0.iter().map(|finding| finding.state);
        states.max().unwrap_or(State::Well)
    }
}

/// Looks at everything; at port 25 only where there is a `host`.
pub async fn run(config: &Config, running: &Running, host: Option<&Host>) -> Diagnosis {
    let now = SystemClock.now();
    let mut found = written::configuration(config);
    found.extend(written::rules(&read_rules(config, now), now));
    found.push(written::roots(config));
    found.push(clock::check(config, now));
    match DnsResolver::new(&config.dns) {
        Ok(resolver) => {
            found.extend(names::check(&resolver).await);
            if let Some(host) = host {
                found.extend(port25::check(config, resolver, host).await);
            }
        }
        Err(error) => found.push(names::without_servers(&error)),
    }
    found.extend(state::check(&config.store));
    found.extend(listeners::check(config, running).await);
    found.extend(admin::check(config, running));
    found.push(files::check(config));
    Diagnosis(found)
}
