//! Whether the clock can be right. Certificates, signatures and rules are judged by it.
//!
//! No time server is asked. But a clock cannot be right that is behind the day on which a file here was written, and
//! where waxseal validates DNSSEC by itself the probe tells more: the root's signatures hold for two weeks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::Config;
use crate::store::Place;
use crate::time::UnixTime;

/// Clocks of different machines may differ a little, and files come from other machines.
const TOLERANCE: u64 = 5 * 60;

pub(super) fn check(config: &Config, now: UnixTime) -> Finding {
    let store = match &config.store {
        Place::File(path) => Some(path.clone()),
        Place::Memory => None,
    };
    let program = std::env::current_exe().ok();
    let files: Vec<PathBuf> = [config.source.clone(), store, program]
        .into_iter()
        .flatten()
        .collect();
    let written = files
        .iter()
        .filter_map(|file| Some((file.as_path(), written(file)?)));
    judge(now, written.max_by_key(|(_, at)| *at))
}

fn written(file: &Path) -> Option<UnixTime> {
    let seconds = fs::metadata(file).ok()?.mtime();
    u64::try_from(seconds).ok().map(UnixTime)
}

fn judge(now: UnixTime, newest: Option<(&Path, UnixTime)>) -> Finding {
    match newest {
        Some((file, at)) if at.0 > now.0.saturating_add(TOLERANCE) => Finding::broken(
            "clock",
            format!("it says {now}, and {} was written on {at}", file.display()),
            "set the clock (`timedatectl set-ntp true`): certificates are judged by it",
        ),
        _ => Finding::well("clock", format!("it says {now}; no time server was asked")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_behind_a_file_is_wrong() {
        let state = |at| judge(UnixTime(1000), Some((Path::new("f"), UnixTime(at)))).state;
        assert_eq!(state(999), State::Well);
        assert_eq!(state(1000 + TOLERANCE), State::Well);
        assert_eq!(state(1001 + TOLERANCE), State::Broken);
        assert_eq!(judge(UnixTime(0), None).state, State::Well);
    }
}
