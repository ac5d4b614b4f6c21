//! INTERNALDATE (RFC 9051 §2.3.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a message arrived, in seconds since the Unix epoch: a message file's mtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InternalDate(i64);

impl InternalDate {
    /// From seconds since the Unix epoch.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// In seconds since the Unix epoch.
    pub fn unix(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for InternalDate {
    fn from(time: SystemTime) -> Self {
        let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(seconds(after)),
            Err(before) => Self(-seconds(before.duration())),
        }
    }
}
