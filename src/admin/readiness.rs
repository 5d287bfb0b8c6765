//! Whether waxseal is ready for mail, and how the last reload went.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::{Value, json};

use crate::net::resolver::Health;
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

    /// For `/readyz`.
    pub(super) fn detail(&self) -> Value {
        let reload = self.last_reload.load();
        let reload = reload.as_ref().map(|last| match &last.result {
            Ok(text) => json!({"result": "ok", "at": last.at.to_string(), "detail": text}),
            Err(text) => json!({"result": "failed", "at": last.at.to_string(), "detail": text}),
        });
        let dnssec = self.dnssec.load();
        let dnssec = dnssec.as_ref().map(|health| health.json());
        let store = self.store.load();
        let store = store
            .as_ref()
            .map(|health| json!({"place": health.place.to_string(), "degraded": health.degraded}));
        json!({
            "state": self.state().word(),
            "last_reload": reload,
            "dnssec": dnssec,
            "store": store,
        })
    }
}
