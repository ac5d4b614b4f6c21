//! Why the journal refuses.

use std::{io, path::PathBuf, sync::Arc};

use crate::record::MAX_RECORD;

/// Why a call did not do what it says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// A write or sync failed. Temporary: a later call tries a fresh segment.
    #[error("the journal cannot be written: {0}")]
    Failed(#[source] Arc<io::Error>),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// Permanent: no journal takes such a record.
    #[error("a record of {size} bytes is longer than {MAX_RECORD}")]
    TooLarge {
        /// Its length.
        size: usize,
    },
    /// A file of an existing journal cannot be read. Nothing was changed.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// A file is from a later version of this program. Nothing was changed.
    #[error("{path}: a segment of version {version}, which this program does not know")]
    Version {
        /// Which file.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// Segments of two journals lie in one folder. Nothing was changed.
    #[error("{path}: a segment of another journal")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
}

impl JournalError {
    pub(crate) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source: Arc::new(source),
        }
    }

    /// Whether the cause is that there is no room.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Failed(cause) | Self::Read { source: cause, .. } => {
                facteur_disk::is_no_space(cause)
            }
            _ => false,
        }
    }
}
