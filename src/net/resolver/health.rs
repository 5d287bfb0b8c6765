//! Whether there is DNSSEC: each name server is asked for something that must be proven.
//!
//! The NS records of the root are signed, so that a server whose answer to them is not proven proves
//! nothing (Postfix's `dnssec_probe`). Servers that pass are used, the others are not: an answer
//! without proof from one of them would look like an unsigned domain. What follows where none passes is
//! decided by [`choose`]. A server that did not answer has shown nothing: whatever was in force stays.

use std::fmt;
use std::net::SocketAddr;

use super::settings::{DaneNeed, DnssecMode};
use crate::dns::LookupError;

/// What one server showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A proven answer.
    Passed,
    /// An answer without proof, or with a wrong one.
    Failed,
    /// No answer.
    Silent(LookupError),
}

/// Whose word it is that an answer is proven, at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// The AD bit of name servers that passed.
    TrustAd,
    /// waxseal's own validation.
    Validate,
    /// Nobody's, as the operator wants it.
    Off,
    /// Nobody's, because no server passed: every answer is insecure, and there is no DANE.
    Unavailable,
    /// Nobody's, and mail waits: DANE is required and no server passed, or none has answered yet.
    Waiting,
}

impl InForce {
    /// The word of the configuration, of the log and of `/readyz`.
    pub fn word(self) -> &'static str {
        match self {
            Self::TrustAd => "trust-ad",
            Self::Validate => "validate",
            Self::Off => "off",
            Self::Unavailable => "unavailable",
            Self::Waiting => "waiting",
        }
    }

    /// Whether answers can be proven.
    pub fn works(self) -> bool {
        matches!(self, Self::TrustAd | Self::Validate)
    }
}

/// How the name servers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What follows.
    pub in_force: InForce,
    /// Each probe: the server, whose word was to count, and what came.
    pub probes: Vec<(SocketAddr, InForce, Probe)>,
}

impl Health {
    /// Whether any server proved its answer.
    pub fn passed(&self) -> bool {
        let passed = |(.., probe): &(_, _, Probe)| *probe == Probe::Passed;
        self.probes.iter().any(passed)
    }

    /// What keeps mail waiting: the operator's word, or that no server has answered yet.
    pub(super) fn why_waiting(&self, need: DaneNeed) -> LookupError {
        let mut silent = self.probes.iter().filter_map(|(.., probe)| match probe {
            Probe::Silent(error) => Some(*error),
            _ => None,
        });
        match (need, silent.next()) {
            (DaneNeed::Opportunistic, Some(error)) => error,
            _ => LookupError::NoDnssec,
        }
    }

    /// The servers whose word may count as `word`: those that passed, or else those that may pass again.
    pub(super) fn servers(&self, word: InForce) -> Vec<SocketAddr> {
        let that = |wanted: fn(Probe) -> bool| -> Vec<SocketAddr> {
            self.probes
                .iter()
                .filter(|(_, as_what, probe)| *as_what == word && wanted(*probe))
                .map(|(server, ..)| *server)
                .collect()
        };
        let choices = [
            that(|probe| probe == Probe::Passed),
            that(|probe| matches!(probe, Probe::Silent(_))),
        ];
        let all = that(|_| true);
        choices.into_iter().find(|c| !c.is_empty()).unwrap_or(all)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed => f.write_str("failed: the answer to `. NS` is not proven"),
            Self::Silent(error) => write!(f, "no answer: {error}"),
        }
    }
}

impl fmt::Display for Health {
    /// For the log: what is in force, and each probe.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_force.word())?;
        for (server, word, probe) in &self.probes {
            write!(f, "; {server} as {}: {probe}", word.word())?;
        }
        Ok(())
    }
}

/// Whose word may count, in the order in which they are tried.
pub(super) fn candidates(mode: DnssecMode, path_is_trusted: bool) -> &'static [InForce] {
    match (mode, path_is_trusted) {
        (DnssecMode::Off, _) => &[],
        (DnssecMode::TrustAd, _) => &[InForce::TrustAd],
        (DnssecMode::Auto, true) => &[InForce::TrustAd, InForce::Validate],
        (DnssecMode::Validate, _) | (DnssecMode::Auto, false) => &[InForce::Validate],
    }
}

/// What follows from the probes, `before` being in force.
pub(super) fn choose(
    mode: DnssecMode,
    need: DaneNeed,
    probes: &[(SocketAddr, InForce, Probe)],
    before: InForce,
) -> InForce {
    let passed = probes
        .iter()
        .find(|(.., probe)| *probe == Probe::Passed)
        .map(|(_, word, _)| *word);
    let mut silent = probes
        .iter()
        .map(|(.., probe)| matches!(probe, Probe::Silent(_)));
    match passed {
        _ if mode == DnssecMode::Off => InForce::Off,
        Some(word) => word,
        None if silent.clone().all(|silent| silent) => before,
        None if before.works() && silent.any(|silent| silent) => before,
        // A server that passed once and now strips signatures looks like an attacker on the path, so
        // that validation goes on: answers without proof are bogus, and their mail waits.
        None if before == InForce::Validate => before,
        None => match need {
            DaneNeed::Opportunistic => InForce::Unavailable,
            DaneNeed::Required => InForce::Waiting,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InForce::{Off, TrustAd, Unavailable, Validate, Waiting};

    const SILENT: Probe = Probe::Silent(LookupError::Timeout);

    fn after(before: InForce, need: DaneNeed, probes: &[(InForce, Probe)]) -> InForce {
        let server = "127.0.0.1:53".parse().unwrap();
        let probes: Vec<_> = probes
            .iter()
            .map(|(word, probe)| (server, *word, *probe))
            .collect();
        choose(DnssecMode::Auto, need, &probes, before)
    }

    #[test]
    fn a_server_that_passes_is_believed() {
        let need = DaneNeed::Opportunistic;
        assert_eq!(after(Waiting, need, &[(TrustAd, Probe::Passed)]), TrustAd);
        let fallback = [(TrustAd, Probe::Failed), (Validate, Probe::Passed)];
        assert_eq!(after(Waiting, need, &fallback), Validate);
        let one_of_two = [(TrustAd, Probe::Failed), (TrustAd, Probe::Passed)];
        assert_eq!(after(Waiting, need, &one_of_two), TrustAd);
    }

    #[test]
    fn where_none_passes_dane_is_off_or_mail_waits() {
        let none = [(TrustAd, Probe::Failed), (Validate, Probe::Failed)];
        assert_eq!(after(Waiting, DaneNeed::Opportunistic, &none), Unavailable);
        assert_eq!(after(TrustAd, DaneNeed::Opportunistic, &none), Unavailable);
        assert_eq!(after(TrustAd, DaneNeed::Required, &none), Waiting);
    }

    #[test]
    fn silence_changes_nothing() {
        for before in [Waiting, TrustAd, Validate, Unavailable] {
            let probes = [(TrustAd, SILENT), (Validate, SILENT)];
            assert_eq!(after(before, DaneNeed::Opportunistic, &probes), before);
        }
    }

    #[test]
    fn a_server_that_is_silent_may_be_the_one_that_works() {
        let one_fails = [(TrustAd, SILENT), (TrustAd, Probe::Failed)];
        let need = DaneNeed::Opportunistic;
        assert_eq!(after(TrustAd, need, &one_fails), TrustAd);
        assert_eq!(after(Waiting, need, &one_fails), Unavailable);
    }

    #[test]
    fn nobody_on_the_path_can_talk_waxseal_out_of_validating() {
        let stripped = [(Validate, Probe::Failed)];
        assert_eq!(
            after(Validate, DaneNeed::Opportunistic, &stripped),
            Validate
        );
    }

    #[test]
    fn off_is_off() {
        let off = choose(DnssecMode::Off, DaneNeed::Opportunistic, &[], Waiting);
        assert_eq!(off, Off);
        assert!(candidates(DnssecMode::Off, true).is_empty());
    }

    #[test]
    fn ad_counts_on_a_trusted_path_only() {
        assert_eq!(candidates(DnssecMode::Auto, false), [Validate]);
        assert_eq!(candidates(DnssecMode::Auto, true), [TrustAd, Validate]);
    }
}
