//! What an error of SQLite means for the store.

use sqlx::migrate::MigrateError;

use crate::store::StoreError;

/// Why a file cannot be used as the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cannot {
    /// It is damaged.
    #[error("the file is damaged ({0})")]
    Damaged(String),
    /// It is damaged, and other processes would lose it if it were set aside.
    #[error("the file is damaged ({0}), and another process has it open; stop that one")]
    InUse(String),
    /// Another process holds it.
    #[error("another process keeps the file busy")]
    Busy,
    /// It is well, but not for this waxseal.
    #[error("a newer waxseal wrote the file (its schema has version {0}); it is left as it is")]
    Newer(i64),
    /// It is a database of something else.
    #[error("the file is not a store of waxseal's ({0}); it is left as it is")]
    Foreign(String),
    /// The folder or the disk says no.
    #[error("{0}")]
    Disk(String),
}

impl Cannot {
    /// Whether what the file holds may still be read.
    pub(super) fn leaves_it_readable(&self) -> bool {
        matches!(self, Self::Busy | Self::Disk(_))
    }
}

impl From<std::io::Error> for Cannot {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<sqlx::Error> for Cannot {
    fn from(error: sqlx::Error) -> Self {
        match StoreError::from(error) {
            StoreError::Damaged(why) => Self::Damaged(why),
            StoreError::Busy => Self::Busy,
            StoreError::Internal(why) => Self::Foreign(why),
            other => Self::Disk(other.to_string()),
        }
    }
}

impl From<MigrateError> for Cannot {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer(version),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Foreign(other.to_string()),
        }
    }
}

impl From<Cannot> for StoreError {
    fn from(cannot: Cannot) -> Self {
        Self::Disk(cannot.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => of_code(error.code().as_deref(), error.message()),
            sqlx::Error::Io(error) => Self::Disk(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// By the primary result code, which is the low octet of the extended one.
fn of_code(code: Option<&str>, message: &str) -> StoreError {
    let code = code.and_then(|code| code.parse::<u32>().ok()).unwrap_or(1);
    let message = message.to_owned();
    match code & 0xff {
        // CORRUPT and NOTADB.
        11 | 26 => StoreError::Damaged(message),
        // BUSY and LOCKED.
        5 | 6 => StoreError::Busy,
        // PERM, NOMEM, READONLY, IOERR, FULL, CANTOPEN and NOLFS.
        3 | 7 | 8 | 10 | 13 | 14 | 22 => StoreError::Disk(message),
        _ => StoreError::Internal(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_count_as_their_primary_code() {
        let damaged = StoreError::Damaged("x".into());
        assert_eq!(of_code(Some("11"), "x"), damaged);
        assert_eq!(of_code(Some("267"), "x"), damaged, "CORRUPT_VTAB");
        assert_eq!(of_code(Some("26"), "x"), damaged);
        let disk = StoreError::Disk("x".into());
        assert_eq!(of_code(Some("13"), "x"), disk);
        assert_eq!(of_code(Some("778"), "x"), disk, "IOERR_WRITE");
        assert_eq!(of_code(Some("1032"), "x"), disk, "READONLY_DBMOVED");
        assert_eq!(of_code(Some("517"), "x"), StoreError::Busy, "BUSY_SNAPSHOT");
        assert_eq!(of_code(None, "x"), StoreError::Internal("x".into()));
    }
}
