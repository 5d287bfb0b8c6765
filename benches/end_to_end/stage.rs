//! What all contestants meet: the sink, and the DNS that leads to it.

use std::fmt::Write as _;

use crate::chaos::Chaos;
use crate::process::{Process, free_port, wait_for};
use crate::sink::Book;
use crate::support::zone::Dns;
use crate::tls::HOST;

/// Domains that have the sink for their MX.
pub(crate) const DOMAINS: usize = 1000;

pub(crate) struct Stage {
    sink: Process,
    pub(crate) port: u16,
    pub(crate) dns: Dns,
    /// The sink breaks connections.
    pub(crate) chaos: bool,
}

impl Stage {
    pub(crate) async fn new(chaos: Option<Chaos>) -> Self {
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
            chaos: chaos.is_some(),
        }
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
