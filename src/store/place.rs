//! Where the store is: a file, or memory.
//!
//! Which domains an operator writes to is nobody else's business, so folders that are missing are made
//! for their owner alone, and so is the file.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// Where policies are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This file, which is made where there is none.
    File(PathBuf),
    /// Memory: the end of the process is the end of it.
    Memory,
}

/// The name of the file in the folder of waxseal's state.
const FILE: &str = "waxseal.db";

/// Where the store is if the configuration says nothing, and a warning if that is memory.
///
/// `variable` looks up a variable of the environment. systemd's `StateDirectory=` comes first, then the XDG
/// state folder, which is below the home folder by default.
pub fn default_place(variable: impl Fn(&str) -> Option<OsString>) -> (Place, Option<&'static str>) {
    // A relative path would depend on the folder that waxseal happens to be started in.
    let folder = |name| {
        let paths = variable(name)?;
        // systemd separates several folders with colons.
        let first = paths.as_bytes().split(|&b| b == b':').next()?;
        let first = PathBuf::from(OsStr::from_bytes(first));
        first.is_absolute().then_some(first)
    };
    let state = folder("STATE_DIRECTORY")
        .or_else(|| Some(folder("XDG_STATE_HOME")?.join("waxseal")))
        .or_else(|| Some(folder("HOME")?.join(".local/state/waxseal")));
    match state {
        Some(folder) => (Place::File(folder.join(FILE)), None),
        None => (Place::Memory, Some(NOWHERE)),
    }
}

const NOWHERE: &str = "MTA-STS policies are kept in memory and forgotten at each restart: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set; set [store] path";

/// Makes the folder of a file, and those above it, where they are missing.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    let mut maker = DirBuilder::new();
    maker.recursive(true).mode(0o700);
    path.parent().map_or(Ok(()), |folder| maker.create(folder))
}

/// Makes an empty file, where it is missing.
///
/// One that is there is not even opened: whoever closes a file ends the locks that SQLite has on it in the
/// same process.
pub(super) fn make_file(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => {
            give_away(&file, path);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives a new file to whom its folder belongs to: where root runs `waxseal policy` before the daemon has
/// ever run, the daemon must be able to open the file later.
fn give_away(file: &File, path: &Path) {
    let owner = path.parent().and_then(|folder| folder.metadata().ok());
    if let Some(owner) = owner {
        // Nobody but root can, and nobody but root has to.
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Place {
        let look_up = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(value))
        };
        default_place(look_up).0
    }

    fn file(path: &str) -> Place {
        Place::File(path.into())
    }

    #[test]
    fn systemd_comes_first_then_xdg_then_home() {
        let all = [
            ("STATE_DIRECTORY", "/var/lib/waxseal"),
            ("XDG_STATE_HOME", "/state"),
            ("HOME", "/home/a"),
        ];
        assert_eq!(place(&all), file("/var/lib/waxseal/waxseal.db"));
        assert_eq!(place(&all[1..]), file("/state/waxseal/waxseal.db"));
        assert_eq!(
            place(&all[2..]),
            file("/home/a/.local/state/waxseal/waxseal.db")
        );
    }

    #[test]
    fn the_first_of_several_state_folders_counts() {
        let two = [("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")];
        assert_eq!(place(&two), file("/var/lib/a/waxseal.db"));
    }

    #[test]
    fn what_is_empty_or_relative_is_passed_over() {
        let odd = [
            ("STATE_DIRECTORY", ""),
            ("XDG_STATE_HOME", "state"),
            ("HOME", "/home/a"),
        ];
        assert_eq!(place(&odd), file("/home/a/.local/state/waxseal/waxseal.db"));
    }

    #[test]
    fn without_any_there_is_memory_and_a_warning() {
        let (place, warning) = default_place(|_| None);
        assert_eq!(place, Place::Memory);
        assert!(warning.unwrap().contains("[store] path"));
        assert_eq!(
            default_place(|name| (name == "HOME").then(|| "/a".into())).1,
            None
        );
    }
}
