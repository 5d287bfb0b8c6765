//! Whose address is it? What a server has to prove where the MTA, not waxseal, has chosen the address.
//!
//! An MTA that is intercepted names an address and later a recipient, never an MX. So the candidates are
//! all hosts of the recipient's domain, and the server is authentic when it proves to be one of them.
//!
//! An address that DNS gives to a host must show what is asked of that host. An address that DNS gives to
//! none of them proves nothing by that alone, because big providers rotate theirs; it must show what is
//! asked of the strictest. In either case the proof of *any* host will do, since whoever proves to be an MX
//! of the domain is one. Hosts about which a look-up failed count among the strictest: a failed look-up is
//! never an absence.
//!
//! A server may show another certificate for each name in SNI. The first name is that of the expected host;
//! [`Claims::other_names`] has those that are as likely.

use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{Host, MailHost};
use crate::policy::authorize::{Authorized, Peer, authorize};
use crate::policy::downgrade::Sight;
use crate::policy::facts::{Addresses, Facts, Hosts};
use crate::policy::failure::Failure;
use crate::policy::handshake::Channel;
use crate::policy::requirement::{Demand, Requirement};
use crate::policy::verdict::{Candidate, Plan, Policy};
use crate::time::UnixTime;

/// One host that the server may turn out to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The host.
    pub host: MailHost,
    /// What it must prove.
    pub requirement: Arc<Requirement>,
}

/// The hosts that the server may turn out to be; at least one. The first is the one that is expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    expected: Claim,
    as_likely: Vec<Claim>,
    others: Vec<Claim>,
}

/// How much a host asks for; the greater is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strictness {
    /// The host has no address: nothing can be at it.
    Nowhere,
    Plaintext,
    Opportunistic,
    Encryption,
    /// Its identity, or what nobody can prove.
    Identity,
}

impl Strictness {
    fn of(candidate: &Candidate) -> Self {
        match &candidate.way {
            Err(Failure::NoAddress(_)) => Self::Nowhere,
            Err(_) => Self::Identity,
            Ok(way) => match way.requirement.demand {
                Demand::Plaintext => Self::Plaintext,
                Demand::Opportunistic => Self::Opportunistic,
                Demand::Encryption => Self::Encryption,
                Demand::Pkix { .. }
                | Demand::Dane { .. }
                | Demand::Fingerprint(_)
                | Demand::Unsatisfiable(_) => Self::Identity,
            },
        }
    }
}

/// Finds out which hosts the server at `address` may be, and what each must prove. `named` is the host that
/// the MTA asked for by its name. Fails where no proof would do.
pub fn identify(
    plan: &Plan,
    facts: &Facts,
    address: IpAddr,
    named: Option<&Host>,
) -> Result<Claims, (Policy, Failure)> {
    let is_home = |candidate: &&Candidate| {
        named.is_some_and(|name| candidate.host.name() == Some(name))
            || lives_at(facts, &candidate.host, address)
    };
    let mut candidates: Vec<&Candidate> = plan.candidates.iter().collect();
    candidates.sort_by_key(|candidate| candidate.preference);
    let (home, rest): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_home);
    let (pool, rest) = if home.is_empty() {
        (rest, Vec::new())
    } else {
        (home, rest)
    };
    let strictest = pool.iter().map(|one| Strictness::of(one)).max();
    let in_pool = pool
        .iter()
        .filter(|one| Some(Strictness::of(one)) == strictest);
    let in_rest = rest
        .iter()
        .filter(|one| Strictness::of(one) == Strictness::Identity);
    let mut likely: Vec<Claim> = in_pool.clone().filter_map(|one| claim(one)).collect();
    let mut others: Vec<Claim> = in_rest.filter_map(|one| claim(one)).collect();
    if likely.is_empty() {
        likely = std::mem::take(&mut others);
    }
    let mut likely = likely.into_iter();
    match (likely.next(), in_pool.clone().find_map(|one| failed(one))) {
        (Some(expected), _) => Ok(Claims {
            expected,
            as_likely: likely.collect(),
            others,
        }),
        (None, Some(failure)) => Err(failure),
        // A plan has at least one candidate.
        (None, None) => Err((
            Policy::Opportunistic,
            Failure::NoUsableMx(facts.next_hop.clone()),
        )),
    }
}

fn lives_at(facts: &Facts, host: &MailHost, address: IpAddr) -> bool {
    let Hosts::Known(hosts) = &facts.hosts else {
        return false;
    };
    let known = hosts.iter().filter(|known| known.host == *host);
    known
        .filter_map(|known| match &known.addresses {
            Addresses::Known(addresses) => Some(addresses),
            Addresses::None | Addresses::LookupFailed(_) => None,
        })
        .any(|addresses| addresses.contains(&address))
}

fn claim(candidate: &Candidate) -> Option<Claim> {
    let way = candidate.way.as_ref().ok()?;
    Some(Claim {
        host: candidate.host.clone(),
        requirement: Arc::clone(&way.requirement),
    })
}

fn failed(candidate: &Candidate) -> Option<(Policy, Failure)> {
    let failure = candidate.way.as_ref().err()?;
    Some((candidate.policy, failure.clone()))
}

impl Claims {
    /// The host that is expected; its name goes into SNI.
    pub fn expected(&self) -> &Claim {
        &self.expected
    }

    /// All of them, the expected one first.
    pub fn iter(&self) -> impl Iterator<Item = &Claim> {
        let likely = std::iter::once(&self.expected).chain(&self.as_likely);
        likely.chain(&self.others)
    }

    /// Of those that are as likely as the expected one, one for each further name in SNI.
    pub fn other_names(&self) -> Vec<&Claim> {
        let name = |claim: &Claim| claim.requirement.server_name.clone();
        let mut names = vec![&self.expected];
        for claim in &self.as_likely {
            if !names.iter().any(|known| name(known) == name(claim)) {
                names.push(claim);
            }
        }
        names.split_off(1)
    }

    /// Holds `channel` against each claim, and takes the one that it satisfies best. If none, the failure is
    /// that of the expected host.
    pub fn authorize(
        &self,
        channel: Channel<'_>,
        address: IpAddr,
        now: UnixTime,
    ) -> Result<(&Claim, Authorized), Failure> {
        let judged = |claim: &Claim| {
            let peer = Peer {
                host: claim.host.clone(),
                address,
            };
            authorize(&claim.requirement, channel, &peer, now)
        };
        let satisfied = self
            .iter()
            .filter_map(|claim| Some((claim, judged(claim).ok()?)));
        match satisfied.min_by_key(|(_, authorized)| blemishes(authorized)) {
            Some(satisfied) => Ok(satisfied),
            None => judged(&self.expected).map(|authorized| (&self.expected, authorized)),
        }
    }
}

/// What a rule that only observes, or a policy that is only tested, would have found wrong, and what the host
/// has shown before and does not show now.
fn blemishes(authorized: &Authorized) -> usize {
    let tested = matches!(authorized.tested(), Some(Err(_)));
    let lost = matches!(authorized.sight(), Sight::Lost(_));
    usize::from(authorized.would_block().is_some()) + usize::from(tested) + usize::from(lost)
}
