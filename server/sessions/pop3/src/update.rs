//! QUIT: the UPDATE state (RFC 1939 §6).

use facteur_model::{Flag, FlagOperation, Flags, Uid, UidSet};
use facteur_store::{FlagChange, Mailbox, StoreError};
use tracing::error;

use crate::session::Driver;

impl Driver {
    /// Removes what was marked, and sets `\Seen` on what was retrieved and stays.
    pub(crate) async fn update(&mut self, delete: Vec<u32>) {
        let Some(user) = &mut self.user else {
            return self.session.updated(true);
        };
        let mailbox = user.mailbox.clone();
        let delete: UidSet = uids(delete);
        let seen = std::mem::take(&mut user.seen);
        let seen = if self.service.options.no_flag_updates {
            UidSet::new()
        } else {
            seen.iter().filter(|uid| !delete.contains(*uid)).collect()
        };
        let done = if delete.is_empty() && seen.is_empty() {
            Ok(0)
        } else {
            let bridge = self.service.bridge.clone();
            bridge.run(move || apply(&mailbox, &delete, &seen)).await
        };
        // A client may come back as soon as it has the answer.
        user.lock = None;
        match done {
            Ok(removed) => {
                user.deleted = removed;
                self.session.updated(true);
            }
            Err(cause) => {
                error!(user = %user.name, %cause, "maildrop could not be updated");
                self.session.updated(false);
            }
        }
    }
}

fn uids(uids: Vec<u32>) -> UidSet {
    uids.into_iter().filter_map(Uid::new).collect()
}

/// What another session has removed meanwhile is as good as removed.
fn apply(mailbox: &Mailbox, delete: &UidSet, seen: &UidSet) -> Result<u64, StoreError> {
    let removed = if delete.is_empty() {
        0
    } else {
        mailbox.expunge(delete, true)?.len()
    };
    if !seen.is_empty() {
        let change = FlagChange {
            operation: FlagOperation::Add,
            flags: Flags::EMPTY.with(Flag::Seen),
            keywords: Vec::new(),
            unchanged_since: None,
        };
        mailbox.store(seen, &change)?;
    }
    Ok(removed)
}
