//! The limit of open files. Each session takes two, and waxseal raises its limit as far as it may.

use rlimit::Resource;

use super::Finding;
use crate::config::Config;

const WHAT: &str = "open files";
/// For everything but sessions.
const BESIDE: u64 = 200;

pub(super) fn check(config: &Config) -> Finding {
    let sessions = config.listeners.iter().map(|one| one.max_sessions);
    let maps = config.maps.iter().map(|one| one.max_sessions);
    let sessions: usize = sessions.chain(maps).sum();
    match Resource::NOFILE.get() {
        Ok((_, most)) => judge(most, sessions as u64),
        Err(error) => Finding::warning(
            WHAT,
            format!("the limit cannot be read: {error}"),
            "`ulimit -Hn` prints it",
        ),
    }
}

fn judge(most: u64, sessions: u64) -> Finding {
    let needed = sessions.saturating_mul(2).saturating_add(BESIDE);
    if most >= needed {
        return Finding::well(
            WHAT,
            format!("{sessions} sessions need {needed}, and {most} may be open here"),
        );
    }
    Finding::warning(
        WHAT,
        format!("{sessions} sessions need {needed}, and no more than {most} may be open here"),
        format!("set LimitNOFILE={needed} in the service, or lower `max_sessions`"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn every_session_takes_two() {
        assert_eq!(judge(2200, 1000).state, State::Well);
        assert_eq!(judge(2199, 1000).state, State::Warning);
        assert_eq!(judge(u64::MAX, 1000).state, State::Well);
    }
}
