//! The records behind the server: what a root zone knows about a question.

use std::collections::BTreeMap;

use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey},
    serialize::txt::Parser,
};

/// What stands before each zone text: so a test writes only the records that matter to it.
const PROLOGUE: &str = "$TTL 300\n. SOA ns. hostmaster. 1 3600 600 86400 60\n. NS ns.\n";

/// A CNAME chain longer than this is cut, as resolvers do.
pub(super) const LONGEST_CHAIN: usize = 12;

#[derive(Default)]
pub(super) struct Zone(BTreeMap<RrKey, RecordSet>);

/// What the zone knows about a question, and the names it passed on the way.
pub(super) struct Found {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) path: Vec<Name>,
}

impl Zone {
    pub(super) fn parse(text: &str) -> Self {
        Self(parse(&format!("{PROLOGUE}{text}")))
    }

    pub(super) fn look_up(&self, name: &Name, record_type: RecordType) -> Found {
        let mut answers = Vec::new();
        let mut path = vec![name.clone()];
        loop {
            let name = path.last().unwrap().clone();
            let records = self.records(&name, record_type);
            if !records.is_empty() {
                answers.extend(records);
                return Found {
                    code: ResponseCode::NoError,
                    answers,
                    authorities: vec![],
                    path,
                };
            }
            match self.alias(&name) {
                Some((record, target)) if path.len() <= LONGEST_CHAIN => {
                    answers.push(record);
                    path.push(target);
                }
                _ => {
                    return Found {
                        code: self.absence(&name),
                        answers,
                        authorities: self.soa_above(&name),
                        path,
                    };
                }
            }
        }
    }

    /// The record set, spelled as it was asked for.
    fn records(&self, name: &Name, record_type: RecordType) -> Vec<Record> {
        let set = self.0.get(&RrKey::new(LowerName::new(name), record_type));
        let records = set
            .into_iter()
            .flat_map(RecordSet::records_without_rrsigs)
            .cloned();
        records
            .map(|mut record| {
                record.name = name.clone();
                record
            })
            .collect()
    }

    fn alias(&self, name: &Name) -> Option<(Record, Name)> {
        let record = self.records(name, RecordType::CNAME).pop()?;
        let RData::CNAME(target) = &record.data else {
            return None;
        };
        let target = target.0.clone();
        Some((record, target))
    }

    /// NODATA for a name that exists, be it only as the parent of one; NXDOMAIN for others (RFC 8020 §2).
    fn absence(&self, name: &Name) -> ResponseCode {
        let name = LowerName::new(name);
        let exists = self.0.keys().any(|key| name.zone_of(&key.name));
        if exists {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        }
    }

    /// RFC 2308 §3: a negative answer brings the SOA of its zone.
    fn soa_above(&self, name: &Name) -> Vec<Record> {
        let soa = self.records(name, RecordType::SOA);
        if soa.is_empty() && !name.is_root() {
            self.soa_above(&name.base_name())
        } else {
            soa
        }
    }
}

fn parse(text: &str) -> BTreeMap<RrKey, RecordSet> {
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let text = format!("{}\n", lines.join("\n"));
    match Parser::new(text.clone(), None, Some(Name::root())).parse() {
        Ok((_, records)) => records,
        Err(error) => panic!("zone text: {error}\n{text}"),
    }
}

/// The records of a text without a prologue. `OWNER DNAME TARGET` is understood too.
pub(super) fn parse_records(text: &str) -> Vec<Record> {
    let is_dname = |line: &&str| line.split_whitespace().nth(1) == Some("DNAME");
    let (dnames, others): (Vec<&str>, Vec<&str>) = text.lines().partition(is_dname);
    let sets = parse(&format!("$TTL 300\n{}", others.join("\n")));
    let records = sets.values().flat_map(RecordSet::records_without_rrsigs);
    let dnames = dnames.iter().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        super::signed::dname(words[0], words[2])
    });
    records.cloned().chain(dnames).collect()
}
