//! Why the spool could not do what it was asked.

use std::io;

/// Why a call on the spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There is no such entry: it was delivered, or removed by the operator.
    #[error("no such entry in the spool")]
    Gone,
    /// The file is not what was written. It has been set aside, or will be at the next start.
    #[error("spool file is damaged: {0}")]
    Damaged(&'static str),
    /// The body given was not as long as the entry says.
    #[error("body has {actual} bytes instead of {expected}")]
    Length {
        /// What the entry said.
        expected: u64,
        /// What came; reading stops one byte past what was expected.
        actual: u64,
    },
    /// The envelope is larger than the format allows.
    #[error("envelope is too large for the spool")]
    TooLarge,
    /// The disk failed. Temporary for the peer: SMTP `451 4.3.0`, or `452 4.3.1` without space.
    #[error("spool failed: {0}")]
    Io(#[from] io::Error),
}
