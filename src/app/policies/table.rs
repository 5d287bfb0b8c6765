//! Policies as text, and as JSON.

use std::fmt::Write as _;

use serde_json::json;

use crate::admin::PolicyView;
use crate::app::list::Layout;
use crate::name::Domain;

/// A list of policies.
pub(super) fn list() -> Layout<PolicyView> {
    Layout {
        head: row("DOMAIN", "MODE", "EXPIRES", "NEXT REFRESH", ""),
        line,
        none: "no MTA-STS policy is remembered\n",
    }
}

fn row(domain: &str, mode: &str, expires: &str, refresh: &str, note: &str) -> String {
    let row = format!("{domain:<32} {mode:<8} {expires:<20} {refresh:<20} {note}");
    format!("{}\n", row.trim_end())
}

fn line(policy: &PolicyView) -> String {
    let failing = policy.failing.as_ref();
    let note = failing.map_or(String::new(), |failing| {
        format!("refreshes fail since {}: {}", failing.since, failing.why)
    });
    row(
        &policy.domain,
        &policy.mode,
        &policy.expires,
        &policy.next_refresh,
        &note,
    )
}

/// All of one policy.
pub(super) fn policy(policy: &PolicyView, as_json: bool) -> String {
    if as_json {
        return format!("{:#}\n", json!(policy));
    }
    let mut text = String::new();
    let mut tell = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<13} {value}");
    };
    tell("domain", &policy.domain);
    tell("mode", &policy.mode);
    for pattern in &policy.mx {
        tell("mx", pattern);
    }
    tell("id", &policy.id);
    tell("fetched", &policy.fetched);
    tell("expires", &policy.expires);
    tell("last used", &policy.used);
    tell("next refresh", &policy.next_refresh);
    if let Some(failing) = &policy.failing {
        tell("failing since", &failing.since);
        tell("failing", &failing.why);
    }
    text
}

/// That a policy is gone.
pub(super) fn forgotten(domain: &Domain, as_json: bool) -> String {
    if as_json {
        format!("{}\n", json!({"forgotten": domain.to_string()}))
    } else {
        format!("forgotten: the MTA-STS policy of {domain}\n")
    }
}
