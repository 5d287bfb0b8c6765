//! Rules as lines for people, and as JSON.

use std::fmt::Write as _;

use serde_json::json;

use crate::policy::rules::{Rule, Rules, SenderScope};
use crate::time::UnixTime;

/// What ends so soon is marked.
const SOON: u64 = 7 * 24 * 60 * 60;

const HEAD: [&str; 6] = ["PATTERN", "SENDER", "TLS", "MODE", "EXPIRES", "WHERE"];

/// One line for each rule.
pub(super) fn print(rules: &Rules, now: UnixTime, as_json: bool) -> String {
    if as_json {
        return rules.iter().map(|rule| json_line(rule, now)).collect();
    }
    let rows: Vec<([String; 6], &str)> = rules
        .iter()
        .map(|rule| (row(rule, now), rule.reason.as_deref().unwrap_or_default()))
        .collect();
    if rows.is_empty() {
        return "there are no rules: TLS is used where it is offered\n".to_owned();
    }
    let head = (HEAD.map(str::to_owned), "REASON");
    let width = |column: usize| {
        let cells = rows.iter().map(|(row, _)| row[column].chars().count());
        cells.max().unwrap_or(0).max(HEAD[column].len())
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for (row, reason) in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        line += &reason.split_whitespace().collect::<Vec<_>>().join(" ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn row(rule: &Rule, now: UnixTime) -> [String; 6] {
    let expires = match rule.expires {
        None => "-".to_owned(),
        Some(at) if rule.has_expired(now) => format!("{at} (expired)"),
        Some(at) if ends_soon(at, now) => format!("{at} !"),
        Some(at) => at.to_string(),
    };
    [
        rule.pattern.to_string(),
        rule.sender.to_string(),
        rule.level.to_string(),
        rule.mode.word().to_owned(),
        expires,
        rule.origin.to_string(),
    ]
}

fn ends_soon(at: UnixTime, now: UnixTime) -> bool {
    at.0.saturating_sub(now.0) <= SOON
}

fn json_line(rule: &Rule, now: UnixTime) -> String {
    let sender = (rule.sender != SenderScope::Anyone).then(|| rule.sender.to_string());
    let json = json!({
        "pattern": rule.pattern.to_string(),
        "sender": sender,
        "tls": rule.level.to_string(),
        "mode": rule.mode.word(),
        "reason": rule.reason,
        "expires": rule.expires.map(|at| at.to_string()),
        "expired": rule.has_expired(now),
        "expires_within_a_week": rule.expires.is_some_and(|at| ends_soon(at, now)) && !rule.has_expired(now),
        "file": &*rule.origin.file,
        "line": rule.origin.line,
    });
    format!("{json}\n")
}
