//! `standard` in Postfix's words: one answer for hosts of which each may have its own policy.
//!
//! What Postfix does with the levels: `dane-only` uses hosts with matching TLSA records and no others, and wants
//! signed MX records; `dane` uses TLSA records where a host has them and is `may` for the others, and `may` for all where
//! `smtp_dns_support_level` is not `dnssec`; `secure` knows no TLSA records at all. So, the first row that fits:
//!
//! | MX records | hosts | MTA-STS `enforce` | no MTA-STS, floor `encrypt` | no MTA-STS, floor `may` |
//! | --- | --- | --- | --- | --- |
//! | any | none that may be used | `TEMP` | `TEMP` | `TEMP` |
//! | signed | all with DANE | `dane-only` | `dane-only` | `dane-only` |
//! | signed | some with DANE | `dane-only` | `dane-only` | `dane` |
//! | signed | TLSA look-up failed for some | `secure` without those | `TEMP` | `dane` |
//! | any | TLSA records unusable for all | `secure` | `encrypt` | `encrypt` |
//! | any | TLSA records for some | `secure` | `encrypt` | `dane` |
//! | any | no DANE | `secure` | `encrypt` | `NOTFOUND` |
//!
//! So MTA-STS never takes the place of DANE where the MX records are signed. Where they are not, TLSA records prove no more
//! than the host that somebody named (RFC 7672 §2.2.1), and what is asked by others comes first. Where `dane-only` leaves
//! hosts out that the policy would let take mail, they were the weaker ones. If nobody knows whether there is an MTA-STS
//! policy (its record cannot be looked up), DANE with signed MX records still will do, and nothing else. A policy in mode `testing` is none.
//! A host with DANE that the policy does not name could not be left out: `TEMP`.

use std::iter::zip;

use super::{Answer, Asked, Attributes, Line, NOTHING_ASKED};
use crate::dns::Security;
use crate::mtasts::{Fetched, Mode};
use crate::policy::facts::{Dane, HostFacts, Hosts, MtaSts, Unknown};
use crate::policy::failure::Failure;
use crate::policy::requirement::Demand;
use crate::policy::rules::Floor;
use crate::policy::verdict::Candidate;

/// One host: what is known, and what follows.
#[derive(Clone, Copy)]
struct Host<'a> {
    facts: &'a HostFacts,
    candidate: &'a Candidate,
}

impl Host<'_> {
    fn demand(&self) -> Option<&Demand> {
        let way = self.candidate.way.as_ref().ok();
        way.map(|way| &way.requirement.demand)
    }

    fn proves_by_dane(&self) -> bool {
        matches!(self.demand(), Some(Demand::Dane { .. }))
    }

    fn dane_is_unknown(&self) -> bool {
        matches!(self.facts.dane, Dane::LookupFailed { .. })
    }

    /// Postfix would use it by DANE, and the MTA-STS policy does not name it.
    fn is_beside_the_policy(&self) -> bool {
        matches!(&self.facts.dane, Dane::Published(set) if set.is_usable())
            && matches!(self.candidate.way, Err(Failure::MtaStsMismatch { .. }))
    }
}

impl Asked<'_> {
    pub(super) fn standard(&self, floor: Floor) -> Answer {
        let hosts = self.hosts();
        if hosts.iter().all(|host| host.demand().is_none()) {
            return self.later();
        }
        match self.question.mta_sts() {
            MtaSts::Policy(fetched) if fetched.policy.mode == Mode::Enforce => {
                self.by_policy(fetched, &hosts)
            }
            MtaSts::Unknown(why) => self.without_knowing(why, &hosts),
            MtaSts::Policy(_) | MtaSts::Absent(_) => self.by_floor(floor, &hosts),
        }
    }

    fn hosts(&self) -> Vec<Host<'_>> {
        let Hosts::Known(facts) = &self.question.facts.hosts else {
            return Vec::new();
        };
        zip(facts, &self.plan.candidates)
            .map(|(facts, candidate)| Host { facts, candidate })
            .collect()
    }

    /// Whether Postfix's `dane-only` would use any of the hosts.
    fn dane_will_do(&self, hosts: &[Host<'_>]) -> bool {
        self.question.facts.security == Security::Secure && hosts.iter().any(Host::proves_by_dane)
    }

    /// Nobody knows whether there is an MTA-STS policy.
    fn without_knowing(&self, why: &Unknown, hosts: &[Host<'_>]) -> Answer {
        if self.dane_will_do(hosts) {
            return self.dane("dane-only");
        }
        self.question.facts.next_hop.domain().cloned().map_or_else(
            || self.later(),
            |domain| {
                let why = why.clone();
                Answer::Later(Failure::MtaStsLookup { domain, why }.to_string())
            },
        )
    }

    /// RFC 8461 §2: a policy never takes the place of DANE.
    fn by_policy(&self, fetched: &Fetched, hosts: &[Host<'_>]) -> Answer {
        if !self.dane_will_do(hosts) {
            return self.by_names(fetched, hosts);
        }
        match hosts.iter().find(|host| host.is_beside_the_policy()) {
            // RFC 8461 §5: it must not be used, and beside DANE Postfix takes no list of hosts.
            Some(host) => Answer::Later(format!(
                "the MTA-STS policy of {} does not name {}, which has TLSA records, and Postfix cannot leave it out; a rule with `mta_sts = false` or `tls = \"dane-only\"` would let it",
                self.question.facts.next_hop, host.facts.host
            )),
            None => self.dane("dane-only"),
        }
    }

    /// The certificate must name one of the MX hosts that the policy names. Not the policy's patterns: to Postfix `.name`
    /// is any number of labels, and RFC 8461 §4.1 lets `*.name` be one. Nor the word `hostname`: until 3.10.5
    /// Postfix connects to every MX host, and any server could prove a name of its own (RFC 8461 §4.2). So whoever
    /// takes the mail has proven to be a host that may, be it at the address of another one.
    fn by_names(&self, fetched: &Fetched, hosts: &[Host<'_>]) -> Answer {
        let usable = hosts.iter().filter(|host| host.demand().is_some());
        let names: Vec<&str> = usable
            .filter_map(|host| host.facts.host.name())
            .map(crate::name::Host::as_str)
            .collect();
        if names.is_empty() {
            return self.later();
        }
        let mut line = Line::of("secure");
        line.put("match", &names.join(":"));
        line.put("servername", self.server_name());
        line.protocols(self.question.rule);
        // With them Postfix goes by the policy's own patterns, which leave no host out for its TLSA records.
        let all_known = !hosts.iter().any(Host::dane_is_unknown);
        if self.attributes == Attributes::Told && all_known {
            self.describe(fetched, &mut line);
        }
        line.answer()
    }

    /// The attributes of Postfix 3.10 and later (its `TLSRPT_README`), which 3.10.5 and later also use to leave out MX hosts
    /// that the policy does not name. The policy is written anew: its own text is a stranger's, and a brace in it
    /// could begin another attribute.
    fn describe(&self, fetched: &Fetched, line: &mut Line) {
        let policy = &fetched.policy;
        line.put("policy_type", "sts");
        line.put("policy_domain", &self.question.facts.next_hop.to_string());
        let mut strings = vec![
            "version: STSv1".to_owned(),
            format!("mode: {}", policy.mode.word()),
        ];
        strings.extend(policy.mx.iter().map(|pattern| format!("mx: {pattern}")));
        strings.push(format!("max_age: {}", policy.max_age.as_secs()));
        for string in strings {
            line.put_braced("policy_string", &string);
        }
        for pattern in &policy.mx {
            line.put("mx_host_pattern", &pattern.to_string());
        }
    }

    fn by_floor(&self, floor: Floor, hosts: &[Host<'_>]) -> Answer {
        let mut demands = hosts.iter().filter_map(Host::demand);
        let is_dane = |demand: &Demand| matches!(demand, Demand::Dane { .. });
        let all_dane = demands.clone().all(is_dane);
        let dane_will_do = self.dane_will_do(hosts);
        let is_signed = self.question.facts.security == Security::Secure;
        let unknown = hosts.iter().any(Host::dane_is_unknown);
        let all_encrypt = demands.clone().all(|demand| *demand == Demand::Encryption);
        let any_dane = unknown || demands.any(|demand| *demand != Demand::Opportunistic);
        match floor {
            _ if dane_will_do && all_dane => self.dane("dane-only"),
            Floor::Encrypt if dane_will_do => self.dane("dane-only"),
            Floor::Encrypt if is_signed && unknown => self.later(),
            Floor::Encrypt => self.plain("encrypt"),
            Floor::May if all_encrypt && !unknown => self.plain("encrypt"),
            Floor::May if any_dane => self.dane("dane"),
            Floor::May => NOTHING_ASKED,
        }
    }
}
