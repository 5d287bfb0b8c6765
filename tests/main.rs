//! The integration tests: one binary, everything on loopback, no network and no other programs needed.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `support` | the world around waxseal: DNS (`zone`), mail servers (`mx`), certificates (`ca`), MTAs (`mta`), addresses (`net`) |
//! | `suite::support` | tests of that world itself |

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must say so and stop"
)]

mod suite;
mod support;
