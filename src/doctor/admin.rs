//! What the waxseal that runs here says of itself.

use serde_json::Value;

use super::{Finding, Running};
use crate::config::Config;

const WHAT: &str = "running";

pub(super) fn check(config: &Config, running: &Running) -> Vec<Finding> {
    let Some(admin) = config.admin.as_ref().map(|admin| admin.listen) else {
        let detail = "the admin endpoint is off: nobody can be asked";
        return vec![Finding::well(WHAT, detail)];
    };
    match running {
        Running::Nobody => vec![Finding::well(
            WHAT,
            format!("no waxseal answers at {admin}"),
        )],
        Running::Somebody(how) => vec![Finding::broken(
            WHAT,
            format!("{admin}: {how}"),
            "is that a waxseal? `ss -ltnp` names the program",
        )],
        Running::Waxseal(told) => judge(told),
    }
}

fn judge(told: &Value) -> Vec<Finding> {
    let text = |path: &str| told.pointer(path).and_then(Value::as_str);
    let state = text("/state").unwrap_or("unknown");
    let mut found = vec![match state {
        "ready" => Finding::well(WHAT, "ready for mail"),
        state => Finding::warning(WHAT, format!("it is {state}"), "ask again in a moment"),
    }];
    if text("/last_reload/result") == Some("failed") {
        let why = text("/last_reload/detail").unwrap_or_default();
        found.push(Finding::broken(
            WHAT,
            format!("the last reload failed, and the set before is in force: {why}"),
            "mend it, and reload",
        ));
    }
    if let Some(why) = text("/store/degraded") {
        found.push(Finding::broken(
            WHAT,
            format!("its store: {why}"),
            "see the state folder above",
        ));
    }
    if let Some("unavailable" | "waiting") = text("/dnssec/in_force") {
        found.push(Finding::broken(
            WHAT,
            "it has no name server that gives proven answers",
            "see DNS above; a reload probes them again",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::State::{Broken, Warning, Well};
    use super::*;

    #[test]
    fn what_a_waxseal_says_of_itself_is_heard() {
        let states = |told: Value| {
            let found = judge(&told);
            found.iter().map(|one| one.state).collect::<Vec<_>>()
        };
        let well = json!({"state": "ready", "last_reload": null, "store": {"degraded": null}});
        assert_eq!(states(well), [Well]);
        assert_eq!(states(json!({"state": "draining"})), [Warning]);
        let ill = json!({
            "state": "ready",
            "last_reload": {"result": "failed", "detail": "a.toml:1"},
            "store": {"degraded": "the disk is full"},
            "dnssec": {"in_force": "unavailable"},
        });
        assert_eq!(states(ill), [Well, Broken, Broken, Broken]);
    }
}
