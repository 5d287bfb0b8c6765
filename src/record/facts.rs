//! What was known of a destination, and what followed from it for each host.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dane::Record as TlsaRecord;
use crate::policy::decide::Decision;
use crate::policy::facts::{Addresses, Dane, Facts, HostFacts, Hosts, MtaSts};
use crate::policy::verdict::Verdict;

/// What was known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FactsView {
    /// What the hosts were looked up for: the recipient domain, or the route of a rule.
    pub next_hop: String,
    /// What it is an alias of.
    pub alias: Option<String>,
    /// Whether DNSSEC proves the MX records: `secure`, `insecure`, or `unknown` and why.
    pub mx_security: String,
    /// The hosts; none where no mail can be delivered at all.
    pub hosts: Vec<HostFactsView>,
    /// The MTA-STS policy.
    pub mta_sts: MtaStsView,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostFactsView {
    /// Its name, or an address.
    pub host: String,
    /// The preference of its MX record.
    pub preference: u16,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Why there are none.
    pub no_address: Option<String>,
    /// Its TLSA records.
    pub dane: DaneView,
    /// Which `mx` of the MTA-STS policy names it, for people.
    pub mta_sts: Option<String>,
    /// What it must prove, or why it is not tried, for people.
    pub must: Option<String>,
}

/// The TLSA records of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DaneView {
    /// `published` (and proven by DNSSEC), `absent` or `failed`.
    pub state: String,
    /// Why they are absent, or what failed.
    pub why: Option<String>,
    /// The name that has them.
    pub owner: Option<String>,
    /// The records.
    pub records: Vec<TlsaView>,
}

/// One TLSA record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TlsaView {
    /// The record.
    pub record: String,
    /// Why it cannot be used.
    pub unusable: Option<String>,
}

/// The MTA-STS policy of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MtaStsView {
    /// What is known, for people.
    pub state: String,
    /// `enforce` or `testing`.
    pub mode: Option<String>,
    /// The id of the record that led to it.
    pub id: Option<String>,
    /// The patterns for MX hosts.
    pub mx: Vec<String>,
    /// When it was fetched.
    pub fetched: Option<String>,
    /// From when on it does not count.
    pub expires: Option<String>,
}

impl FactsView {
    /// Of a decision.
    pub fn of(decision: &Decision) -> Self {
        let facts = &decision.facts;
        let hosts = match &facts.hosts {
            Hosts::Known(hosts) => &hosts[..],
            _ => &[],
        };
        let view = |(at, host)| HostFactsView::of(facts, host, must(&decision.verdict, at));
        Self {
            next_hop: facts.next_hop.to_string(),
            alias: facts.expanded.as_ref().map(ToString::to_string),
            mx_security: facts.mx_security(),
            hosts: hosts.iter().enumerate().map(view).collect(),
            mta_sts: MtaStsView::of(&facts.mta_sts),
        }
    }
}

/// What the host at this place must prove. A plan has the hosts in the order of the facts.
fn must(verdict: &Verdict, at: usize) -> Option<String> {
    let Verdict::Deliver(plan) = verdict else {
        return None;
    };
    Some(match &plan.candidates.get(at)?.way {
        Ok(way) => way.requirement.to_string(),
        Err(failure) => format!("not tried: {failure}"),
    })
}

impl HostFactsView {
    fn of(facts: &Facts, host: &HostFacts, must: Option<String>) -> Self {
        let (addresses, no_address) = match &host.addresses {
            Addresses::Known(known) => (known.iter().map(ToString::to_string).collect(), None),
            Addresses::None => (Vec::new(), Some("no address".to_owned())),
            Addresses::LookupFailed(error) => {
                (Vec::new(), Some(format!("address look-up failed: {error}")))
            }
        };
        Self {
            host: host.host.to_string(),
            preference: host.preference,
            addresses,
            no_address,
            dane: DaneView::of(&host.dane),
            mta_sts: facts.named_by_mta_sts(&host.host),
            must,
        }
    }
}

impl DaneView {
    fn of(dane: &Dane) -> Self {
        let without = |state: &str, why| Self {
            state: state.to_owned(),
            why: Some(why),
            owner: None,
            records: Vec::new(),
        };
        match dane {
            Dane::Absent(why) => without("absent", why.to_string()),
            Dane::LookupFailed { question, error } => without(
                "failed",
                format!("the look-up of {question} failed: {error}"),
            ),
            Dane::Published(set) => Self {
                state: "published".to_owned(),
                why: None,
                owner: Some(set.owner()),
                records: set.records().iter().map(TlsaView::of).collect(),
            },
        }
    }
}

impl TlsaView {
    fn of(record: &TlsaRecord) -> Self {
        Self {
            record: record.tlsa.to_string(),
            unusable: record.usability.as_ref().err().map(ToString::to_string),
        }
    }
}

impl MtaStsView {
    fn of(mta_sts: &MtaSts) -> Self {
        let fetched = match mta_sts {
            MtaSts::Policy(fetched) => Some(fetched),
            MtaSts::Absent(_) | MtaSts::Unknown(_) => None,
        };
        let patterns = fetched.iter().flat_map(|fetched| &fetched.policy.mx);
        Self {
            state: mta_sts.to_string(),
            mode: fetched.map(|fetched| fetched.policy.mode.word().to_owned()),
            id: fetched.map(|fetched| fetched.id.to_string()),
            mx: patterns.map(ToString::to_string).collect(),
            fetched: fetched.map(|fetched| fetched.at.to_string()),
            expires: fetched.map(|fetched| fetched.expires().to_string()),
        }
    }
}
