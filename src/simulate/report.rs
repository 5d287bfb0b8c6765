//! A simulation as a table for people, as JSON, and as CSV.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::{Counts, Line, Simulation};
use crate::check::Fate;
use crate::policy::authorize::Authentication;
use crate::policy::failure::Failure;

/// The fates in the order of a report.
const FATES: [&str; 6] = [
    "sealed",
    "encrypted",
    "if offered",
    "in the clear",
    "blocked",
    "failed",
];

/// One destination, for programs.
#[derive(Debug, Serialize)]
struct Row {
    domain: String,
    messages: u64,
    unsent: u64,
    fate: &'static str,
    authentication: &'static str,
    policy: &'static str,
    rule: Option<String>,
    reason: Option<&'static str>,
    why: Option<String>,
    log_plaintext: u64,
    log_unproven: u64,
    log_proven: u64,
    would_block: u64,
}

impl Line {
    fn fate(&self) -> &'static str {
        match &self.fate {
            Fate::Sealed(_) => FATES[0],
            Fate::Encrypted => FATES[1],
            Fate::Offered => FATES[2],
            Fate::Clear => FATES[3],
            Fate::Stopped(failure) if failure.is_about_policy() => FATES[4],
            Fate::Stopped(_) => FATES[5],
        }
    }

    fn authentication(&self) -> Authentication {
        match self.fate {
            Fate::Sealed(authentication) => authentication,
            _ => Authentication::None,
        }
    }

    fn failure(&self) -> Option<&Failure> {
        match &self.fate {
            Fate::Stopped(failure) => Some(failure),
            _ => None,
        }
    }

    fn row(&self) -> Row {
        Row {
            domain: self.destination.to_string(),
            messages: self.counts.messages,
            unsent: self.counts.unsent,
            fate: self.fate(),
            authentication: self.authentication().label(),
            policy: self.policy.label(),
            rule: self.rule.as_ref().map(ToString::to_string),
            reason: self.failure().map(Failure::reason),
            why: self.failure().map(ToString::to_string),
            log_plaintext: self.counts.plaintext,
            log_unproven: self.counts.unproven,
            log_proven: self.counts.proven,
            would_block: self.against.plaintext,
        }
    }
}

impl Simulation {
    fn messages(&self) -> u64 {
        self.sum(|line| line.counts.messages)
    }

    fn sum(&self, of: impl Fn(&Line) -> u64) -> u64 {
        self.lines.iter().map(of).sum()
    }

    /// For people: the sums, then each destination.
    pub fn text(&self) -> String {
        if self.lines.is_empty() {
            return "no destination was found\n".to_owned();
        }
        let mut out = String::new();
        // Writing to memory does not fail.
        let _ = self.write_sums(&mut out);
        let _ = self.write_lines(&mut out);
        out
    }

    fn write_sums(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "{:<12} {:>9} {:>9} {:>6}",
            "", "DOMAINS", "MESSAGES", "%"
        )?;
        for fate in FATES {
            let of_it = |line: &&Line| line.fate() == fate;
            let domains = self.lines.iter().filter(of_it).count();
            let messages = self.lines.iter().filter(of_it);
            let messages: u64 = messages.map(|line| line.counts.messages).sum();
            let share = percent(messages, self.messages());
            writeln!(out, "{fate:<12} {domains:>9} {messages:>9} {share:>6}")?;
        }
        let (domains, messages) = (self.lines.len(), self.messages());
        writeln!(out, "{:<12} {domains:>9} {messages:>9}", "all")?;
        let remarks = self.remarks();
        if !remarks.is_empty() {
            writeln!(out, "\n{}", remarks.join("\n"))?;
        }
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        let told = [
            (
                self.sum(|line| line.against.plaintext),
                "messages left in plaintext, says the log, and would have been blocked",
            ),
            (
                self.sum(|line| line.against.unproven),
                "messages left to a server that had to prove nothing, and would have to",
            ),
            (
                self.beyond,
                "messages went to more domains than can be kept apart",
            ),
            (self.unreadable, "lines are no domain"),
        ];
        let told = told.iter().filter(|(number, _)| *number > 0);
        told.map(|(number, what)| format!("{number} {what}"))
            .collect()
    }

    fn write_lines(&self, out: &mut String) -> std::fmt::Result {
        let names = self.lines.iter().map(|line| line.destination.to_string());
        let width = names.map(|name| name.len()).max().unwrap_or(0).max(6);
        let cells = |cells: [&str; 6], why: &str| {
            let [messages, domain, fate, by, log, rule] = cells;
            let line = format!(
                "{messages:>8}  {domain:<width$}  {fate:<18}  {by:<13}  {log:<22}  {rule:<20}  {why}"
            );
            line.trim_end().to_owned()
        };
        let head = ["MESSAGES", "DOMAIN", "FATE", "POLICY", "IN THE LOG", "RULE"];
        writeln!(out, "\n{}", cells(head, "WHY"))?;
        for line in &self.lines {
            let fate = match line.authentication() {
                Authentication::None => line.fate().to_owned(),
                authentication => format!("{} {}", line.fate(), authentication.label()),
            };
            let row = line.row();
            let text = cells(
                [
                    &row.messages.to_string(),
                    &row.domain,
                    &fate,
                    row.policy,
                    &in_the_log(line.counts),
                    row.rule.as_deref().unwrap_or("-"),
                ],
                row.why.as_deref().unwrap_or_default(),
            );
            writeln!(out, "{text}")?;
        }
        Ok(())
    }

    /// For programs.
    pub fn json(&self) -> String {
        let sums = FATES.map(|fate| {
            let of_it = || self.lines.iter().filter(|line| line.fate() == fate);
            json!({
                "fate": fate,
                "domains": of_it().count(),
                "messages": of_it().map(|line| line.counts.messages).sum::<u64>(),
            })
        });
        let json = json!({
            "fates": sums,
            "domains": self.lines.iter().map(Line::row).collect::<Vec<_>>(),
            "would_block": self.sum(|line| line.against.plaintext),
            "unproven": self.sum(|line| line.against.unproven),
            "messages_beyond": self.beyond,
            "unreadable": self.unreadable,
        });
        format!("{json:#}\n")
    }

    /// For spreadsheets: one row for each destination.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for line in &self.lines {
            writer.serialize(line.row())?;
        }
        let octets = writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }
}

/// Tenths of a percent are enough.
fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1000).checked_div(whole).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn in_the_log(counts: Counts) -> String {
    let told = [
        (counts.proven, "proven"),
        (counts.unproven, "TLS"),
        (counts.plaintext, "plaintext"),
    ];
    let told = told.iter().filter(|(number, _)| *number > 0);
    let told: Vec<String> = told
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    if told.is_empty() {
        return "-".to_owned();
    }
    told.join(", ")
}
