//! Whether waxseal is ready for mail, and how the last reload went.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::Serialize;
use utoipa::ToSchema;

use crate::net::resolver::{Health, InForce, Probe};
use crate::store::StoreHealth;
use crate::time::UnixTime;

/// What waxseal is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not all listeners are bound.
    Starting,
    /// Mail can come.
    Ready,
    /// Waiting for transactions in flight; no new ones are taken.
    Draining,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// The last reload. One that failed leaves the configuration before it in force, and waxseal ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReload {
    /// When.
    pub at: UnixTime,
    /// What came of it, in words.
    pub result: Result<String, String>,
}

/// Shared by whoever starts, reloads and stops waxseal, and by the admin endpoint.
#[derive(Debug)]
pub struct Readiness {
    state: ArcSwap<State>,
    last_reload: ArcSwapOption<LastReload>,
    dnssec: ArcSwapOption<Health>,
    store: ArcSwapOption<StoreHealth>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            state: ArcSwap::from_pointee(State::Starting),
            last_reload: ArcSwapOption::empty(),
            dnssec: ArcSwapOption::empty(),
            store: ArcSwapOption::empty(),
        }
    }
}

impl Readiness {
    /// The state now.
    pub fn state(&self) -> State {
        **self.state.load()
    }

    /// Changes the state.
    pub fn enter(&self, state: State) {
        self.state.store(Arc::new(state));
    }

    /// Takes note of a reload.
    pub fn reloaded(&self, reload: LastReload) {
        self.last_reload.store(Some(Arc::new(reload)));
    }

    /// Takes note of a probe of the name servers; true if it showed something else than the last one.
    pub fn probed(&self, health: Health) -> bool {
        let last = self.dnssec.load();
        let is_news = last.as_deref() != Some(&health);
        self.dnssec.store(Some(Arc::new(health)));
        is_news
    }

    /// Takes note of how the store is.
    pub fn stored(&self, health: StoreHealth) {
        self.store.store(Some(Arc::new(health)));
    }

    /// All of it, for programs.
    pub(super) fn view(&self) -> HealthView {
        let reload = self.last_reload.load();
        let dnssec = self.dnssec.load();
        let store = self.store.load();
        HealthView {
            state: self.state().word().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            last_reload: reload.as_deref().map(ReloadView::of),
            dnssec: dnssec.as_deref().map(DnssecView::of),
            store: store.as_deref().map(StoreView::of),
        }
    }
}

/// How waxseal is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthView {
    /// `starting`, `ready` or `draining`.
    pub state: String,
    /// The version of waxseal.
    pub version: String,
    /// The last reload, if there was one.
    pub last_reload: Option<ReloadView>,
    /// Whether there is DNSSEC; none before the first probe.
    pub dnssec: Option<DnssecView>,
    /// Where policies are kept; none before the first look.
    pub store: Option<StoreView>,
}

/// A reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReloadView {
    /// `ok` or `failed`.
    pub result: String,
    /// When.
    pub at: String,
    /// What came of it, in words.
    pub detail: String,
}

impl ReloadView {
    fn of(last: &LastReload) -> Self {
        let (result, detail) = match &last.result {
            Ok(text) => ("ok", text),
            Err(text) => ("failed", text),
        };
        Self {
            result: result.to_owned(),
            at: last.at.to_string(),
            detail: detail.clone(),
        }
    }
}

/// Whether there is DNSSEC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DnssecView {
    /// Whose word it is that an answer is proven: `trust-ad`, `validate`, `off`; `unavailable` where no name server gives
    /// proven answers and mail goes on without DANE, `waiting` where it waits.
    pub in_force: String,
    /// The last probe of each name server.
    pub servers: Vec<ProbeView>,
}

/// What one name server showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProbeView {
    /// Its address.
    pub server: String,
    /// Whose word was to count.
    pub r#as: String,
    /// What came.
    pub probe: String,
}

impl DnssecView {
    fn of(health: &Health) -> Self {
        let probe = |(server, word, probe): &(SocketAddr, InForce, Probe)| ProbeView {
            server: server.to_string(),
            r#as: word.word().to_owned(),
            probe: probe.to_string(),
        };
        Self {
            in_force: health.in_force.word().to_owned(),
            servers: health.probes.iter().map(probe).collect(),
        }
    }
}

/// Where policies are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoreView {
    /// The file, or memory.
    pub place: String,
    /// What is wrong, and what to do about it.
    pub degraded: Option<String>,
}

impl StoreView {
    fn of(health: &StoreHealth) -> Self {
        Self {
            place: health.place.to_string(),
            degraded: health.degraded.clone(),
        }
    }
}
