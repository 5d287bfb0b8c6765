//! What one validated response proves: the checks that hickory 0.26.3 leaves to its caller.
//!
//! hickory verifies each RRset by its signatures, up to the trust anchor, and marks its records. What
//! these marks mean for the question is decided here, one rule a function, because hickory's own word
//! on the whole response is wrong both ways: it takes the unsigned SOA of any insecure zone for a denial
//! (and thereby lets anybody switch DANE off), and it finds common wildcards, aliases and DNAMEs bogus.

use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, RRSIG};
use hickory_resolver::proto::op::{DnsResponse, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinDecoder};

use super::chain::rrset;
use crate::dns::{LookupError, Security};

/// A response whose records hickory has marked.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) response: DnsResponse,
    /// hickory's word on the NSEC and NSEC3 records, where it was not content; what they are held
    /// against is the name of the query.
    pub(super) denial: Option<Proof>,
}

/// What a proof amounts to: bogus and unproven are failures.
pub(super) fn security(proof: Proof) -> Result<Security, LookupError> {
    match proof {
        Proof::Secure => Ok(Security::Secure),
        Proof::Insecure => Ok(Security::Insecure),
        Proof::Bogus | Proof::Indeterminate => Err(LookupError::Bogus),
    }
}

/// The least that is proven of any of these; nothing proves nothing. A signature is no data and has no
/// mark of its own.
fn weakest<'r>(records: impl IntoIterator<Item = &'r Record>) -> Proof {
    records
        .into_iter()
        .filter(|record| !matches!(record.record_type(), RecordType::RRSIG | RecordType::OPT))
        .map(|record| record.proof)
        .min()
        .unwrap_or(Proof::Bogus)
}

impl Evidence {
    /// RFC 4035 §5.3: what is proven of the RRset of `owner`, which the response holds.
    pub(super) fn rrset(&self, owner: &Name, kind: RecordType) -> Proof {
        let proof = weakest(rrset(&self.response, owner, kind));
        if proof != Proof::Secure {
            return proof;
        }
        let Some(signature) = self.signature(owner, kind) else {
            return Proof::Bogus;
        };
        if !is_expanded(signature, owner) {
            // Whatever NSEC records came along, they are not about this answer.
            return proof;
        }
        match self.denial {
            None | Some(Proof::Bogus) if self.no_closer_match(signature, owner) => proof,
            // Held against the hashes by hickory, which holds nothing against anything where it takes all
            // of the authority section for insecure.
            None if self.has_secure_nsec3() => proof,
            None => Proof::Bogus,
            Some(denial) => denial.min(proof),
        }
    }

    /// RFC 5155 §8.8: the proof that a wildcard may answer, by NSEC3.
    fn has_secure_nsec3(&self) -> bool {
        let authorities = self.response.authorities.iter();
        authorities
            .filter(|record| record.proof == Proof::Secure)
            .any(|record| matches!(&record.data, RData::DNSSEC(DNSSECRData::NSEC3(_))))
    }

    /// The signature that proved an RRset.
    fn signature(&self, owner: &Name, kind: RecordType) -> Option<&RRSIG> {
        self.response
            .answers
            .iter()
            .filter(|record| record.name == *owner && record.proof == Proof::Secure)
            .find_map(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
                _ => None,
            })
            .filter(|signature| signature.input().type_covered == kind)
    }

    /// RFC 4035 §5.3.4: a wildcard may only answer where no closer name exists. Proven by an NSEC
    /// record of the same zone that covers the name one label longer than the wildcard's parent.
    fn no_closer_match(&self, signature: &RRSIG, owner: &Name) -> bool {
        let labels = usize::from(signature.input().num_labels);
        let next_closer = owner.trim_to(labels + 1);
        let authorities = self.response.authorities.iter();
        authorities
            .filter(|record| record.proof == Proof::Secure)
            .any(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
                    self.is_denial_of(&signature.input().signer_name, &record.name)
                        && covers(&record.name, nsec, &next_closer)
                }
                _ => false,
            })
    }

    /// Whether the NSEC record of `owner` is signed by `zone`: a zone below it may sign what it likes.
    fn is_denial_of(&self, zone: &Name, owner: &Name) -> bool {
        let authorities = self.response.authorities.iter();
        authorities
            .filter(|record| record.name == *owner && record.proof == Proof::Secure)
            .any(|record| match &record.data {
                RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
                    let input = signature.input();
                    input.type_covered == RecordType::NSEC && input.signer_name == *zone
                }
                _ => false,
            })
    }

    /// RFC 4035 §5.4: what is proven of the absence of `name` or of its records.
    pub(super) fn absence(&self, name: &Name) -> Proof {
        if let Some(denial) = self.denial {
            return denial;
        }
        if self.response.authorities.is_empty() {
            // hickory found nothing to look at and walked down the DS records to an unsigned zone.
            return Proof::Insecure;
        }
        if !self.soa_is_of_its_zone(name) {
            return Proof::Bogus;
        }
        let proof = weakest(&self.response.authorities);
        if proof == Proof::Secure && self.opts_out() {
            return Proof::Insecure;
        }
        proof
    }

    /// RFC 2308 §3: the SOA of a denial is that of the zone that the name is in. Without this rule the
    /// SOA of any unsigned zone would deny any name.
    fn soa_is_of_its_zone(&self, name: &Name) -> bool {
        self.response
            .authorities
            .iter()
            .find(|record| record.record_type() == RecordType::SOA)
            .is_some_and(|soa| soa.name.zone_of(name))
    }

    /// RFC 5155 §9.2: where a span is opted out there may be unsigned delegations, so that the absence
    /// of a name in it is not proven.
    fn opts_out(&self) -> bool {
        self.response.metadata.response_code == ResponseCode::NXDomain
            && self
                .response
                .authorities
                .iter()
                .any(|record| match &record.data {
                    RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => nsec3.opt_out(),
                    _ => false,
                })
    }

    /// RFC 6672 §2.2: the name that a DNAME above `name` makes of it, the proof of the DNAME and its
    /// TTL. The CNAME that the server synthesised says the same or a lie; it is not looked at.
    pub(super) fn substituted(
        &self,
        name: &Name,
    ) -> Option<Result<(Name, Proof, u32), LookupError>> {
        let dname = self.response.answers.iter().find(|record| {
            record.record_type() == RecordType::DNAME
                && record.name != *name
                && record.name.zone_of(name)
        })?;
        let target = target_of(dname)?;
        // A DNAME may come from a wildcard too, and then goes for names that no closer one exists of.
        let proof = self.rrset(&dname.name, RecordType::DNAME);
        Some(
            substitute(name, &dname.name, &target)
                .map(|new| (new, proof, dname.ttl))
                .ok_or(LookupError::Broken),
        )
    }
}

/// RFC 4034 §3.1.3: fewer labels than the owner mean that a wildcard was expanded.
fn is_expanded(signature: &RRSIG, owner: &Name) -> bool {
    signature.input().num_labels < owner.num_labels()
}

/// RFC 4034 §4.1.1: whether `name` lies between the owner of an NSEC record and the next name, so that
/// it does not exist.
fn covers(owner: &Name, nsec: &NSEC, name: &Name) -> bool {
    let next = nsec.next_domain_name();
    let last_of_zone = next <= owner;
    let before_next = name < next || (last_of_zone && next.zone_of(name));
    // An empty non-terminal exists, although no NSEC record has it as owner.
    let above_next = name.zone_of(next);
    owner < name && before_next && !above_next && !is_cut_above(owner, nsec, name)
}

/// RFC 6840 §4.1: the parent's NSEC record at a delegation or a DNAME says nothing of the names below.
fn is_cut_above(owner: &Name, nsec: &NSEC, name: &Name) -> bool {
    let types = nsec.type_set();
    let delegation = types.contains(RecordType::NS) && !types.contains(RecordType::SOA);
    (delegation || types.contains(RecordType::DNAME)) && owner.zone_of(name)
}

/// hickory has no type for DNAME; its data is one name, never compressed (RFC 6672 §2.5).
fn target_of(dname: &Record) -> Option<Name> {
    match &dname.data {
        RData::Unknown { rdata, .. } => Name::read(&mut BinDecoder::new(&rdata.anything)).ok(),
        _ => None,
    }
}

/// `name` with the suffix `owner` replaced by `target`; none where that gets too long.
fn substitute(name: &Name, owner: &Name, target: &Name) -> Option<Name> {
    let kept = usize::from(name.num_labels().checked_sub(owner.num_labels())?);
    let mut new = Name::from_labels(name.iter().take(kept).chain(target.iter())).ok()?;
    new.set_fqdn(true);
    Some(new)
}

#[cfg(test)]
mod tests;
