//! How often a rule was in force.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often a rule was in force for mail, since it was loaded. It says nothing about the rule: every count is
/// as good as another, and a copy begins anew.
#[derive(Debug, Default)]
pub struct Hits(AtomicU64);

impl Hits {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clone for Hits {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Hits {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}
