//! What speaks against a channel although it is authorized.

use std::time::Duration;

use waxseal::policy::downgrade::{Extent, Guard, Known, Response, Shown, Watch};
use waxseal::policy::requirement::{Demand, Mode, Requirement};

use super::{Case, name, pkix};
use crate::support::ca::Ca;

#[test]
fn what_is_observed_or_tested_or_was_shown_before_leaves_a_doubt_where_it_is_missing() {
    let ca = Ca::new("Test CA");
    let [good, bad] = ["mx.a.test", "other.test"].map(|host| pkix(&ca, &[name(host)]));
    let case = Case::new(ca.server("mx.a.test").chain.clone(), Demand::Encryption);
    let plain = || case.requirement();
    let watched = |roots| {
        let known = Known {
            best: Shown::Pkix,
            lost: None,
        };
        let guard = Guard {
            response: Response::Warn,
            hold: Duration::from_secs(1),
        };
        let extent = Extent::Proof(roots);
        Some(Watch {
            known,
            extent,
            guard,
        })
    };
    let observed = |demand| Requirement {
        demand,
        mode: Mode::Observe,
        ..plain()
    };
    let tested = |demand| Requirement {
        tested: Some(demand),
        ..plain()
    };
    let seen = |roots| Requirement {
        watch: watched(roots),
        ..plain()
    };
    for (what, requirement, beyond_doubt) in [
        ("nothing", plain(), true),
        ("observed and there", observed(good.clone()), true),
        ("observed", observed(bad.clone()), false),
        ("tested and there", tested(good), true),
        ("tested", tested(bad), false),
        ("shown before and there", seen(ca.roots()), true),
        ("shown before", seen(Ca::new("Other CA").roots()), false),
    ] {
        let authorized = case.judge_by(&requirement).unwrap();
        assert_eq!(authorized.is_beyond_doubt(), beyond_doubt, "{what}");
    }
}
