//! What all contestants meet: the sink, and the DNS that leads to it.

pub(crate) mod chaos;
pub(crate) mod policies;
pub(crate) mod sink;

use std::fmt::Write as _;

use crate::args::{Args, Workload};
use crate::process::{Process, free_port, wait_for};
use crate::stage::chaos::Chaos;
use crate::stage::policies::Policies;
use crate::stage::sink::Book;
use crate::support::zone::Dns;
use crate::tls::HOST;

/// Domains that have the sink for their MX.
pub(crate) const DOMAINS: usize = 1000;

pub(crate) struct Stage {
    sink: Process,
    pub(crate) port: u16,
    dns: Dns,
    /// Where policy tables are asked.
    pub(crate) policies: Option<Policies>,
    /// Not a test.
    pub(crate) measures: bool,
    /// The sink breaks connections.
    pub(crate) chaos: bool,
}

impl Stage {
    pub(crate) async fn new(workload: Workload, args: &Args) -> Self {
        let seed = args.seed;
        let chaos = workload.odds().map(|odds| Chaos { seed, odds });

        let port = free_port();
        let mut arguments = vec!["sink".to_owned(), port.to_string()];
        if let Some(Chaos { seed, odds }) = chaos {
            arguments.extend([format!("--seed={seed}"), format!("--odds={odds}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let sink = Process::role(&arguments);
        wait_for(port);
        let mut zone = format!("{HOST}. A 127.0.0.1\n");
        for number in 0..DOMAINS {
            writeln!(zone, "d{number}.sink.example. MX 10 {HOST}.").unwrap();
        }
        Self {
            sink,
            port,
            dns: Dns::start(&zone).await,
            policies: if workload.asks() {
                Some(Policies::new().await)
            } else {
                None
            },
            measures: args.bench,
            chaos: chaos.is_some(),
        }
    }

    /// The DNS of this stage.
    pub(crate) fn names(&self) -> &Dns {
        self.policies
            .as_ref()
            .map_or(&self.dns, |policies| &policies.dns)
    }

    /// What the sink took since the last time.
    pub(crate) fn report(&mut self) -> Book {
        serde_json::from_str(&self.sink.ask("report")).unwrap()
    }

    /// How many messages it has since then.
    pub(crate) fn taken(&mut self) -> usize {
        self.sink.ask("taken").trim().parse().unwrap()
    }
}
