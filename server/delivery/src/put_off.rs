//! Accounts that cannot take a message now, and do not keep it from the others.

use std::collections::BTreeSet;

use facteur_model::AccountId;
use facteur_spool::QueueId;
use facteur_store::{NotCommitted, StoreError};

use crate::LocalRecipient;

/// Accounts whose own files failed when a message was planned or committed: it is planned again
/// without them.
#[derive(Debug, Default)]
pub struct PutOff(BTreeSet<AccountId>);

impl PutOff {
    /// Notes whose fault it was that a message could not be committed. `elsewhere`: it is not for
    /// `recipients` alone.
    ///
    /// # Errors
    /// The cause, if nobody is left whom the message can reach without them.
    pub fn note(
        &mut self,
        queue_id: &QueueId,
        failed: NotCommitted,
        recipients: &[LocalRecipient],
        elsewhere: bool,
    ) -> Result<(), StoreError> {
        let NotCommitted { cause, accounts } = failed;
        let before = self.0.len();
        self.0.extend(accounts.iter().cloned());
        let is_left = elsewhere || recipients.iter().any(|recipient| !self.has(recipient));
        if self.0.len() == before || !is_left {
            return Err(cause);
        }
        for account in accounts {
            tracing::warn!(%queue_id, %account, error = %cause, "delivery deferred");
        }
        Ok(())
    }

    /// This one's account cannot even be opened.
    pub(crate) fn add(&mut self, recipient: &LocalRecipient) {
        self.0.insert(facteur_account::spec(&recipient.account).id);
    }

    /// Whether it is the account of one of these.
    pub(crate) fn has(&self, recipient: &LocalRecipient) -> bool {
        !self.0.is_empty()
            && self
                .0
                .contains(&facteur_account::spec(&recipient.account).id)
    }
}
