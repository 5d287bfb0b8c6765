//! The name servers, and whether they prove what they say.

use super::Finding;
use crate::net::resolver::{DnsResolver, Health, InForce, Probe, SetupError};

const RESOLVER: &str = "run a validating resolver on loopback (unbound, Knot Resolver), see [dns] in docs/waxseal.toml";

/// No name server is known at all.
pub(super) fn without_servers(error: &SetupError) -> Finding {
    Finding::broken("DNS", error.to_string(), "name `servers` in [dns]")
}

/// Asks each for something that must be proven.
pub(super) async fn check(resolver: &DnsResolver) -> Vec<Finding> {
    judge(&resolver.probe().await)
}

fn judge(health: &Health) -> Vec<Finding> {
    let mut found: Vec<Finding> = health.probes.iter().filter_map(of_one).collect();
    found.push(match health.in_force {
        InForce::Off => Finding::well("DNSSEC", "off by configuration: there is no DANE"),
        InForce::TrustAd => Finding::well("DNSSEC", "trust-ad: the name servers validate"),
        InForce::Validate => Finding::well(
            "DNSSEC",
            "validate: the root's signatures are proven, and hold by this clock",
        ),
        InForce::Unavailable => Finding::broken(
            "DNSSEC",
            "no name server gives proven answers: there is no DANE, and mail leaves without it",
            RESOLVER,
        ),
        InForce::Waiting => Finding::broken(
            "DNSSEC",
            "no name server gives proven answers, and all mail waits for one",
            RESOLVER,
        ),
    });
    found
}

/// A server that is not used.
fn of_one((server, word, probe): &(std::net::SocketAddr, InForce, Probe)) -> Option<Finding> {
    let detail = format!("{server} as {}: {probe}", word.word());
    match probe {
        Probe::Passed => None,
        Probe::Failed => Some(Finding::warning("DNS", detail, RESOLVER)),
        Probe::Silent(_) => Some(Finding::warning(
            "DNS",
            detail,
            "start it, let the firewall pass it (UDP and TCP 53), or take it out of `servers`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State::{Broken, Warning, Well};
    use super::*;
    use crate::dns::LookupError;

    #[test]
    fn what_a_probe_means() {
        let server = "127.0.0.1:53".parse().unwrap();
        let states = |in_force, probe| {
            let health = Health {
                in_force,
                probes: vec![(server, InForce::TrustAd, probe)],
            };
            let found = judge(&health);
            found.iter().map(|one| one.state).collect::<Vec<_>>()
        };
        assert_eq!(states(InForce::TrustAd, Probe::Passed), [Well]);
        assert_eq!(states(InForce::Validate, Probe::Failed), [Warning, Well]);
        assert_eq!(
            states(InForce::Unavailable, Probe::Failed),
            [Warning, Broken]
        );
        let silent = Probe::Silent(LookupError::Timeout);
        assert_eq!(states(InForce::Waiting, silent), [Warning, Broken]);
    }
}
