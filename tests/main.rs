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
//! | `suite::decide` | the decision, as the table `data/decide.table` |
//! | `suite::authorize` | which chain satisfies which requirement |
//! | `suite::levels` | every level of a rule against every kind of MX, as the table `data/levels.table` |
//! | `suite::attacks` | STARTTLS injection, SMTP smuggling, hostile MX hosts and DNS |
//! | `suite::check` | `waxseal check` |

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must say so and stop"
)]

mod suite;
mod support;
