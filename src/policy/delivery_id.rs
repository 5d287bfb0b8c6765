//! The name of one leg: in the reply to the MTA, in the log, in the audit log, for `waxseal explain`.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

use crate::time::UnixTime;

/// A ULID: the time, and 80 bits by chance, so that no two waxseals of a fleet give the same one. In
/// lower case, because it stands in lines that people read: `01kb5cw8r0v4q8zj2m6tn3x9fy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(Ulid);

/// What is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no id of a delivery: those are 26 letters and digits, such as 01kb5cw8r0v4q8zj2m6tn3x9fy"
)]
pub struct NotAnId(String);

impl DeliveryId {
    /// The id of a leg that begins at `now`; `chance` is what makes it unlike all others.
    pub fn new(now: UnixTime, chance: u128) -> Self {
        Self(Ulid::from_parts(now.0.saturating_mul(1000), chance))
    }
}

impl FromStr for DeliveryId {
    type Err = NotAnId;

    /// In either case.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let id = Ulid::from_string(text).ok().map(Self);
        // More than 128 bits would be cut.
        id.filter(|id| id.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| NotAnId(text.chars().take(64).collect()))
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; ulid::ULID_LEN];
        let text = self.0.array_to_str(&mut text);
        text.make_ascii_lowercase();
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_what_it_prints_in_either_case() {
        let id = DeliveryId::new(UnixTime(1_795_444_422), 0x00c0_ffee);
        let text = id.to_string();
        assert_eq!(text, "01m84d7dbg00000000000c1zze");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn ids_are_in_the_order_of_their_times() {
        let at = |second, chance| DeliveryId::new(UnixTime(second), chance).to_string();
        assert!(at(1_795_444_422, u128::MAX) < at(1_795_444_423, 0));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in [
            "",
            "01kb5cw8",
            "../../etc/passwd",
            "01kb5cw8r0v4q8zj2m6tn3x9f!",
            "8zzzzzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert!(bad.parse::<DeliveryId>().is_err(), "{bad}");
        }
    }
}
