//! A damaged file is set aside, and by one process only.
//!
//! A file must not be renamed while anybody has it open: who opens it at that moment could join the old file
//! to the log of the new one, and who closes it later could delete that log. So whoever has the file open
//! holds a shared lock on `waxseal.db.lock` from before the first connection until after the last one, and
//! whoever sets it aside first needs that lock alone. Two processes that find the same damage at once let go
//! of the file, and one of them gets the lock. By the time that the other one gets it, another file is in
//! that place: each remembers which file it was that it found damaged (device and inode), and no other is
//! ever moved. A process that has the damaged file open and has not noticed yet keeps the lock, and the file
//! stays until that process notices or ends; the others do with memory meanwhile.
//!
//! The lock is on a file of its own that is never renamed, and is of another kind (`flock`) than those of
//! SQLite. The end of a process, however it comes, ends its lock.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store::place::make_file;
use crate::time::UnixTime;

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    /// The file at `path` at present; none where there is none.
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(Self(found.dev(), found.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The right to have the file open; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _held: File,
}

impl Lock {
    /// Together with others that have the file open; none while somebody sets it aside.
    pub(super) fn shared(path: &Path) -> io::Result<Option<Self>> {
        Self::held(lock_file(path)?, File::try_lock_shared)
    }

    /// Alone; none while anybody has the file open.
    fn alone(path: &Path) -> io::Result<Option<Self>> {
        Self::held(lock_file(path)?, File::try_lock)
    }

    fn held(file: File, lock: fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<Self>> {
        match lock(&file) {
            Ok(()) => Ok(Some(Self { _held: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    let path = beside(path, ".lock");
    make_file(&path)?;
    OpenOptions::new().write(true).open(path)
}

/// What came of setting a file aside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// It is under this name now.
    Moved(PathBuf),
    /// Another file is in its place, or none: somebody else has moved it.
    Gone,
    /// Somebody has it open.
    InUse,
}

/// Moves the file `damaged` from `path` to a name that tells the time, with what belongs to it.
pub(super) fn set_aside(path: &Path, damaged: Identity, now: UnixTime) -> io::Result<Aside> {
    if Identity::of(path)? != Some(damaged) {
        return Ok(Aside::Gone);
    }
    let Some(_alone) = Lock::alone(path)? else {
        return Ok(Aside::InUse);
    };
    // Looked at again: until now somebody else may have had the lock.
    if Identity::of(path)? != Some(damaged) {
        return Ok(Aside::Gone);
    }
    let to = free_name(path, now);
    // The file itself goes last: should this end half-way, what is left is still the damaged file, and its
    // log never stands beside a new one.
    for part in ["-shm", "-wal", ""] {
        match fs::rename(beside(path, part), beside(&to, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(Aside::Moved(to))
}

/// `waxseal.db.damaged-2026-11-23T14-33-42Z`; with a number behind it where that is taken.
fn free_name(path: &Path, now: UnixTime) -> PathBuf {
    // Colons mean something else to scp and rsync.
    let time = now.to_string().replace(':', "-");
    let first = beside(path, &format!(".damaged-{time}"));
    let numbered = (2..100).map(|n| beside(&first, &format!(".{n}")));
    let mut names = std::iter::once(first.clone()).chain(numbered);
    names
        .find(|name| name.symlink_metadata().is_err())
        .unwrap_or(first)
}

/// The path of a file that belongs to the one at `path`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_444_422);

    struct Damaged {
        folder: tempfile::TempDir,
        path: PathBuf,
        identity: Identity,
    }

    fn damaged() -> Damaged {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("waxseal.db");
        fs::write(&path, "rubbish").unwrap();
        fs::write(beside(&path, "-wal"), "log").unwrap();
        let identity = Identity::of(&path).unwrap().unwrap();
        Damaged {
            folder,
            path,
            identity,
        }
    }

    #[test]
    fn the_file_goes_with_its_log() {
        let it = damaged();
        let to = it
            .folder
            .path()
            .join("waxseal.db.damaged-2026-11-23T14-33-42Z");
        let done = set_aside(&it.path, it.identity, NOW).unwrap();
        assert_eq!(done, Aside::Moved(to.clone()));
        assert_eq!(fs::read(&to).unwrap(), b"rubbish");
        assert_eq!(fs::read(beside(&to, "-wal")).unwrap(), b"log");
        assert!(!it.path.exists() && !beside(&it.path, "-wal").exists());
    }

    #[test]
    fn only_the_file_that_was_found_damaged_is_moved() {
        let it = damaged();
        assert!(matches!(
            set_aside(&it.path, it.identity, NOW),
            Ok(Aside::Moved(_))
        ));
        assert_eq!(set_aside(&it.path, it.identity, NOW).unwrap(), Aside::Gone);
        fs::write(&it.path, "new").unwrap();
        assert_eq!(set_aside(&it.path, it.identity, NOW).unwrap(), Aside::Gone);
        assert_eq!(fs::read(&it.path).unwrap(), b"new");
    }

    #[test]
    fn nothing_is_moved_under_somebody_who_has_it_open() {
        let it = damaged();
        let somebody = Lock::shared(&it.path).unwrap().unwrap();
        let other = Lock::shared(&it.path).unwrap();
        assert!(other.is_some());
        drop(somebody);
        assert_eq!(set_aside(&it.path, it.identity, NOW).unwrap(), Aside::InUse);
        drop(other);
        assert!(matches!(
            set_aside(&it.path, it.identity, NOW),
            Ok(Aside::Moved(_))
        ));
    }

    #[test]
    fn nothing_that_was_set_aside_is_overwritten() {
        let it = damaged();
        set_aside(&it.path, it.identity, NOW).unwrap();
        fs::write(&it.path, "again").unwrap();
        let again = Identity::of(&it.path).unwrap().unwrap();
        let Aside::Moved(to) = set_aside(&it.path, again, NOW).unwrap() else {
            panic!("not moved");
        };
        assert!(to.to_string_lossy().ends_with("Z.2"), "{}", to.display());
        assert_eq!(fs::read(to).unwrap(), b"again");
    }
}
