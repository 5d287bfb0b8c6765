//! What is aimed at: ratios of one run, and a few plain numbers.

use crate::args::Workload;
use crate::report::Sample;

pub(crate) type Measure = fn(&Sample) -> f64;

/// Something aimed at: one contestant's measure, perhaps against another's.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) of: &'static str,
    pub(crate) to: Option<&'static str>,
    pub(crate) measure: Measure,
    pub(crate) wanted: Wanted,
}

#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// At most, of the difference and not of the ratio.
    Beyond(f64),
}

use Wanted::{AtLeast, AtMost, Beyond};

pub(crate) fn rate(sample: &Sample) -> f64 {
    sample.rate
}

pub(crate) fn queries(sample: &Sample) -> f64 {
    sample.queries
}

fn cpu(sample: &Sample) -> f64 {
    sample.user + sample.system
}

fn user(sample: &Sample) -> f64 {
    sample.user
}

fn p50(sample: &Sample) -> f64 {
    sample.p50
}

/// waxseal against another one.
fn against(what: &'static str, to: &'static str, measure: Measure, wanted: Wanted) -> Target {
    Target {
        what,
        of: "waxseal",
        to: Some(to),
        measure,
        wanted,
    }
}

fn at_most(what: &'static str, measure: Measure, most: f64) -> Target {
    Target {
        what,
        of: "waxseal",
        to: None,
        measure,
        wanted: AtMost(most),
    }
}

/// Those of one workload.
pub(crate) fn targets(workload: Workload) -> Vec<Target> {
    match workload {
        Workload::One => one(),
        Workload::Twenty | Workload::Domains => vec![
            against("messages/s of stunnel", "stunnel", rate, AtLeast(2.4)),
            against("CPU of stunnel", "stunnel", cpu, AtMost(0.33)),
            against(
                "messages/s of floor-pool",
                "floor-pool",
                rate,
                AtLeast(0.85),
            ),
            at_most("user CPU, us a message", user, 18.0),
        ],
        Workload::Bulk => vec![
            against("MB/s of stunnel", "stunnel", rate, AtLeast(1.25)),
            against("CPU of stunnel", "stunnel", cpu, AtMost(0.65)),
            against("CPU of floor-pool", "floor-pool", cpu, AtMost(1.10)),
        ],
        Workload::Latency => vec![
            against("p50 of stunnel", "stunnel", p50, AtMost(1.0)),
            against("p50 beyond direct TLS, ms", "tls", p50, Beyond(0.08)),
        ],
        Workload::Chosen => chosen(),
        Workload::Idle => vec![
            at_most(
                "KiB a session before RCPT",
                |sample| sample.before_rcpt,
                12.0,
            ),
            at_most(
                "KiB a session with an MX connection",
                |sample| sample.with_mx,
                24.0,
            ),
            at_most(
                "KiB a session after 256 KiB",
                |sample| sample.after_large,
                16.0,
            ),
            at_most("MiB resident in all", |sample| sample.resident, 60.0),
        ],
        Workload::Huge => vec![at_most(
            "MiB that resident memory grows by",
            |sample| sample.grown,
            1.0,
        )],
        Workload::Front => front(),
        Workload::Table16 => table(),
        Workload::Table64 => {
            let p99 = at_most("p99 ms", |sample| sample.p99, 1.0);
            table()
                .into_iter()
                .chain([Target { of: TABLE, ..p99 }])
                .collect()
        }
        Workload::Broken => broken(),
        Workload::Thousand | Workload::Threads | Workload::Chaos => Vec::new(),
    }
}

fn one() -> Vec<Target> {
    vec![
        against("messages/s of stunnel", "stunnel", rate, AtLeast(8.0)),
        against("CPU of stunnel", "stunnel", cpu, AtMost(0.09)),
        against("messages/s of an MTA's own TLS", "tls", rate, AtLeast(2.2)),
        against("CPU of floor-pool", "floor-pool", cpu, AtMost(1.5)),
        at_most("user CPU, us a message", user, 40.0),
    ]
}

fn chosen() -> Vec<Target> {
    let targets = [
        against("messages/s of stunnel", "stunnel", rate, AtLeast(2.2)),
        against("CPU of stunnel", "stunnel", cpu, AtMost(0.30)),
        against("CPU of the floor", "floor", cpu, AtMost(1.25)),
    ];
    let of = "waxseal-socks5";
    targets.map(|target| Target { of, ..target }).into()
}

fn front() -> Vec<Target> {
    let targets = [
        against(
            "messages/s of Postfix's own TLS",
            "postfix",
            rate,
            AtLeast(1.40),
        ),
        against("CPU of Postfix's own TLS", "postfix", cpu, AtMost(0.75)),
        against(
            "messages/s of Postfix in plaintext",
            "postfix-plain",
            rate,
            AtLeast(0.95),
        ),
    ];
    let of = "postfix-waxseal";
    targets.map(|target| Target { of, ..target }).into()
}

const TABLE: &str = "waxseal-socketmap";

fn table() -> Vec<Target> {
    let resolver = "mta-sts-resolver";
    let targets = [
        against(
            "queries/s of postfix-tlspol",
            "tlspol",
            queries,
            AtLeast(1.4),
        ),
        against("queries/s of a bare server", "echo", queries, AtLeast(0.85)),
        against(
            "queries/s of postfix-mta-sts-resolver",
            resolver,
            queries,
            AtLeast(4.0),
        ),
        at_most("CPU, us a query", cpu, 8.5),
    ];
    targets
        .map(|target| Target {
            of: TABLE,
            ..target
        })
        .into()
}

/// The bench sees what each of them breaks.
fn broken() -> Vec<Target> {
    let seen = |what, of, measure| Target {
        what,
        of,
        to: None,
        measure,
        wanted: AtLeast(1.0),
    };
    let lost: Measure = |sample| sample.lost;
    vec![
        seen(
            "lost by one that acknowledges early",
            "acknowledges-early",
            lost,
        ),
        seen(
            "corrupted by one that flips a bit",
            "flips-a-bit",
            |sample| sample.corrupted,
        ),
        seen("doubled by one that sends twice", "sends-twice", |sample| {
            sample.doubled
        }),
    ]
}
