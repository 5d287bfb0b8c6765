//! The folder of the store: whether it can be written, and whether there is room.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

use super::Finding;
use crate::store::Place;

const WHAT: &str = "state folder";
const MIB: u64 = 1 << 20;
/// Less is too little for a store that grows.
const LITTLE: u64 = 100 * MIB;

pub(super) fn check(place: &Place) -> Vec<Finding> {
    let Place::File(file) = place else {
        // If nobody has chosen that, the configuration warns of it.
        let detail = "none: MTA-STS policies are kept in memory, and forgotten at each restart";
        return vec![Finding::well(WHAT, detail)];
    };
    // What is missing is made by waxseal; what counts is the folder that it is made in.
    let there = file.ancestors().skip(1).find(|folder| folder.exists());
    let folder = match there {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut found = vec![writable(file, folder)];
    found.extend(room(folder));
    found
}

fn writable(file: &Path, folder: &Path) -> Finding {
    let flags = AccessFlags::W_OK | AccessFlags::X_OK;
    let denied = [
        (folder, flags),
        (file, AccessFlags::W_OK | AccessFlags::R_OK),
    ]
    .into_iter()
    .filter(|(path, _)| path.exists())
    .find_map(|(path, flags)| Some((path, access(path, flags).err()?)));
    let me = user(geteuid());
    match denied {
        Some((path, error)) => Finding::broken(
            WHAT,
            format!(
                "{} cannot be written by {me}: {} (it belongs to {})",
                path.display(),
                error.desc(),
                owner(path)
            ),
            format!(
                "run this as the user of the service, or give it to {me}, or set `path` in [store]"
            ),
        ),
        None => Finding::well(
            WHAT,
            format!(
                "{} can be written by {me}; {} belongs to {}",
                file.display(),
                folder.display(),
                owner(folder)
            ),
        ),
    }
}

fn room(folder: &Path) -> Option<Finding> {
    let told = statvfs(folder).ok()?;
    #[expect(
        clippy::useless_conversion,
        reason = "the width of these numbers depends on the system"
    )]
    let free = u64::from(told.blocks_available()).saturating_mul(told.fragment_size().into());
    (free < LITTLE).then(|| {
        let detail = format!("{}: {} MiB are free", folder.display(), free / MIB);
        Finding::warning(WHAT, detail, "make room: a full disk keeps no policy")
    })
}

fn owner(path: &Path) -> String {
    fs::metadata(path).map_or("nobody knows whom".to_owned(), |told| {
        user(Uid::from_raw(told.uid()))
    })
}

fn user(id: Uid) -> String {
    match User::from_uid(id) {
        Ok(Some(user)) => user.name,
        _ => format!("user {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_folder_that_is_not_yet_made_is_judged_by_the_one_above() {
        let home = tempfile::tempdir().unwrap();
        let found = check(&Place::File(home.path().join("a/b/waxseal.db")));
        assert_eq!(found[0].state, State::Well, "{found:?}");
        assert!(found[0].detail.contains("a/b/waxseal.db can be written by"));
    }

    #[test]
    fn what_cannot_be_written_is_broken() {
        // Nobody, not even root, writes there.
        let found = check(&Place::File("/proc/version".into()));
        let told = &found[0];
        assert!(
            told.state == State::Broken || geteuid().is_root(),
            "{told:?}"
        );
    }
}
