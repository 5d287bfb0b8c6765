//! A diagnosis for people and for programs.

use std::fmt::Write as _;

use serde_json::json;

use super::{Diagnosis, State};

impl Diagnosis {
    /// For people: one line for each finding, and below it what to do.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.0 {
            let (state, what) = (finding.state.word(), finding.what);
            // Writing to memory does not fail.
            let _ = writeln!(out, "{state:<8} {what:<14} {}", finding.detail);
            if let Some(advice) = &finding.advice {
                let _ = writeln!(out, "{:<24}-> {advice}", "");
            }
        }
        let count = |state| self.0.iter().filter(|one| one.state == state).count();
        let _ = match (count(State::Broken), count(State::Warning)) {
            (0, 0) => writeln!(out, "\nall is well"),
            (broken, warnings) => writeln!(out, "\n{broken} broken, {warnings} to look at"),
        };
        out
    }

    /// For programs.
    pub fn json(&self) -> String {
        let findings = self.0.iter().map(|finding| {
            json!({
                "what": finding.what,
                "state": finding.state.word(),
                "detail": finding.detail,
                "advice": finding.advice,
            })
        });
        let json = json!({
            "state": self.state().word(),
            "findings": findings.collect::<Vec<_>>(),
        });
        format!("{json:#}\n")
    }
}
