//! The way of a look-up from the name asked for along its aliases to an end.

use std::time::Duration;

use hickory_resolver::proto::op::{DnsResponse, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::dns::{Found, LookupError, Security};

/// Octets of an ordinary answer, of some ten records.
const ORDINARY: usize = 2048;
/// Aliases that are followed.
const LONGEST: usize = 10;

/// Where a look-up ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// Of every step and of the end.
    pub(super) security: Security,
    /// The name at the end, where the name asked for is an alias.
    pub(super) expanded: Option<Name>,
    /// What is there.
    pub(super) found: Found<RData>,
    /// How long this holds: the least of all TTLs.
    pub(super) ttl: Duration,
}

impl End {
    /// How many ordinary answers it takes the room of: a stranger's may be a thousand times as large.
    pub(super) fn weight(&self) -> u32 {
        let Found::Records(records) = &self.found else {
            return 1;
        };
        let octets: usize = records.iter().map(octets).sum();
        u32::try_from(1 + octets / ORDINARY).unwrap_or(u32::MAX)
    }
}

/// Roughly: of the types that are asked for only TLSA and TXT may be long.
fn octets(data: &RData) -> usize {
    let more = match data {
        RData::TLSA(tlsa) => tlsa.cert_data.len(),
        RData::TXT(txt) => txt
            .txt_data
            .iter()
            .map(|text| size_of::<Box<[u8]>>() + text.len())
            .sum(),
        _ => 0,
    };
    size_of::<RData>() + more
}

/// The steps so far.
#[derive(Debug)]
pub(super) struct Chain {
    /// The name at the end of the steps so far.
    pub(super) name: Name,
    aliases: Vec<Name>,
    security: Security,
    ttl: u32,
}

impl Chain {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            aliases: Vec::new(),
            security: Security::Secure,
            ttl: u32::MAX,
        }
    }

    /// Goes from an alias to its target. A circle or too many steps are a failure, never an absence.
    pub(super) fn follow(
        &mut self,
        target: Name,
        security: Security,
        ttl: u32,
    ) -> Result<(), LookupError> {
        if target == self.name || self.aliases.contains(&target) || self.aliases.len() == LONGEST {
            return Err(LookupError::Broken);
        }
        let alias = std::mem::replace(&mut self.name, target);
        self.aliases.push(alias);
        self.note(security, ttl);
        Ok(())
    }

    /// One insecure step makes the whole insecure; the shortest TTL holds for all.
    fn note(&mut self, security: Security, ttl: u32) {
        self.security = self.security.min(security);
        self.ttl = self.ttl.min(ttl);
    }

    pub(super) fn is_aliased(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// Ends in records.
    pub(super) fn records(self, records: &[&Record], security: Security) -> End {
        let ttl = records.iter().map(|record| record.ttl).min();
        let data = records.iter().map(|record| record.data.clone()).collect();
        self.end(Found::Records(data), security, ttl)
    }

    /// Ends in an absence, which `response` denies or proves.
    pub(super) fn absence(self, response: &DnsResponse, security: Security) -> End {
        let found = match response.metadata.response_code {
            ResponseCode::NXDomain => Found::NxDomain,
            _ => Found::NoData,
        };
        // RFC 2308 §5: without a SOA there is nothing to tell how long an absence holds.
        self.end(found, security, response.negative_ttl())
    }

    fn end(mut self, found: Found<RData>, security: Security, ttl: Option<u32>) -> End {
        self.note(security, ttl.unwrap_or(0));
        let expanded = self.is_aliased().then_some(self.name);
        End {
            security: self.security,
            expanded,
            found,
            ttl: Duration::from_secs(self.ttl.into()),
        }
    }
}

/// The records of one owner and type in the answer section.
pub(super) fn rrset<'r>(
    response: &'r DnsResponse,
    owner: &Name,
    kind: RecordType,
) -> Vec<&'r Record> {
    let of_it = |record: &&Record| record.name == *owner && record.record_type() == kind;
    response.answers.iter().filter(of_it).collect()
}

/// The target of the CNAME at `owner`, and its TTL.
pub(super) fn cname(response: &DnsResponse, owner: &Name) -> Option<(Name, u32)> {
    rrset(response, owner, RecordType::CNAME)
        .into_iter()
        .find_map(|record| match &record.data {
            RData::CNAME(target) => Some((target.0.clone(), record.ttl)),
            _ => None,
        })
}
