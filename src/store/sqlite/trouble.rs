//! What does not work at present, told once when it begins and once when it is over.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::store::{Place, StoreError};

/// Reading or writing, and why it fails.
pub(super) struct Trouble {
    /// Such as `written`.
    what: &'static str,
    last: ArcSwapOption<String>,
}

impl Trouble {
    pub(super) fn of(what: &'static str) -> Self {
        Self {
            what,
            last: ArcSwapOption::empty(),
        }
    }

    /// Takes note of a failure.
    pub(super) fn note(&self, store: &Place, error: &StoreError) {
        let what = self.what;
        let reason = format!("{store} cannot be {what}: {error}");
        if self.last.swap(Some(Arc::new(reason))).is_none() {
            tracing::error!(
                %store,
                %error,
                "the store cannot be {what}: mail goes on, but until that is mended policies may be forgotten at a restart"
            );
        }
    }

    /// Takes note of a success.
    pub(super) fn over(&self, store: &Place) {
        if self.last.load().is_some() && self.last.swap(None).is_some() {
            let what = self.what;
            tracing::info!(%store, "the store can be {what} again");
        }
    }

    /// Why it fails at present.
    pub(super) fn reason(&self) -> Option<String> {
        self.last.load().as_deref().cloned()
    }
}
