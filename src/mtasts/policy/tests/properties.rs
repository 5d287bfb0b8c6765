//! What holds of every policy and every text.

use proptest::prelude::*;

use super::*;
use crate::name::Host;

/// Names whose last label is no number.
fn host() -> impl Strategy<Value = String> {
    "[a-z0-9_-]{1,8}(\\.[a-z0-9-]{1,5}){0,2}\\.[a-z]{1,4}"
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let pattern = (host(), any::<bool>()).prop_map(|(host, wild)| {
        let host: Host = host.parse().unwrap();
        if wild {
            MxPattern::OneLabelBelow(host)
        } else {
            MxPattern::Exact(host)
        }
    });
    let mode = prop::sample::select(&Mode::ALL[..]);
    let mx = prop::collection::vec(pattern, 1..5);
    (mode, 0..=MAX_MAX_AGE.as_secs(), mx).prop_map(|(mode, seconds, mx)| Policy {
        mode,
        max_age: Duration::from_secs(seconds),
        mx,
    })
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("version: STSv1".to_owned()),
        "mode: (enforce|testing|none)",
        "max_age: [0-9]{1,11}",
        "mx: (\\*\\.)?[a-z0-9.*-]{1,9}",
        "[a-z_]{0,3}:? ?.{0,5}",
        ".{0,9}",
    ]
}

proptest! {
    #[test]
    fn a_policy_reads_what_it_writes(policy in any_policy()) {
        prop_assert_eq!(policy.to_string().parse(), Ok(policy));
    }

    #[test]
    fn order_line_ends_and_strangers_change_nothing(
        policy in any_policy(),
        end in "[ \t]{0,2}\r?\n\n?",
        stranger in "[a-z]{5}: [!-~][ -~]{0,9}[!-~]",
        turn in 0..9usize,
    ) {
        let mut lines: Vec<String> = policy.to_string().lines().map(str::to_owned).collect();
        lines.push(stranger);
        let turn = turn % lines.len();
        lines.rotate_left(turn);
        let again: Policy = lines.join(&end).parse().unwrap();
        // The turn may part the patterns.
        let sorted = |policy: &Policy| {
            let mut mx: Vec<String> = policy.mx.iter().map(ToString::to_string).collect();
            mx.sort();
            (policy.mode, policy.max_age, mx)
        };
        prop_assert_eq!(sorted(&again), sorted(&policy));
    }

    #[test]
    fn whatever_is_taken_is_whole(lines in prop::collection::vec(line(), 0..8)) {
        if let Ok(policy) = lines.join("\n").parse::<Policy>() {
            prop_assert!(policy.max_age <= MAX_MAX_AGE);
            prop_assert!(policy.mode == Mode::None || !policy.mx.is_empty());
            prop_assert_eq!(policy.to_string().parse(), Ok(policy));
        }
    }

    #[test]
    fn any_octets_are_survived(text: Vec<u8>) {
        let _ = parse(&text);
    }
}
