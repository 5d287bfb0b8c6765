//! Domains that policy tables are asked for: each has an MTA-STS policy, and DANE for its MX where DNSSEC is believed.

use std::fmt::Write as _;
use std::fs;

use tempfile::TempDir;

use crate::support::ca::{Ca, Leaf};
use crate::support::sts_host::{Site, StsHost, policy};
use crate::support::zone::Dns;
use crate::tls::HOST;

/// So many of them.
pub(crate) const ASKED: usize = 100;

/// A week, in seconds.
const MAX_AGE: u32 = 604_800;

/// Their DNS, and their web server.
pub(crate) struct Policies {
    pub(crate) dns: Dns,
    web: StsHost,
    folder: TempDir,
}

impl Policies {
    pub(crate) async fn new() -> Self {
        let ca = Ca::new("Bench");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let names = (0..ASKED).map(|number| format!("mta-sts.{}", domain(number)));
        let identity = ca.issue(Leaf {
            names: names.collect(),
            ..Leaf::default()
        });
        let site = Site::policy(identity, &policy("enforce", MAX_AGE, &[HOST]));
        let dns = Dns::start(&zone()).await;
        dns.secure("example");
        Self {
            dns,
            web: StsHost::start("127.0.0.1", 0, site).await,
            folder,
        }
    }

    /// What waxseal needs to know of it.
    pub(crate) fn config(&self) -> String {
        format!(
            "[mta_sts]\nport = {}\n[tls]\nroots = 'none'\nca_files = ['{}/ca.pem']\n",
            self.web.address().port(),
            self.folder.path().display()
        )
    }
}

pub(crate) fn domain(number: usize) -> String {
    format!("p{number}.sink.example")
}

fn zone() -> String {
    let digest = "5a".repeat(32);
    let mut zone = format!("{HOST}. A 127.0.0.1\n_25._tcp.{HOST}. TLSA 3 1 1 {digest}\n");
    for number in 0..ASKED {
        let domain = domain(number);
        writeln!(zone, "{domain}. MX 10 {HOST}.").unwrap();
        writeln!(zone, "_mta-sts.{domain}. TXT \"v=STSv1; id=1;\"").unwrap();
        writeln!(zone, "mta-sts.{domain}. A 127.0.0.1").unwrap();
    }
    zone
}
