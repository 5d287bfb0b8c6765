//! What a check shows of MTA-STS: the record, the policy and its times, and which hosts it names.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::PolicyView;
use crate::dns::LookupError;
use crate::mtasts::record_name;
use crate::name::{Destination, Domain};
use crate::policy::facts::{Facts, MtaSts, NoMtaSts};
use crate::proxy::gate::Gate;
use crate::store::Kept;
use crate::time::UnixTime;

/// What is known beside the facts.
#[derive(Debug)]
pub(super) struct View {
    domain: Domain,
    /// The TXT records at the name of the record, ours or not.
    texts: Result<Vec<String>, LookupError>,
    /// What is remembered, whatever its mode.
    kept: Option<Arc<Kept>>,
    now: UnixTime,
}

impl View {
    /// Looks again where the decision looked; none where it did not have to.
    pub(super) async fn of(gate: &Gate, facts: &Facts) -> Option<Self> {
        let policies = gate.discover.policies()?;
        let (Destination::Domain(domain), false) = (
            &facts.next_hop,
            facts.mta_sts == MtaSts::Absent(NoMtaSts::NotAsked),
        ) else {
            return None;
        };
        Some(Self {
            texts: policies.texts(domain).await,
            // Whether it can be read at all the facts tell.
            kept: policies.kept(domain).await.ok().flatten(),
            domain: domain.clone(),
            now: gate.clock.now(),
        })
    }

    fn policy_lines(&self) -> Vec<String> {
        let Some(kept) = &self.kept else {
            return Vec::new();
        };
        let fetched = &kept.fetched;
        let age = self.now.0.saturating_sub(fetched.at.0);
        let mut lines = vec![
            format!("id {}", fetched.id),
            format!("fetched {}, {} ago", fetched.at, ago(age)),
            format!("expires {}", fetched.expires()),
            format!("next refresh {}", kept.refresh),
        ];
        if let Some(failing) = &kept.failing {
            lines.push(format!(
                "refreshes fail since {}: {}",
                failing.since, failing.why
            ));
        }
        lines.extend(
            fetched
                .text
                .lines()
                .map(|line| format!("| {}", plain(line))),
        );
        lines
    }
}

/// Whole seconds as people say them.
fn ago(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// What strangers wrote, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// For people.
pub(super) fn write_text(out: &mut String, facts: &Facts, view: Option<&View>) -> std::fmt::Result {
    writeln!(out, "MTA-STS   {}", facts.mta_sts)?;
    let Some(view) = view else { return Ok(()) };
    let name = record_name(&view.domain);
    match &view.texts {
        Ok(texts) => {
            for text in texts {
                writeln!(out, "MTA-STS   {name} TXT {}", plain(text))?;
            }
        }
        Err(error) => writeln!(out, "MTA-STS   {name} TXT: the look-up failed: {error}")?,
    }
    for line in view.policy_lines() {
        writeln!(out, "MTA-STS   {line}")?;
    }
    Ok(())
}

/// For programs.
pub(super) fn json(facts: &Facts, view: Option<&View>) -> Value {
    let kept = view.and_then(|view| view.kept.as_deref());
    json!({
        "state": facts.mta_sts.to_string(),
        "record": view.map(|view| match &view.texts {
            Ok(texts) => json!(texts),
            Err(error) => json!({"failed": error.to_string()}),
        }),
        "policy": view.zip(kept).map(|(view, kept)| json!(PolicyView::of(&view.domain, kept))),
    })
}
