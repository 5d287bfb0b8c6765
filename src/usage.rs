//! How much the caches are used.
//!
//! Whoever has a cache counts what it found there and what it did not; whoever shows the numbers takes the counts
//! away, so that those of a cache that a reload has replaced are not counted twice.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use moka::Entry;
use moka::future::Cache;

/// A cache. The `cache` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// Answers of name servers.
    Dns,
    /// Look-ups that failed a moment ago.
    DnsFailures,
    /// MTA-STS policies, and that a domain has none.
    MtaSts,
    /// What MX hosts have shown.
    Hosts,
    /// Addresses that did not connect.
    DeadAddresses,
    /// What was decided a moment ago.
    Decisions,
    /// What Postfix was told a moment ago.
    Answers,
}

impl Cached {
    /// Every value, for metrics that start at zero.
    pub const ALL: [Self; 7] = [
        Self::Dns,
        Self::DnsFailures,
        Self::MtaSts,
        Self::Hosts,
        Self::DeadAddresses,
        Self::Decisions,
        Self::Answers,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::DnsFailures => "dns-failures",
            Self::MtaSts => "mta-sts",
            Self::Hosts => "hosts",
            Self::DeadAddresses => "dead-addresses",
            Self::Decisions => "decisions",
            Self::Answers => "answers",
        }
    }
}

/// Counts how a cache is used. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Usage(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a cache holds, and how it was used since somebody asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Which one.
    pub cache: Cached,
    /// What is in it, about.
    pub entries: u64,
    /// What was found.
    pub hits: u64,
    /// What was not.
    pub misses: u64,
}

impl Usage {
    /// Something was found.
    pub fn hit(&self) {
        self.0.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was not.
    pub fn miss(&self) {
        self.0.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// This is what a cache answered, by itself or after a look-up.
    pub fn answered<K, V>(&self, entry: &Entry<K, V>) {
        if entry.is_fresh() {
            self.miss();
        } else {
            self.hit();
        }
    }

    /// Takes the counts away.
    pub fn taken(&self, cache: Cached, entries: u64) -> CacheUse {
        CacheUse {
            cache,
            entries,
            hits: self.0.hits.swap(0, Ordering::Relaxed),
            misses: self.0.misses.swap(0, Ordering::Relaxed),
        }
    }
}

/// How many entries a cache has. It tidies up now and then only, and may do so now.
pub fn entries<K, V>(cache: &Cache<K, V>) -> u64
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let _ = cache.run_pending_tasks().now_or_never();
    cache.entry_count()
}
