//! Rules as a Postfix policy table: what Postfix can express, and as comments what it cannot.
//!
//! A table in a file knows neither senders nor MX hosts, and no MTA-STS policy. Whoever needs those asks waxseal
//! itself (`kind = "socketmap"`). Where a rule is not in the table a wider one may be, and counts instead; the
//! comment says so.

use std::fmt::Write as _;

use super::{Line, fingerprints, tafile};
use crate::name::Destination;
use crate::policy::requirement::Mode;
use crate::policy::rules::{
    Floor, Level, MtaStsUse, NameMatch, Pattern, Rule, Rules, SenderScope, ServerName,
};
use crate::time::UnixTime;

const HEAD: &str = "\
# waxseal's rules as a table for Postfix: smtp_tls_policy_maps = texthash:FILE, with smtp_dns_support_level = dnssec
# and smtp_tls_fingerprint_digest = sha256. A comment tells what Postfix cannot express; such a destination meets
# the next wider entry, or main.cf. All of it needs the policy table that waxseal itself answers (kind = \"socketmap\").
";

/// The table for the rules in force at `now`.
pub fn export(rules: &Rules, now: UnixTime) -> String {
    let mut table = HEAD.to_owned();
    for rule in rules.iter().filter(|rule| !rule.has_expired(now)) {
        // Writing to memory does not fail.
        let _ = write_rule(&mut table, rule);
    }
    table
}

fn write_rule(table: &mut String, rule: &Rule) -> std::fmt::Result {
    let (pattern, origin) = (&rule.pattern, &rule.origin);
    match line(rule) {
        Ok((key, line)) => {
            write!(table, "\n# {origin}{}\n{key}\t{line}\n", remarks(rule))
        }
        Err(why) => writeln!(
            table,
            "\n# {origin}: {pattern} ({}) is not in this table: {why}",
            rule.level
        ),
    }
}

/// What the line of a rule does not say.
fn remarks(rule: &Rule) -> String {
    let mut text = String::new();
    if let Some(expires) = rule.expires {
        let _ = write!(text, "; until {expires}, take it out then");
    }
    if rule.mode == Mode::Observe {
        text.push_str("; it observes, which is `may` to Postfix");
    } else if matches!(rule.level, Level::Standard(_)) && rule.mta_sts == MtaStsUse::Followed {
        text.push_str("; without its MTA-STS policy");
    }
    text
}

fn line(rule: &Rule) -> Result<(String, String), String> {
    let key = key(rule)?;
    if rule.sender != SenderScope::Anyone {
        return Err(format!(
            "it is for mail from {} alone, and Postfix does not look up senders",
            rule.sender
        ));
    }
    if let Some(route) = &rule.route {
        return Err(format!("its route {route} belongs into transport_maps"));
    }
    Ok((key, policy(rule)?))
}

fn key(rule: &Rule) -> Result<String, String> {
    match &rule.pattern {
        Pattern::Exact(literal @ Destination::Literal(_)) => Ok(literal.to_string().to_lowercase()),
        Pattern::Exact(_) | Pattern::Suffix(_) => Ok(rule.pattern.to_string()),
        Pattern::Mx(_) => Err("Postfix looks up domains, not MX hosts".to_owned()),
        Pattern::Any => Err(match (&rule.level, rule.mode) {
            (Level::Standard(Floor::May), Mode::Enforce) => {
                "write smtp_tls_security_level = dane into main.cf".to_owned()
            }
            (
                level @ (Level::None | Level::May | Level::Encrypt | Level::DaneOnly),
                Mode::Enforce,
            ) => {
                format!("write smtp_tls_security_level = {level} into main.cf")
            }
            _ => "for every destination there is main.cf alone".to_owned(),
        }),
    }
}

fn policy(rule: &Rule) -> Result<String, String> {
    let mut line = match (&rule.level, rule.mode) {
        (Level::None, _) => return Ok("none".to_owned()),
        (_, Mode::Observe) => return Ok("may".to_owned()),
        (Level::May, _) => plain(rule, "may"),
        (Level::Encrypt, _) => plain(rule, "encrypt"),
        (Level::DaneOnly, _) => Line::of("dane-only"),
        (Level::Standard(Floor::May), _) => Line::of("dane"),
        (Level::Standard(Floor::Encrypt), _) => {
            return Err("Postfix has no DANE with a floor of `encrypt`".to_owned());
        }
        (Level::Secure { matches, .. }, _) => secure(rule, matches)?,
        (Level::Fingerprint(prints), _) => {
            let mut line = Line::of("fingerprint");
            line.put("match", &fingerprints(prints));
            line.put("servername", &rule.server_name.to_string());
            line
        }
    };
    line.protocols(Some(rule));
    Ok(line.0)
}

/// Without a certificate to look at, a name for SNI counts only where the rule has one of its own.
fn plain(rule: &Rule, level: &str) -> Line {
    let mut line = Line::of(level);
    if rule.server_name != ServerName::Hostname {
        line.put("servername", &rule.server_name.to_string());
    }
    line
}

fn secure(rule: &Rule, matches: &[NameMatch]) -> Result<Line, String> {
    if matches.contains(&NameMatch::MtaSts) {
        return Err("the word `mta-sts` is known to waxseal alone".to_owned());
    }
    let names: Vec<String> = matches.iter().map(ToString::to_string).collect();
    let mut line = Line::of("secure");
    line.put("match", &names.join(":"));
    line.put("servername", &rule.server_name.to_string());
    if let Level::Secure {
        roots: Some(roots), ..
    } = &rule.level
    {
        line.put("tafile", tafile(roots)?);
    }
    Ok(line)
}

#[cfg(test)]
mod tests;
