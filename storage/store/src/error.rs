//! Why the store could not do what it was asked.

use std::io;

use facteur_index::IndexError;
use facteur_journal::JournalError;
use facteur_model::MailboxName;
use facteur_spool::SpoolError;

/// Why a call on the store failed. One `reply_for` per session maps it to the wire.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such mailbox: IMAP `NO [NONEXISTENT]` (RFC 5530 §3), `[TRYCREATE]` for APPEND and COPY.
    #[error("mailbox {0} does not exist")]
    NoMailbox(MailboxName),
    /// IMAP `NO [ALREADYEXISTS]`.
    #[error("mailbox {0} exists already")]
    MailboxExists(MailboxName),
    /// Not allowed by the protocol or by the store: `NO [CANNOT]`, with the reason.
    #[error("{0}")]
    Cannot(&'static str),
    /// The message is gone: expunged meanwhile.
    #[error("message is gone")]
    Gone,
    /// SMTP `452 4.2.2` or `552 5.2.2`, IMAP `NO [OVERQUOTA]` (RFC 9208 §4.1).
    #[error("account is over its quota")]
    OverQuota,
    /// No such script: ManageSieve `NO (NONEXISTENT)`.
    #[error("no such script")]
    NoScript,
    /// ManageSieve `NO (ALREADYEXISTS)`, `NO (ACTIVE)`.
    #[error("{0}")]
    Script(&'static str),
    /// Temporary: SMTP `451 4.3.0`, IMAP `NO [SERVERBUG]`/`[UNAVAILABLE]`. The cause is for the log.
    #[error("mail store failed: {0}")]
    Io(io::Error),
    /// No space left: SMTP `452 4.3.1`, IMAP `NO [OVERQUOTA]` (RFC 5530 §3).
    #[error("no space left for mail")]
    NoSpace,
    /// Temporary: the index was found damaged. The account is reopened, and its index rebuilt, at its
    /// next use; sessions that have it open must let go of it.
    #[error("index is damaged: {0}")]
    Index(String),
}

impl StoreError {
    /// Whether a file or folder was not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        if facteur_disk::is_no_space(&error) {
            Self::NoSpace
        } else {
            Self::Io(error)
        }
    }
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::NoSpace => Self::NoSpace,
            IndexError::Io(error) => error.into(),
            IndexError::Damaged(cause) => Self::Index(cause),
            other => Self::Io(io::Error::other(other)),
        }
    }
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        if error.is_no_space() {
            Self::NoSpace
        } else {
            Self::Io(io::Error::other(error))
        }
    }
}

impl From<SpoolError> for StoreError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Io(error) => error.into(),
            other => Self::Io(io::Error::other(other)),
        }
    }
}

impl From<getrandom::Error> for StoreError {
    fn from(error: getrandom::Error) -> Self {
        Self::Io(io::Error::other(error))
    }
}
