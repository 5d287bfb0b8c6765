//! The shapes of metrics: how they are registered, and how they are found again without hashing.

use std::borrow::Cow;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::MetricFamily;
use prometheus::{
    Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::policy::authorize::Authentication;
use crate::policy::outcome::Seal;
use crate::policy::verdict::Policy;

/// A metric about to be registered.
pub(super) struct New<'a> {
    pub(super) registry: &'a Registry,
    pub(super) help: &'a str,
}

impl New<'_> {
    fn opts(&self, name: &str) -> Opts {
        // A doc comment has a blank in front and, unlike HELP by custom, a full stop at the end.
        Opts::new(name, self.help.trim().trim_end_matches('.'))
    }

    fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, name: &str) -> Result<IntCounter, Error> {
        self.register(IntCounter::with_opts(self.opts(name))?)
    }

    pub(super) fn gauge(&self, name: &str) -> Result<IntGauge, Error> {
        self.register(IntGauge::with_opts(self.opts(name))?)
    }

    pub(super) fn histogram(&self, name: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let opts = HistogramOpts::from(self.opts(name)).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts)?)
    }

    pub(super) fn counters(&self, name: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.register(IntCounterVec::new(self.opts(name), labels)?)
    }

    pub(super) fn gauges(&self, name: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.register(IntGaugeVec::new(self.opts(name), labels)?)
    }

    pub(super) fn counters_of(
        &self,
        name: &str,
        labels: [&str; 2],
        first: impl IntoIterator<Item = &'static str>,
        second: &[&'static str],
    ) -> Result<ByTwo, Error> {
        let vector = self.counters(name, &labels)?;
        let counter = |one: &str, two: &str| vector.with_label_values(&[one, two]);
        let row = |one: &'static str| {
            let row = second.iter().map(|two| (*two, counter(one, two)));
            (one, row.collect())
        };
        let known = first.into_iter().map(row).collect();
        Ok(ByTwo { vector, known })
    }

    pub(super) fn counter_by(
        &self,
        name: &str,
        label: &str,
        words: impl IntoIterator<Item = &'static str>,
    ) -> Result<ByWord<IntCounterVec>, Error> {
        Ok(ByWord::new(self.counters(name, &[label])?, words))
    }

    pub(super) fn gauge_by(
        &self,
        name: &str,
        label: &str,
        words: impl IntoIterator<Item = &'static str>,
    ) -> Result<ByWord<IntGaugeVec>, Error> {
        Ok(ByWord::new(self.gauges(name, &[label])?, words))
    }

    pub(super) fn by_seal(&self, name: &str) -> Result<BySeal, Error> {
        let counters = self.counters(name, &["encryption", "authentication", "policy"])?;
        let cell = |seal: usize, authentication: usize, policy: usize| {
            counters.with_label_values(&[
                ENCRYPTIONS[seal],
                Authentication::ALL[authentication].label(),
                Policy::ALL[policy].label(),
            ])
        };
        Ok(BySeal(std::array::from_fn(|seal| {
            std::array::from_fn(|authentication| {
                std::array::from_fn(|policy| cell(seal, authentication, policy))
            })
        })))
    }
}

/// A vector of metrics with one label.
pub(super) trait Labelled {
    type Metric: Clone + std::fmt::Debug;
    fn with(&self, word: &str) -> Self::Metric;
}

impl<B: MetricVecBuilder> Labelled for MetricVec<B>
where
    B::M: Clone + std::fmt::Debug,
{
    type Metric = B::M;

    fn with(&self, word: &str) -> B::M {
        self.with_label_values(&[word])
    }
}

/// Metrics of one label whose words are known beforehand; all of them start at zero.
#[derive(Debug)]
pub(super) struct ByWord<V: Labelled> {
    vector: V,
    known: Vec<(&'static str, V::Metric)>,
}

impl<V: Labelled> ByWord<V> {
    fn new(vector: V, words: impl IntoIterator<Item = &'static str>) -> Self {
        let known = words.into_iter().map(|word| (word, vector.with(word)));
        Self {
            known: known.collect(),
            vector,
        }
    }

    /// All of them.
    pub(super) fn vector(&self) -> &V {
        &self.vector
    }

    /// The metric of `word`. It is not cloned: all threads would write to its count of references.
    pub(super) fn of(&self, word: &str) -> Cow<'_, V::Metric> {
        match found(&self.known, word) {
            Some(metric) => Cow::Borrowed(metric),
            None => Cow::Owned(self.vector.with(word)),
        }
    }
}

/// The sum of counters over all their labels.
pub(super) fn sum(counters: &IntCounterVec) -> u64 {
    let families = counters.collect();
    let metrics = families.iter().flat_map(MetricFamily::get_metric);
    // Counts are whole numbers, and exact as far as 2^53.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole and not negative"
    )]
    metrics
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

/// Counters of two labels whose words are known beforehand; every combination starts at zero.
#[derive(Debug)]
pub(super) struct ByTwo {
    vector: IntCounterVec,
    known: Vec<(&'static str, Vec<(&'static str, IntCounter)>)>,
}

impl ByTwo {
    /// All of them.
    pub(super) fn vector(&self) -> &IntCounterVec {
        &self.vector
    }

    /// The counter of both words.
    pub(super) fn of(&self, one: &str, two: &str) -> Cow<'_, IntCounter> {
        match found(&self.known, one).and_then(|row| found(row, two)) {
            Some(counter) => Cow::Borrowed(counter),
            None => Cow::Owned(self.vector.with_label_values(&[one, two])),
        }
    }
}

fn found<'k, T>(known: &'k [(&'static str, T)], word: &str) -> Option<&'k T> {
    let found = known.iter().find(|(known, _)| *known == word);
    found.map(|(_, what)| what)
}

/// The values of the `encryption` label, in the order of [`BySeal`].
pub(super) const ENCRYPTIONS: [&str; 2] = ["tls", "plaintext"];

/// Counters by encryption, authentication and policy.
#[derive(Debug)]
pub(super) struct BySeal(
    [[[IntCounter; Policy::ALL.len()]; Authentication::ALL.len()]; ENCRYPTIONS.len()],
);

impl BySeal {
    /// The sums, in the order of [`ENCRYPTIONS`].
    pub(super) fn by_encryption(&self) -> [u64; ENCRYPTIONS.len()] {
        let sum = |by_authentication: &[[IntCounter; _]; _]| {
            let counters = by_authentication.iter().flatten();
            counters.map(IntCounter::get).sum()
        };
        self.0.each_ref().map(sum)
    }

    /// The counter of what left by `seal` under `policy`.
    pub(super) fn of(&self, seal: &Seal, policy: Policy) -> &IntCounter {
        let encryption = match seal {
            Seal::Tls { .. } => 0,
            Seal::Open(_) => 1,
        };
        // The order of `ALL` is that of the declaration, which a test makes sure of.
        &self.0[encryption][seal.authentication() as usize][policy as usize]
    }
}
