//! The parts of the hot path, each by itself: what a line, a chunk, a decision, a match costs.
//!
//! `cargo bench --bench parts` measures; `cargo test --bench parts` runs each part once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot go on must say so and stop"
)]

mod judging;
mod parsing;
#[path = "../../tests/support/mod.rs"]
mod support;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parsing::bench(&mut criterion);
    judging::bench(&mut criterion);
    criterion.final_summary();
}
