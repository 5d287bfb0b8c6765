//! What a message moves in the metrics: the counters that tell what left and what was blocked.

use std::collections::BTreeMap;

use super::house::House;

const FAMILIES: [&str; 3] = [
    "waxseal_deliveries_total",
    "waxseal_blocked_total",
    "waxseal_would_block_total",
];

/// The counters of a house at some moment.
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(crate) async fn of(house: &House) -> Self {
        let metrics = house.metrics().await;
        let told = metrics
            .lines()
            .filter(|line| FAMILIES.iter().any(|name| line.starts_with(name)));
        let read = |line: &str| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        };
        Self(told.map(read).collect())
    }

    /// What went up by one since then, such as `deliveries(none tls rule)`, each with a blank before it.
    ///
    /// # Panics
    /// If anything went up by more.
    pub(crate) async fn since(&self, house: &House) -> String {
        let mut text = String::new();
        for (series, value) in Self::of(house).await.0 {
            match value - self.0.get(&series).unwrap_or(&0) {
                0 => {}
                1 => text.extend([" ", compact(&series).as_str()]),
                more => panic!("{series} went up by {more}"),
            }
        }
        text
    }
}

/// `waxseal_x_total{a="b",c="d"}` as `x(b d)`.
fn compact(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap();
    let name = name
        .strip_prefix("waxseal_")
        .and_then(|name| name.strip_suffix("_total"));
    let values: Vec<_> = labels.split('"').skip(1).step_by(2).collect();
    format!("{}({})", name.unwrap(), values.join(" "))
}
