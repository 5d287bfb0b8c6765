//! What is written: configuration, rules, trusted CAs.

use super::Finding;
use crate::config::{Config, ConfigError, RuleSet};
use crate::policy::rules::Rule;
use crate::time::UnixTime;

/// What ends so soon should be looked at now.
const SOON: u64 = 7 * 24 * 60 * 60;

/// A file that does not load.
pub(super) fn unreadable(what: &'static str, error: &ConfigError) -> Finding {
    Finding::broken(
        what,
        error.to_string(),
        "mend it; `waxseal config check` tells whether it loads",
    )
}

pub(super) fn configuration(config: &Config) -> Vec<Finding> {
    let source = match &config.source {
        Some(file) => file.display().to_string(),
        None => "the defaults, there is no file".to_owned(),
    };
    let mut found = vec![Finding::well("configuration", source)];
    let warnings = config.warnings.iter();
    found.extend(warnings.map(|warning| {
        let advice = "docs/waxseal.toml explains every key";
        Finding::warning("configuration", warning, advice)
    }));
    found
}

pub(super) fn rules(set: &Result<RuleSet, ConfigError>, now: UnixTime) -> Vec<Finding> {
    let set = match set {
        Ok(set) => set,
        Err(error) => return vec![unreadable("rules", error)],
    };
    let (rules, files) = (set.rules.iter().count(), set.files.len());
    let mut found = vec![Finding::well("rules", format!("{rules} in {files} files"))];
    let advice = "edit the rule files; `waxseal rule list` prints all rules";
    let warnings = set.warnings.iter();
    found.extend(warnings.map(|warning| Finding::warning("rules", warning, advice)));
    found.extend(set.rules.iter().filter_map(|rule| expiring(rule, now)));
    found
}

/// A rule that ends within a week.
fn expiring(rule: &Rule, now: UnixTime) -> Option<Finding> {
    let at = rule.expires.filter(|_| !rule.has_expired(now))?;
    (at.0.saturating_sub(now.0) <= SOON).then(|| {
        Finding::warning(
            "rules",
            format!(
                "{}: {} ({}) expires on {at}",
                rule.origin, rule.pattern, rule.level
            ),
            "change `expires` if it is still needed; from that day on another rule counts",
        )
    })
}

pub(super) fn roots(config: &Config) -> Finding {
    let roots = &config.roots;
    match roots.anchors.len() {
        0 => Finding::warning(
            "CA roots",
            "no CA is trusted: no certificate is ever proven by one",
            "choose `roots` or `ca_files` in [tls], unless only DANE and fingerprints are wanted",
        ),
        count => Finding::well(
            "CA roots",
            format!("{count} trusted, from {}", roots.source),
        ),
    }
}
