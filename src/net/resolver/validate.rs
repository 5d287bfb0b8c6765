//! waxseal's own validation: for hosts without a validating resolver at hand.
//!
//! hickory's `DnssecDnsHandle` verifies signatures up to the trust anchor. It is asked for one hop of a
//! chain of aliases at a time, each alias alone, and [`proof`](super::proof) judges what came; asked for
//! the whole chain it gets the status of the whole wrong. Queries carry CD (RFC 6840 §5.9): a resolver
//! that validates too shall hand over what it finds bogus, so that waxseal can say so.

use std::sync::Arc;

use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::chain::{Chain, End, cname, rrset};
use super::failure;
use super::proof::{Evidence, security};
use super::servers::Servers;
use crate::dns::LookupError;

/// RFC 9276 §3.2: above so many iterations an NSEC3 record is treated as insecure, as unbound does.
const NSEC3_ITERATIONS: u16 = 150;

/// Verdicts on RRsets that are kept, such as those on the keys of a zone.
const CACHED_VERDICTS: usize = 65_536;

/// Validates.
#[derive(Clone)]
pub(super) struct Validator(DnssecDnsHandle<Servers>);

impl Validator {
    pub(super) fn new(servers: Servers, anchors: Arc<TrustAnchors>) -> Self {
        // No count is called bogus: RFC 9276 §3.2 leaves the choice, and insecure is what others say.
        let handle = DnssecDnsHandle::with_trust_anchor(servers, anchors)
            .nsec3_iteration_limits(Some(NSEC3_ITERATIONS), Some(u16::MAX))
            .validation_cache_size(CACHED_VERDICTS);
        Self(handle)
    }

    /// Follows `name` to its end.
    pub(super) async fn look_up(&self, name: Name, kind: RecordType) -> Result<End, LookupError> {
        let mut chain = Chain::new(name);
        loop {
            let evidence = self.ask(&chain.name, kind).await?;
            let records = rrset(&evidence.response, &chain.name, kind);
            if let Some(substituted) = evidence.substituted(&chain.name) {
                let (target, proof, ttl) = substituted?;
                let security = security(proof)?;
                if kind == RecordType::CNAME {
                    let data = RData::CNAME(CNAME(target));
                    let alias = Record::from_rdata(chain.name.clone(), ttl, data);
                    return Ok(chain.records(&[&alias], security));
                }
                chain.follow(target, security, ttl)?;
            } else if !records.is_empty() {
                let proof = evidence.rrset(&chain.name, kind);
                return Ok(chain.records(&records, security(proof)?));
            } else if cname(&evidence.response, &chain.name).is_some() {
                self.follow_alias(&mut chain).await?;
            } else {
                let proof = evidence.absence(&chain.name);
                return Ok(chain.absence(&evidence.response, security(proof)?));
            }
        }
    }

    /// An alias is judged alone: the denial that comes with its target would be held against it.
    async fn follow_alias(&self, chain: &mut Chain) -> Result<(), LookupError> {
        let evidence = self.ask(&chain.name, RecordType::CNAME).await?;
        // Without the answer of a moment ago somebody is lying.
        let (target, ttl) = cname(&evidence.response, &chain.name).ok_or(LookupError::Bogus)?;
        let proof = evidence.rrset(&chain.name, RecordType::CNAME);
        chain.follow(target, security(proof)?, ttl)
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Evidence, LookupError> {
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_set_dnssec_ok = true;
        let query = Query::query(name.clone(), kind);
        match self.0.lookup(query, options).first_answer().await {
            Ok(response) => Ok(Evidence {
                response,
                denial: None,
            }),
            Err(NetError::Dns(DnsError::Nsec {
                response, proof, ..
            })) => Ok(Evidence {
                response: *response,
                denial: Some(proof),
            }),
            Err(error) => Err(failure(&error)),
        }
    }
}
