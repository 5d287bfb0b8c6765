//! The report of a check, for people and for programs.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::fate::policy;
use super::{Depth, Fate, Grade, Inspected, Report, most_telling, mta_sts};
use crate::dane;
use crate::name::Domain;
use crate::policy::authorize::Authorized;
use crate::policy::decide::Decision;
use crate::policy::downgrade::Sight;
use crate::policy::facts::{Addresses, Dane, HostFacts, Hosts};
use crate::policy::failure::Failure;
use crate::policy::handshake::{Fingerprint, Handshake};
use crate::policy::requirement::Mode;
use crate::policy::rules::Origin;
use crate::policy::verdict::{Plan, Policy, Verdict};
use crate::record::{FactsView, NO_RULE, RuleInForce};
use crate::smtp::capabilities::Capabilities;

impl Report {
    /// What mail would meet.
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// What becomes of mail.
    pub fn fate(&self) -> &Fate {
        &self.fate
    }

    /// Whose word that is.
    pub fn policy(&self) -> Policy {
        policy(&self.decision.verdict)
    }

    /// Where the rule in force stands.
    pub fn rule_origin(&self) -> Option<&Origin> {
        self.decision.rule.as_ref().map(|rule| &rule.origin)
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "domain    {}", self.request.destination)?;
        if let Some(sender) = &self.request.sender {
            writeln!(out, "sender    {sender}")?;
        }
        writeln!(out, "rule      {}", self.rule())?;
        writeln!(out, "DNSSEC    MX {}", self.decision.facts.mx_security())?;
        mta_sts::write_text(out, &self.decision.facts, self.mta_sts.as_ref())?;
        FactsView::of(&self.decision).write_hosts(out)?;
        for inspected in &self.inspected {
            write_inspection(out, inspected)?;
        }
        writeln!(out, "verdict   {}: {}", self.grade.word(), self.why())
    }

    fn rule(&self) -> String {
        let rule = self.decision.rule.as_ref();
        rule.map_or(NO_RULE.to_owned(), |rule| RuleInForce::of(rule).to_string())
    }

    /// The verdict in words.
    fn why(&self) -> String {
        match (&self.decision.verdict, self.request.depth) {
            (Verdict::Stop { failure, .. }, _) => failure.to_string(),
            (Verdict::Deliver(_), Depth::Facts) => match self.grade {
                Grade::Authenticated => "mail leaves only to an authenticated server".to_owned(),
                Grade::Unauthenticated => {
                    "the server is not authenticated; --connect shows it".to_owned()
                }
                Grade::Blocked | Grade::TemporaryFailure => "no host may be tried".to_owned(),
            },
            (Verdict::Deliver(plan), Depth::Connect) => self.why_of_connections(plan),
        }
    }

    fn why_of_connections(&self, plan: &Plan) -> String {
        match self.grade {
            Grade::Authenticated => "mail would be delivered, authenticated".to_owned(),
            Grade::Unauthenticated => "mail would be delivered, unauthenticated".to_owned(),
            Grade::Blocked | Grade::TemporaryFailure => most_telling(plan, &self.inspected)
                .map_or("no host may be tried".to_owned(), Failure::to_string),
        }
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        json!({
            "domain": self.request.destination.to_string(),
            "sender": self.request.sender.as_ref().map(Domain::to_string),
            "rule": self.decision.rule.as_ref().map(|rule| json!({
                "origin": rule.origin.to_string(),
                "level": rule.level.to_string(),
                "reason": rule.reason,
                "route": rule.route.as_ref().map(ToString::to_string),
                "observe": rule.mode == Mode::Observe,
            })),
            "mx_security": self.decision.facts.mx_security(),
            "mta_sts": mta_sts::json(&self.decision.facts, self.mta_sts.as_ref()),
            "hosts": hosts_json(&self.decision),
            "connections": self.inspected.iter().map(inspection_json).collect::<Vec<_>>(),
            "grade": self.grade.word(),
            "why": self.why(),
        })
    }
}

fn dane_json(dane: &Dane) -> Value {
    match dane {
        Dane::Absent(why) => json!({"absent": why.to_string()}),
        Dane::LookupFailed { question, error } => {
            json!({"failed": format!("{question}: {error}")})
        }
        Dane::Published(set) => json!({
            "owner": set.owner(),
            "records": set.records().iter().map(|record| json!({
                "record": record.tlsa.to_string(),
                "unusable": record.usability.as_ref().err().map(ToString::to_string),
            })).collect::<Vec<_>>(),
        }),
    }
}

fn join<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn keywords(offers: &Capabilities) -> String {
    join(offers.names().into_iter())
}

fn write_inspection(out: &mut String, inspected: &Inspected) -> std::fmt::Result {
    let Inspected {
        peer, port, seen, ..
    } = inspected;
    writeln!(out, "connect   {}[{}]:{port}", peer.host, peer.address)?;
    if let Some(offers) = &seen.offers {
        writeln!(out, "          offers {}", keywords(offers))?;
    }
    if let Some(handshake) = &seen.handshake {
        let Handshake {
            version,
            cipher,
            key_exchange,
            ..
        } = handshake;
        writeln!(out, "          {version} {cipher} {key_exchange}")?;
        for (at, certificate) in handshake.chain.iter().enumerate() {
            for line in certificate_lines(certificate) {
                writeln!(out, "          certificate {at}: {line}")?;
            }
        }
    }
    if let Some(offers) = &seen.offers_under_tls {
        writeln!(out, "          offers under TLS {}", keywords(offers))?;
    }
    for (record, verdict) in &inspected.tlsa {
        writeln!(out, "          TLSA {record}: {}", tlsa_word(verdict))?;
    }
    write_proof(out, &seen.proof)
}

fn write_proof(out: &mut String, proof: &Result<Authorized, Failure>) -> std::fmt::Result {
    match proof {
        Ok(proof) => {
            let authentication = proof.authentication().label();
            writeln!(out, "          ready, authentication {authentication}")?;
            if let Some(failure) = proof.would_block() {
                writeln!(out, "          would be blocked: {failure}")?;
            }
            if let Sight::Lost(kind) = proof.sight() {
                let kind = kind.label();
                writeln!(
                    out,
                    "          DOWNGRADE: {kind} is lost, which the host has shown before"
                )?;
            }
            match proof.tested() {
                Some(Ok(())) => writeln!(out, "          passes the tested MTA-STS policy"),
                Some(Err(failure)) => {
                    writeln!(out, "          fails the tested MTA-STS policy: {failure}")
                }
                None => Ok(()),
            }
        }
        Err(failure) => writeln!(out, "          {failure}"),
    }
}

/// What came of one TLSA record.
fn tlsa_word(verdict: &Result<dane::Match, dane::Why>) -> String {
    match verdict {
        Ok(found) => format!("matches {}", found.place()),
        Err(why) => why.to_string(),
    }
}

fn certificate_lines(der: &CertificateDer<'_>) -> Vec<String> {
    let mut lines = vec![Fingerprint::of_certificate(der).to_string()];
    if let Some(print) = Fingerprint::of_public_key(der) {
        lines.push(format!("public key {print}"));
    }
    if let Ok((_, certificate)) = X509Certificate::from_der(der) {
        lines.push(format!("subject {}", certificate.subject()));
        lines.push(format!("issuer {}", certificate.issuer()));
        let names = alternative_names(&certificate);
        if !names.is_empty() {
            lines.push(format!("names {}", names.join(", ")));
        }
        lines.push(format!("valid until {}", certificate.validity().not_after));
    }
    lines
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let of = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(of).collect()
}

fn hosts_json(decision: &Decision) -> Vec<Value> {
    let Hosts::Known(hosts) = &decision.facts.hosts else {
        return Vec::new();
    };
    let must = |at: usize| match &decision.verdict {
        Verdict::Deliver(plan) => plan
            .candidates
            .get(at)
            .map(|candidate| match &candidate.way {
                Ok(way) => way.requirement.to_string(),
                Err(failure) => format!("not tried: {failure}"),
            }),
        Verdict::Stop { .. } => None,
    };
    let host = |(at, host): (usize, &HostFacts)| {
        json!({
            "host": host.host.to_string(),
            "preference": host.preference,
            "addresses": match &host.addresses {
                Addresses::Known(known) => known.iter().map(ToString::to_string).collect(),
                Addresses::None | Addresses::LookupFailed(_) => Vec::new(),
            },
            "dane": dane_json(&host.dane),
            "mta_sts": decision.facts.named_by_mta_sts(&host.host),
            "must": must(at),
        })
    };
    hosts.iter().enumerate().map(host).collect()
}

fn inspection_json(inspected: &Inspected) -> Value {
    let Inspected {
        peer,
        port,
        seen,
        tlsa,
    } = inspected;
    let proof = seen.proof.as_ref();
    let would_block = proof.ok().and_then(|proof| proof.would_block());
    json!({
        "host": peer.host.to_string(),
        "address": peer.address.to_string(),
        "port": port,
        "offers": seen.offers.as_ref().map(Capabilities::names),
        "offers_under_tls": seen.offers_under_tls.as_ref().map(Capabilities::names),
        "tls": seen.handshake.as_ref().map(|handshake| json!({
            "version": handshake.version.to_string(),
            "cipher": handshake.cipher,
            "key_exchange": handshake.key_exchange,
            "chain": handshake.chain.iter().map(|c| certificate_lines(c)).collect::<Vec<_>>(),
        })),
        "tlsa": tlsa.iter().map(|(record, verdict)| json!({
            "record": record.to_string(),
            "matches": verdict.is_ok(),
            "why": tlsa_word(verdict),
        })).collect::<Vec<_>>(),
        "authentication": proof.ok().map(|proof| proof.authentication().label()),
        "would_block": would_block.map(Failure::to_string),
        "downgrade": proof.ok().and_then(|proof| match proof.sight() {
            Sight::Lost(kind) => Some(kind.label()),
            Sight::Kept | Sight::InPart => None,
        }),
        "mta_sts_testing": proof.ok().and_then(Authorized::tested).map(|tested| {
            tested.as_ref().err().map_or("passed".to_owned(), Failure::to_string)
        }),
        "reason": proof.err().or(would_block).map(Failure::reason),
        "failure": proof.err().map(Failure::to_string),
    })
}
