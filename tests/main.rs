//! The integration tests: one binary, everything on loopback, no network and no other programs needed.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `support` | the world around waxseal: DNS (`zone`), mail servers (`mx`), certificates (`ca`), MTAs (`mta`), addresses (`net`), golden texts (`golden`) |
//! | `suite::decide` | the decision table, `data/decide.table`: rules and facts in, verdicts out |
//! | `suite::authorize` | the judge: one fault for each certificate |
//! | `suite::levels` | every level against every kind of MX, `data/levels.table`; the way between hosts and connections |
//! | `suite::attacks` | injection behind STARTTLS, smuggling, hostile replies |
//! | `suite::check` | `waxseal check` against what mail meets |
//! | `suite::support` | tests of that world itself |

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must say so and stop"
)]

mod suite;
mod support;
