//! The integration tests: one binary, everything on loopback, no network and no other programs needed.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `support` | the world around waxseal: DNS (`zone`), mail servers (`mx`), web servers for policies (`sts_host`), certificates (`ca`), MTAs (`mta`), addresses (`net`), SOCKS (`socks`), golden texts (`golden`), counters (`tally`), HTTP (`http`) |
//! | `support::house`, `support::world` | a waxseal; all of it at once: a waxseal, its DNS and one MX for each domain |
//! | `suite::support` | tests of that world itself |
//! | `suite::delivery` | a message and its replies, from MTA to MX and back: content, refusals, broken connections, fan-out |
//! | `suite::routing` | which MX is dialled, in which order, and what happens when DNS or an MX does not answer |
//! | `suite::chunking` | BDAT, to MX hosts with CHUNKING and without; small messages in one chunk |
//! | `suite::limits` | what an MTA may do: networks, limits, time-outs, extensions, smuggling, TLS |
//! | `suite::chosen` | MTAs that choose the MX themselves, by SOCKS or through a firewall |
//! | `suite::lifecycle` | reload and stop |
//! | `suite::decide` | the decision table, `data/decide.table`: rules and facts in, verdicts out |
//! | `suite::authorize` | the judge: one fault for each certificate |
//! | `suite::levels` | every level against every kind of MX, `data/levels.table`; the way between hosts and connections |
//! | `suite::dane` | DANE from the zone to the reply at the MTA, `data/dane.table` and, for what only signatures show, `data/dnssec.table` |
//! | `suite::dnssec` | the resolver: probes, caches, TCP, and what follows where nothing can be proven |
//! | `suite::pool` | connections that wait for the next message: when they carry it, and when never |
//! | `suite::destination` | limits of connections and messages for an MX: who waits, who is deferred, and what is counted |
//! | `suite::resumption` | TLS sessions that go on with the next connection: when they do, and what is judged then |
//! | `suite::downgrade` | a host that shows less than before |
//! | `suite::fetch` | the policy of MTA-STS over HTTPS: each fault of web server, certificate, answer and address, and what is never dialled |
//! | `suite::socketmap` | the policy table for Postfix: what is answered, `data/socketmap.table`, and how it is asked |
//! | `suite::admin` | the admin endpoint: who may do what there, from where, and what it tells |
//! | `suite::metrics` | metrics of caches, of listed domains, of reloads |
//! | `suite::attacks` | injection behind STARTTLS, smuggling, hostile replies |
//! | `suite::audit` | the story of a delivery, told by its id: in the reply, in the audit log, to whoever asks |
//! | `suite::check` | `waxseal check` against what mail meets |
//! | `suite::doctor` | `waxseal doctor` and mail servers that greet, or do not |
//! | `suite::simulate` | `waxseal simulate`: a mail log against rules, `data/simulate.facts` and `data/simulate.connect` |
//!
//! Beside it: `daemon` and `command_line` (the program as a child process), `architecture` (who may import whom).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must say so and stop"
)]

mod suite;
mod support;
