//! The integration tests: one binary, everything on loopback, no network and no other programs needed.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `support` | the world around waxseal: DNS (`zone`), mail servers (`mx`), certificates (`ca`), MTAs (`mta`), addresses (`net`) |
//! | `support::world` | all of it at once: a waxseal, its DNS and one MX for each domain |
//! | `suite::support` | tests of that world itself |
//! | `suite::delivery` | a message and its replies, from MTA to MX and back: content, refusals, broken connections, fan-out |
//! | `suite::routing` | which MX is dialled, in which order, and what happens when DNS or an MX does not answer |
//! | `suite::chunking` | BDAT, to MX hosts with CHUNKING and without |
//! | `suite::limits` | what an MTA may do: networks, limits, time-outs, extensions, smuggling, TLS |

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must say so and stop"
)]

mod suite;
mod support;
