//! Signed zones, their keys made when they are: a root, `test` below it, and what a test puts below that.
//!
//! Answers are those of a resolver that passes signatures on and checks nothing: records and aliases with their
//! signatures, wildcards expanded, DNAMEs followed, and for an absence the NSEC or NSEC3 records that prove it. What
//! is wrong with a zone is its [`Flaw`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE32HEX_NOPAD;
use hickory_resolver::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_resolver::proto::dnssec::rdata::{
    DNSKEY, DNSSECRData, DS, NSEC, NSEC3, RRSIG, SigInput,
};
use hickory_resolver::proto::dnssec::{
    Algorithm, DigestType, DnssecSigner, Nsec3HashAlgorithm, PublicKey, PublicKeyBuf, SigningKey,
    TBS,
};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{CNAME, NS, NULL};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};
use hickory_resolver::proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable};

use super::data::{Found, LONGEST_CHAIN, parse_records};

const TTL: u32 = 300;
const DAY: i64 = 86_400;
const UNKNOWN: Algorithm = Algorithm::Unknown(200);

/// How a zone proves what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    Nsec,
    Nsec3,
    /// NSEC3, its spans opted out: unsigned delegations are not proven.
    OptOut,
}

/// What is wrong with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Not signed, and its parent says so.
    Unsigned,
    /// Signed, but its parent knows nothing of it.
    Island,
    /// Its parent has the digest of another key.
    WrongDs,
    /// Its parent has the digest of a key, but it is not signed.
    NotSignedAfterAll,
    Expired,
    NotYetValid,
    /// All of its records have changed since they were signed.
    Tampered,
    /// Its keys and signatures are of an algorithm that nobody knows.
    UnknownAlgorithm,
}

impl Flaw {
    fn is_signed(self) -> bool {
        !matches!(self, Self::Unsigned | Self::NotSignedAfterAll)
    }

    fn has_ds(self) -> bool {
        !matches!(self, Self::Unsigned | Self::Island)
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::UnknownAlgorithm => UNKNOWN,
            _ => Algorithm::ECDSAP256SHA256,
        }
    }

    /// When its signatures are valid, in seconds from now.
    fn validity(self) -> (i64, i64) {
        match self {
            Self::Expired => (-20 * DAY, -10 * DAY),
            Self::NotYetValid => (10 * DAY, 20 * DAY),
            _ => (-DAY, 10 * DAY),
        }
    }
}

/// The zones of a tree.
pub(crate) struct Tree(BTreeMap<Name, Zone>);

struct Zone {
    apex: Name,
    sets: BTreeMap<Name, BTreeMap<RecordType, Vec<Record>>>,
    key: DnssecSigner,
    denial: Denial,
    flaw: Flaw,
}

/// What a zone knows of a name: records and proofs.
enum Step {
    Found(Vec<Record>, Vec<Record>),
    Alias(Vec<Record>, Vec<Record>, Name),
    Absent(ResponseCode, Vec<Record>),
}

pub(super) fn absolute(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

impl Tree {
    /// A root and `test`, both signed.
    pub(crate) fn new() -> Self {
        let mut tree = Self(BTreeMap::new());
        tree.insert(Zone::new("", "", Denial::Nsec, Flaw::None));
        tree.with("test", "", Denial::Nsec, Flaw::None)
    }

    /// With one more zone, of lines as they are in a zone text, and its delegation. Parents come first.
    pub(crate) fn with(mut self, apex: &str, text: &str, denial: Denial, flaw: Flaw) -> Self {
        let zone = Zone::new(apex, text, denial, flaw);
        let parent = self.parent_of(&zone.apex).unwrap();
        let delegation = zone.delegation();
        let parent = self.0.get_mut(&parent).unwrap();
        for record in delegation {
            parent.add(record);
        }
        self.insert(zone);
        self
    }

    fn insert(&mut self, zone: Zone) {
        self.0.insert(zone.apex.clone(), zone);
    }

    fn parent_of(&self, apex: &Name) -> Option<Name> {
        let above = |zone: &&Name| zone.zone_of(apex) && *zone != apex;
        self.0
            .keys()
            .filter(above)
            .max_by_key(|n| n.num_labels())
            .cloned()
    }

    /// The DNSKEY record of the root, as a trust anchor file has it.
    pub(crate) fn anchor(&self) -> String {
        let key = self.0[&Name::root()].dnskey();
        let text = data_encoding::BASE64.encode(key.public_key().public_bytes());
        format!(". 300 IN DNSKEY 257 3 13 {text}\n")
    }

    /// RFC 4035 §3.1.4.1: a DS record is the parent's.
    fn zone_for(&self, name: &Name, kind: RecordType) -> &Zone {
        let zones = self.0.values().filter(|zone| zone.apex.zone_of(name));
        let mut zones: Vec<&Zone> = zones.collect();
        zones.sort_by_key(|zone| zone.apex.num_labels());
        let last = zones.pop().unwrap();
        match zones.pop() {
            Some(parent) if kind == RecordType::DS && last.apex == *name => parent,
            _ => last,
        }
    }

    pub(super) fn look_up(&self, name: &Name, kind: RecordType) -> Found {
        let mut found = Found {
            code: ResponseCode::NoError,
            answers: Vec::new(),
            authorities: Vec::new(),
            path: vec![name.clone()],
        };
        while found.path.len() <= LONGEST_CHAIN {
            let name = found.path.last().unwrap().clone();
            match self.zone_for(&name, kind).step(&name, kind) {
                Step::Found(records, proofs) => {
                    found.answers.extend(records);
                    found.authorities.extend(proofs);
                    return found;
                }
                Step::Alias(records, proofs, target) => {
                    found.answers.extend(records);
                    found.authorities.extend(proofs);
                    found.path.push(target);
                }
                Step::Absent(code, proofs) => {
                    found.code = code;
                    found.authorities.extend(proofs);
                    return found;
                }
            }
        }
        found
    }
}

impl Zone {
    fn new(apex: &str, text: &str, denial: Denial, flaw: Flaw) -> Self {
        let apex = absolute(apex);
        let pkcs8 = EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256).unwrap();
        let key = EcdsaSigningKey::from_pkcs8(&pkcs8, Algorithm::ECDSAP256SHA256).unwrap();
        let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
        let key = DnssecSigner::new(dnskey, Box::new(key), apex.clone(), Duration::from_secs(1));
        let mut zone = Self {
            apex: apex.clone(),
            sets: BTreeMap::new(),
            key,
            denial,
            flaw,
        };
        let ns = RData::NS(NS(absolute("ns")));
        zone.add(Record::from_rdata(apex.clone(), TTL, ns));
        let head = format!("{apex} SOA ns. hostmaster. 1 3600 600 86400 60\n{text}");
        for record in parse_records(&head) {
            zone.add(record);
        }
        if flaw.is_signed() {
            let data = RData::DNSSEC(DNSSECRData::DNSKEY(zone.dnskey()));
            zone.add(Record::from_rdata(apex, TTL, data));
        }
        zone
    }

    fn add(&mut self, record: Record) {
        let sets = self.sets.entry(record.name.clone()).or_default();
        sets.entry(record.record_type()).or_default().push(record);
    }

    fn dnskey(&self) -> DNSKEY {
        let key = self.key.dnskey().public_key().public_bytes().to_vec();
        DNSKEY::with_flags(257, PublicKeyBuf::new(key, self.flaw.algorithm()))
    }

    /// What its parent says of it.
    fn delegation(&self) -> Vec<Record> {
        let of_it = |data| Record::from_rdata(self.apex.clone(), TTL, data);
        let mut records = vec![of_it(RData::NS(NS(absolute("ns"))))];
        if self.flaw.has_ds() {
            let key = self.dnskey();
            let mut digest = key
                .to_digest(&self.apex, DigestType::SHA256)
                .unwrap()
                .as_ref()
                .to_vec();
            if self.flaw == Flaw::WrongDs {
                digest[0] ^= 1;
            }
            let tag = key.calculate_key_tag().unwrap();
            let ds = DS::new(tag, self.flaw.algorithm(), DigestType::SHA256, digest);
            records.push(of_it(RData::DNSSEC(DNSSECRData::DS(ds))));
        }
        records
    }

    fn step(&self, name: &Name, kind: RecordType) -> Step {
        if let Some(sets) = self.sets.get(name) {
            return match (sets.get(&kind), sets.get(&RecordType::CNAME)) {
                (Some(records), _) => Step::Found(self.signed(records), vec![]),
                (None, Some(alias)) => Step::Alias(self.signed(alias), vec![], target(&alias[0])),
                (None, None) => Step::Absent(ResponseCode::NoError, self.no_data(name)),
            };
        }
        if let Some(step) = self.redirected(name) {
            return step;
        }
        if self.exists(name) {
            return Step::Absent(ResponseCode::NoError, self.no_data(name));
        }
        self.by_wildcard(name, kind)
    }

    /// RFC 6672 §3.1: the DNAME, and a CNAME made of it that has no signature.
    fn redirected(&self, name: &Name) -> Option<Step> {
        let (owner, records) = self.sets.iter().find_map(|(owner, sets)| {
            let records = sets.get(&RecordType::DNAME)?;
            (owner.zone_of(name) && owner != name).then_some((owner, records))
        })?;
        let kept = usize::from(name.num_labels() - owner.num_labels());
        let to = target(&records[0]);
        let mut new = Name::from_labels(name.iter().take(kept).chain(to.iter())).unwrap();
        new.set_fqdn(true);
        let mut answer = self.signed(records);
        let alias = RData::CNAME(CNAME(new.clone()));
        answer.push(Record::from_rdata(name.clone(), TTL, alias));
        Some(Step::Alias(answer, vec![], new))
    }

    /// RFC 4592: the wildcard below the closest name that exists, if there is one.
    fn by_wildcard(&self, name: &Name, kind: RecordType) -> Step {
        let encloser = self.encloser(name);
        let next_closer = name.trim_to(usize::from(encloser.num_labels()) + 1);
        let wildcard = encloser.prepend_label("*").unwrap();
        let mut proofs = self.denied(&next_closer);
        let Some(sets) = self.sets.get(&wildcard) else {
            if self.denial == Denial::Nsec {
                proofs.extend(self.denied(&wildcard));
            } else {
                proofs.extend(self.matching(&encloser));
                proofs.extend(self.denied(&wildcard));
            }
            return Step::Absent(ResponseCode::NXDomain, self.with_soa(proofs));
        };
        match (sets.get(&kind), sets.get(&RecordType::CNAME)) {
            (Some(records), _) => Step::Found(self.expanded(records, name), proofs),
            (None, Some(alias)) => {
                Step::Alias(self.expanded(alias, name), proofs, target(&alias[0]))
            }
            (None, None) => {
                proofs.extend(self.matching(&wildcard));
                if self.denial != Denial::Nsec {
                    proofs.extend(self.matching(&encloser));
                }
                Step::Absent(ResponseCode::NoError, self.with_soa(proofs))
            }
        }
    }

    fn expanded(&self, records: &[Record], name: &Name) -> Vec<Record> {
        let mut records = self.signed(records);
        for record in &mut records {
            record.name = name.clone();
        }
        records
    }

    fn exists(&self, name: &Name) -> bool {
        self.sets.keys().any(|owner| name.zone_of(owner))
    }

    fn encloser(&self, name: &Name) -> Name {
        let mut name = name.base_name();
        while !self.exists(&name) {
            name = name.base_name();
        }
        name
    }

    fn no_data(&self, name: &Name) -> Vec<Record> {
        let mut proofs = self.matching(name);
        if proofs.is_empty() {
            // An empty non-terminal has no NSEC, an opted-out delegation no NSEC3 of its own.
            proofs = self.denied(name);
            if self.denial == Denial::OptOut {
                proofs.extend(self.matching(&self.encloser(name)));
            }
        }
        self.with_soa(proofs)
    }

    fn with_soa(&self, mut proofs: Vec<Record>) -> Vec<Record> {
        proofs.extend(self.signed(&self.sets[&self.apex][&RecordType::SOA]));
        let mut once = Vec::new();
        for record in proofs {
            if !once
                .iter()
                .any(|r: &Record| r.name == record.name && r.data == record.data)
                && !is_signature_of_same(&once, &record)
            {
                once.push(record);
            }
        }
        once
    }

    /// The NSEC or NSEC3 record of this very name.
    fn matching(&self, name: &Name) -> Vec<Record> {
        match self.denial {
            _ if !self.flaw.is_signed() => vec![],
            Denial::Nsec if self.sets.contains_key(name) => self.signed(&[self.nsec(name)]),
            Denial::Nsec => vec![],
            Denial::Nsec3 | Denial::OptOut => {
                let hashes = self.hashes();
                let found = hashes.get(&hash(name)).map(|_| self.nsec3(&hash(name)));
                found.map_or(vec![], |record| self.signed(&[record]))
            }
        }
    }

    /// The NSEC or NSEC3 record whose span covers a name that does not exist.
    fn denied(&self, name: &Name) -> Vec<Record> {
        match self.denial {
            _ if !self.flaw.is_signed() => vec![],
            Denial::Nsec => {
                let before = self.sets.range(..name.clone()).next_back();
                let (owner, _) = before.or(self.sets.last_key_value()).unwrap();
                self.signed(&[self.nsec(owner)])
            }
            Denial::Nsec3 | Denial::OptOut => {
                let hashes = self.hashes();
                let before = hashes.range(..hash(name)).next_back();
                let (owner, _) = before.or(hashes.last_key_value()).unwrap();
                self.signed(&[self.nsec3(owner)])
            }
        }
    }

    fn nsec(&self, owner: &Name) -> Record {
        let after = |name: &&Name| *name > owner;
        let next = self.sets.keys().find(after).unwrap_or(&self.apex).clone();
        let data = NSEC::new_cover_self(next, self.sets[owner].keys().copied());
        let data = RData::DNSSEC(DNSSECRData::NSEC(data));
        Record::from_rdata(owner.clone(), TTL, data)
    }

    fn nsec3(&self, owner: &[u8]) -> Record {
        let hashes = self.hashes();
        let after = |next: &&Vec<u8>| next.as_slice() > owner;
        let next = hashes.keys().find(after).or(hashes.keys().next()).unwrap();
        let data = NSEC3::new(
            Nsec3HashAlgorithm::SHA1,
            self.denial == Denial::OptOut,
            0,
            Vec::new(),
            next.clone(),
            hashes[owner].iter().copied(),
        );
        let label = BASE32HEX_NOPAD.encode(owner).to_lowercase();
        let owner = self.apex.prepend_label(label).unwrap();
        Record::from_rdata(owner, TTL, RData::DNSSEC(DNSSECRData::NSEC3(data)))
    }

    /// The hash and the types of each name that exists.
    fn hashes(&self) -> BTreeMap<Vec<u8>, BTreeSet<RecordType>> {
        let mut hashes: BTreeMap<Vec<u8>, BTreeSet<RecordType>> = BTreeMap::new();
        for (owner, sets) in &self.sets {
            let is_cut = sets.contains_key(&RecordType::NS) && *owner != self.apex;
            let is_insecure_cut = is_cut && !sets.contains_key(&RecordType::DS);
            if self.denial == Denial::OptOut && is_insecure_cut {
                continue;
            }
            let mut types: BTreeSet<RecordType> = sets.keys().copied().collect();
            if !is_insecure_cut {
                types.insert(RecordType::RRSIG);
            }
            hashes.insert(hash(owner), types);
            let mut above = owner.base_name();
            while self.apex.zone_of(&above) && above != self.apex {
                hashes.entry(hash(&above)).or_default();
                above = above.base_name();
            }
        }
        hashes
    }

    /// The records, changed where they are to be, and their signature. The parent of a zone does not sign its NS.
    fn signed(&self, records: &[Record]) -> Vec<Record> {
        let mut answer = records.to_vec();
        let owner = &records[0].name;
        let is_cut = records[0].record_type() == RecordType::NS && *owner != self.apex;
        if self.flaw.is_signed() && !is_cut {
            let signature = self.signature(records);
            if self.flaw == Flaw::Tampered && records[0].record_type() != RecordType::DNSKEY {
                answer.iter_mut().for_each(tamper);
            }
            let data = RData::DNSSEC(DNSSECRData::RRSIG(signature));
            answer.push(Record::from_rdata(owner.clone(), TTL, data));
        }
        answer
    }

    fn signature(&self, records: &[Record]) -> RRSIG {
        let owner = &records[0].name;
        let (from, to) = self.flaw.validity();
        let input = SigInput {
            type_covered: records[0].record_type(),
            algorithm: self.flaw.algorithm(),
            num_labels: owner.num_labels(),
            original_ttl: TTL,
            sig_expiration: SerialNumber::new(seconds_from_now(to)),
            sig_inception: SerialNumber::new(seconds_from_now(from)),
            key_tag: self.dnskey().calculate_key_tag().unwrap(),
            signer_name: self.apex.clone(),
        };
        let tbs = TBS::from_input(owner, DNSClass::IN, &input, records.iter()).unwrap();
        RRSIG::from_sig(input, self.key.sign(&tbs).unwrap())
    }
}

/// ECDSA signs the same differently each time.
fn is_signature_of_same(known: &[Record], record: &Record) -> bool {
    let covered = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature.input().type_covered),
        _ => None,
    };
    covered(record).is_some()
        && known
            .iter()
            .any(|other| other.name == record.name && covered(other) == covered(record))
}

#[expect(
    clippy::disallowed_methods,
    reason = "signatures are of the day that the test runs"
)]
fn seconds_from_now(seconds: i64) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u32::try_from(i64::try_from(now.as_secs()).unwrap() + seconds).unwrap()
}

fn hash(name: &Name) -> Vec<u8> {
    let hash = Nsec3HashAlgorithm::SHA1.hash(&[], name, 0).unwrap();
    hash.as_ref().to_vec()
}

/// Where a CNAME or DNAME leads; hickory has no type for the latter.
fn target(record: &Record) -> Name {
    match &record.data {
        RData::CNAME(target) => target.0.clone(),
        RData::Unknown { rdata, .. } => Name::read(&mut BinDecoder::new(&rdata.anything)).unwrap(),
        other => panic!("{other:?} leads nowhere"),
    }
}

/// A DNAME record.
pub(super) fn dname(owner: &str, target: &str) -> Record {
    let rdata = NULL::with(absolute(target).to_bytes().unwrap());
    let code = RecordType::DNAME;
    Record::from_rdata(absolute(owner), TTL, RData::Unknown { code, rdata })
}

/// Another address, or another preference: the smallest lie.
fn tamper(record: &mut Record) {
    match &mut record.data {
        RData::A(address) => address.0 = [127, 66, 66, 66].into(),
        RData::MX(mx) => mx.preference += 1,
        RData::TLSA(tlsa) => tlsa.cert_data[0] ^= 1,
        RData::SOA(soa) => soa.serial += 1,
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            *nsec = NSEC::new_cover_self(nsec.next_domain_name().clone(), []);
        }
        _ => {}
    }
}
