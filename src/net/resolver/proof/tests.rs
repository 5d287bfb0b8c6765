//! Responses as hickory leaves them, each record with its mark, and what they prove.
//!
//! Where a name says "hickory", the response is one that hickory 0.26.3 takes for what it is not.

use hickory_resolver::proto::dnssec::rdata::{NSEC3, SigInput};
use hickory_resolver::proto::dnssec::{Algorithm, Nsec3HashAlgorithm};
use hickory_resolver::proto::op::{Message, OpCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, NS, NULL, SOA};
use hickory_resolver::proto::rr::{SerialNumber, domain::Label};
use hickory_resolver::proto::serialize::binary::BinEncodable;

use super::*;

fn name(text: &str) -> Name {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let labels: Vec<Label> = labels.map(|l| Label::from_ascii(l).unwrap()).collect();
    let mut name = Name::from_labels(labels).unwrap();
    name.set_fqdn(true);
    name
}

fn marked(owner: &str, proof: Proof, data: RData) -> Record {
    let mut record = Record::from_rdata(name(owner), 300, data);
    record.proof = proof;
    record
}

fn address(owner: &str, proof: Proof) -> Record {
    marked(owner, proof, RData::A(A::new(192, 0, 2, 1)))
}

fn soa(zone: &str, proof: Proof) -> Record {
    let data = SOA::new(name("ns"), name("host"), 1, 2, 3, 4, 5);
    marked(zone, proof, RData::SOA(data))
}

/// A signature by `signer` over the A records of `owner`, as if that had `labels` labels.
fn signature(owner: &str, signer: &str, labels: u8) -> Record {
    signature_of(RecordType::A, owner, signer, labels)
}

fn signature_of(type_covered: RecordType, owner: &str, signer: &str, labels: u8) -> Record {
    let input = SigInput {
        type_covered,
        algorithm: Algorithm::ECDSAP256SHA256,
        num_labels: labels,
        original_ttl: 300,
        sig_expiration: SerialNumber::new(2),
        sig_inception: SerialNumber::new(1),
        key_tag: 1,
        signer_name: name(signer),
    };
    let signature = RRSIG::from_sig(input, vec![0; 64]);
    let data = DNSSECRData::RRSIG(signature);
    marked(owner, Proof::Secure, RData::DNSSEC(data))
}

fn nsec(owner: &str, next: &str, types: &[RecordType]) -> Record {
    let data = NSEC::new(name(next), types.iter().copied());
    marked(owner, Proof::Secure, RData::DNSSEC(DNSSECRData::NSEC(data)))
}

fn nsec3(owner: &str, opt_out: bool) -> Record {
    let data = NSEC3::new(
        Nsec3HashAlgorithm::SHA1,
        opt_out,
        0,
        Vec::new(),
        vec![0; 20],
        [RecordType::A],
    );
    marked(
        owner,
        Proof::Secure,
        RData::DNSSEC(DNSSECRData::NSEC3(data)),
    )
}

fn evidence(
    code: ResponseCode,
    denial: Option<Proof>,
    answers: Vec<Record>,
    authorities: Vec<Record>,
) -> Evidence {
    let mut message = Message::response(1, OpCode::Query);
    message.metadata.response_code = code;
    message.add_answers(answers);
    message.add_authorities(authorities);
    Evidence {
        response: DnsResponse::from_message(message).unwrap(),
        denial,
    }
}

/// What an absence of `a.sec` is worth that comes with these records.
fn absence(code: ResponseCode, authorities: Vec<Record>) -> Proof {
    evidence(code, None, vec![], authorities).absence(&name("a.sec"))
}

#[test]
fn a_denial_by_the_soa_of_another_zone_is_bogus_which_hickory_calls_insecure() {
    let stranger = vec![soa("ins.sec", Proof::Insecure)];
    assert_eq!(absence(ResponseCode::NXDomain, stranger), Proof::Bogus);
    let no_soa = marked(
        "ins.sec",
        Proof::Insecure,
        RData::NS(NS(name("ns.ins.sec"))),
    );
    assert_eq!(absence(ResponseCode::NXDomain, vec![no_soa]), Proof::Bogus);
}

#[test]
fn a_denial_is_worth_the_least_of_its_records() {
    let of = |proof| absence(ResponseCode::NoError, vec![soa("sec", proof)]);
    assert_eq!(of(Proof::Secure), Proof::Secure);
    assert_eq!(of(Proof::Insecure), Proof::Insecure);
    assert_eq!(of(Proof::Bogus), Proof::Bogus);
    let mixed = vec![
        soa("sec", Proof::Secure),
        marked("sec", Proof::Insecure, RData::NS(NS(name("ns")))),
    ];
    assert_eq!(absence(ResponseCode::NoError, mixed), Proof::Insecure);
}

#[test]
fn a_signature_that_was_not_needed_takes_nothing_away() {
    let mut second = signature_of(RecordType::SOA, "sec", "sec", 1);
    second.proof = Proof::Indeterminate;
    let with = vec![soa("sec", Proof::Secure), second];
    assert_eq!(absence(ResponseCode::NoError, with), Proof::Secure);
}

#[test]
fn hickorys_word_on_a_denial_counts_where_it_found_fault() {
    for proof in [Proof::Bogus, Proof::Insecure] {
        let soa = vec![soa("sec", Proof::Secure)];
        let evidence = evidence(ResponseCode::NoError, Some(proof), vec![], soa);
        assert_eq!(evidence.absence(&name("a.sec")), proof);
    }
}

#[test]
fn an_opted_out_span_denies_no_name_which_hickory_calls_secure() {
    let with = |opt_out| vec![soa("sec", Proof::Secure), nsec3("abcd.sec", opt_out)];
    let nxdomain = ResponseCode::NXDomain;
    assert_eq!(absence(nxdomain, with(true)), Proof::Insecure);
    assert_eq!(absence(nxdomain, with(false)), Proof::Secure);
    // NODATA is proven by the record of the name itself, whatever its flag.
    assert_eq!(absence(ResponseCode::NoError, with(true)), Proof::Secure);
}

/// What the address of `x.w.sec` is worth, signed as if it had so many labels, with these records in the
/// authority section, signed by the same zone, and hickory's word on them.
fn expanded(labels: u8, denial: Option<Proof>, authorities: Vec<Record>) -> Proof {
    expanded_by("sec", labels, denial, authorities)
}

fn expanded_by(
    signer: &str,
    labels: u8,
    denial: Option<Proof>,
    mut authorities: Vec<Record>,
) -> Proof {
    let owner = "x.w.sec";
    let owners = authorities.iter().map(|record| record.name.to_ascii());
    let signatures: Vec<Record> = owners
        .map(|owner| signature_of(RecordType::NSEC, &owner, signer, 2))
        .collect();
    authorities.extend(signatures);
    let answers = vec![
        address(owner, Proof::Secure),
        signature(owner, "sec", labels),
    ];
    evidence(ResponseCode::NoError, denial, answers, authorities).rrset(&name(owner), RecordType::A)
}

#[test]
fn records_are_worth_their_own_mark_not_that_of_the_response() {
    for proof in [Proof::Bogus, Proof::Insecure, Proof::Indeterminate] {
        let answers = vec![
            address("a.sec", proof),
            signature("a.sec", "sec", 2),
            address("b.sec", Proof::Secure),
        ];
        let evidence = evidence(ResponseCode::NoError, None, answers, vec![]);
        assert_eq!(evidence.rrset(&name("a.sec"), RecordType::A), proof);
    }
}

#[test]
fn secure_records_without_their_signature_are_bogus() {
    let answers = vec![address("a.sec", Proof::Secure)];
    let evidence = evidence(ResponseCode::NoError, None, answers, vec![]);
    assert_eq!(evidence.rrset(&name("a.sec"), RecordType::A), Proof::Bogus);
}

#[test]
fn an_nsec_that_has_nothing_to_do_with_it_does_no_harm_which_hickory_calls_bogus() {
    // As unbound adds that of an alias's target; it is far from this name.
    let of_the_target = vec![nsec("a.sec", "b.sec", &[RecordType::A])];
    assert_eq!(
        expanded(3, Some(Proof::Bogus), of_the_target),
        Proof::Secure
    );
}

#[test]
fn a_wildcard_one_label_deep_is_secure_which_hickory_calls_bogus() {
    let covering = vec![nsec("*.w.sec", "z.sec", &[RecordType::A])];
    assert_eq!(expanded(2, Some(Proof::Bogus), covering), Proof::Secure);
    // And so it is where hickory agrees.
    let covering = vec![nsec("*.w.sec", "z.sec", &[RecordType::A])];
    assert_eq!(expanded(2, None, covering), Proof::Secure);
    let hashed = vec![nsec3("abcd.sec", false)];
    assert_eq!(expanded(2, None, hashed), Proof::Secure);
    assert_eq!(expanded(2, Some(Proof::Insecure), vec![]), Proof::Insecure);
}

#[test]
fn a_wildcard_beside_the_soa_of_an_unsigned_zone_is_bogus_which_hickory_calls_secure() {
    let stranger = vec![soa("ins.sec", Proof::Insecure)];
    assert_eq!(expanded(2, None, stranger), Proof::Bogus);
    assert_eq!(expanded(2, None, vec![]), Proof::Bogus);
}

#[test]
fn a_wildcard_answers_only_where_no_closer_name_exists() {
    let bogus = |record| assert_eq!(expanded(2, Some(Proof::Bogus), vec![record]), Proof::Bogus);
    let a = &[RecordType::A];
    // The name itself, or one below it, exists.
    bogus(nsec("x.w.sec", "z.sec", a));
    bogus(nsec("*.w.sec", "y.x.w.sec", a));
    // It lies outside the span: before, behind, or behind the end of the zone.
    bogus(nsec("y.w.sec", "z.sec", a));
    bogus(nsec("*.w.sec", "b.w.sec", a));
    bogus(nsec("y.w.sec", "sec", a));
    // The span is that of a delegation or of a DNAME above the name.
    bogus(nsec("w.sec", "z.sec", &[RecordType::NS]));
    bogus(nsec("w.sec", "z.sec", &[RecordType::DNAME]));
    // The last name of a zone below says nothing of names beside that zone.
    bogus(nsec("a.b.sec", "b.sec", a));
    // A word that is not proven.
    let mut unproven = nsec("*.w.sec", "z.sec", a);
    unproven.proof = Proof::Bogus;
    bogus(unproven);
}

#[test]
fn only_the_zone_itself_tells_which_names_it_has() {
    for stranger in ["sub.sec", "other", "."] {
        let covering = vec![nsec("*.w.sec", "z.sec", &[RecordType::A])];
        let proof = expanded_by(stranger, 2, Some(Proof::Bogus), covering);
        assert_eq!(proof, Proof::Bogus, "{stranger}");
    }
}

#[test]
fn the_last_nsec_of_a_zone_covers_what_lies_behind_it() {
    let last = vec![nsec("a.sec", "sec", &[RecordType::A])];
    assert_eq!(expanded(2, Some(Proof::Bogus), last), Proof::Secure);
}

fn dname(owner: &str, target: &str, proof: Proof) -> Record {
    let data = name(target).to_bytes().unwrap();
    let code = RecordType::DNAME;
    let rdata = NULL::with(data);
    marked(owner, proof, RData::Unknown { code, rdata })
}

/// Where `query` goes by a DNAME from `owner` to `target`, beside the CNAME of an attacker.
fn redirected(query: &str, owner: &str, target: &str) -> Option<Result<String, LookupError>> {
    let forged = RData::CNAME(CNAME(name("evil.test")));
    let labels = name(owner).num_labels();
    let answers = vec![
        dname(owner, target, Proof::Secure),
        signature_of(RecordType::DNAME, owner, "sec", labels),
        marked(query, Proof::Bogus, forged),
    ];
    let evidence = evidence(ResponseCode::NoError, None, answers, vec![]);
    let new = evidence.substituted(&name(query))?;
    Some(new.map(|(new, proof, _)| {
        assert_eq!(proof, Proof::Secure);
        new.to_ascii()
    }))
}

#[test]
fn the_dname_of_a_wildcard_is_none_of_a_name_that_exists() {
    let of = |labels| {
        let answers = vec![
            dname("x.w.sec", "evil.test", Proof::Secure),
            signature_of(RecordType::DNAME, "x.w.sec", "sec", labels),
        ];
        let evidence = evidence(ResponseCode::NoError, Some(Proof::Bogus), answers, vec![]);
        let (_, proof, _) = evidence.substituted(&name("mx.x.w.sec")).unwrap().unwrap();
        proof
    };
    assert_eq!(of(3), Proof::Secure);
    assert_eq!(of(2), Proof::Bogus);
}

#[test]
fn a_dname_is_followed_by_its_own_word_which_hickory_calls_bogus() {
    let goes = |query, owner, target| redirected(query, owner, target).unwrap().unwrap();
    assert_eq!(goes("t.dn.sec", "dn.sec", "target.sec"), "t.target.sec.");
    assert_eq!(goes("a.b.dn.sec", "dn.sec", "x.test"), "a.b.x.test.");
    assert_eq!(goes("t.dn.sec", "dn.sec", "."), "t.");
}

#[test]
fn a_dname_says_nothing_of_its_own_name_nor_of_others() {
    assert_eq!(redirected("dn.sec", "dn.sec", "target.sec"), None);
    assert_eq!(redirected("t.other.sec", "dn.sec", "target.sec"), None);
}

#[test]
fn a_dname_that_makes_a_name_too_long_is_a_failure() {
    let label = "a".repeat(60);
    let long = [label.as_str(); 4].join(".");
    let query = format!("{long}.dn");
    assert_eq!(
        redirected(&query, "dn", &long),
        Some(Err(LookupError::Broken))
    );
}
