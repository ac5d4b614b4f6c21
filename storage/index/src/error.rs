//! What can go wrong with an index.

use std::io;

/// Why an index could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is no database of ours, or a damaged one: it is to be rebuilt.
    #[error("index is damaged: {0}")]
    Damaged(String),
    /// A later version of Facteur made it.
    #[error("index has version {0}, which this version does not know")]
    TooNew(i64),
    /// No space left for it.
    #[error("no space left for the index")]
    NoSpace,
    /// Another process has it open.
    #[error("index is in use by another process")]
    InUse,
    /// Anything else.
    #[error("index failed: {0}")]
    Failed(rusqlite::Error),
    /// The disk failed.
    #[error("index failed: {0}")]
    Io(#[from] io::Error),
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, Unknown,
        };
        match error.sqlite_error_code() {
            // The last is what a table or column that is not there gives: not as we left it.
            Some(DatabaseCorrupt | NotADatabase | Unknown) => Self::Damaged(error.to_string()),
            Some(DiskFull) => Self::NoSpace,
            Some(DatabaseBusy | DatabaseLocked) => Self::InUse,
            // Nor is a value of the wrong type.
            _ if matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::SqlInputError { .. }
            ) =>
            {
                Self::Damaged(error.to_string())
            }
            _ => Self::Failed(error),
        }
    }
}

impl From<rusqlite::types::FromSqlError> for IndexError {
    /// A value is of the wrong type.
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Damaged(error.to_string())
    }
}
