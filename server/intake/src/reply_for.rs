//! From failures to replies.

use facteur_smtp::{EnhancedStatus, Reply};
use facteur_store::StoreError;

use crate::room;

/// The peer never sees the cause; the log does.
pub(crate) fn store(error: &StoreError) -> Reply {
    match error {
        StoreError::NoSpace => {
            tracing::error!(%error, "message refused");
            room::full()
        }
        // Others take the room again and again, and give it back.
        StoreError::OverQuota => over_quota(true, "Mailbox is full"),
        error => {
            tracing::error!(%error, "message refused");
            temporary()
        }
    }
}

pub(crate) fn temporary() -> Reply {
    let status = EnhancedStatus::new(4, 3, 0);
    Reply::new(451, status, "Temporary failure, try again later")
}

pub(crate) fn over_quota(temporary: bool, text: &str) -> Reply {
    if temporary {
        Reply::new(452, EnhancedStatus::new(4, 2, 2), text.to_owned())
    } else {
        Reply::new(552, EnhancedStatus::new(5, 2, 2), text.to_owned())
    }
}
