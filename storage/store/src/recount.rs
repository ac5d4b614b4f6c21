//! Counting anew what an account holds: from its messages, not from the running sums.

use facteur_index::MailboxRow;
use facteur_model::{MailboxName, Usage};

use crate::{
    Account, MessageState, StoreError,
    owner::{count_in, state_of},
    view::Wakes,
};

/// What a recount found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recount {
    /// What the account was thought to hold.
    pub before: Usage,
    /// What it holds.
    pub now: Usage,
    /// In how many folders the two differed.
    pub corrected: usize,
}

impl Account {
    /// Counts the messages of every folder anew, puts right what differs, and tells the result to
    /// whoever follows what accounts hold, even if it is the same.
    ///
    /// The messages are those of the index; that these are the files' is another question.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn recount(&self) -> Result<Recount, StoreError> {
        let (owner, shared) = (self.owner(), self.shared());
        let mut wakes = Wakes::default();
        let mut state = owner.lock_settled(shared, &mut wakes)?;
        let spec = owner.spec();
        let before = state.usage(&spec.quota);
        let mut wrong: Vec<(MailboxName, MailboxRow)> = Vec::new();
        for (name, folder) in &state.folders {
            let messages: Vec<MessageState> = match folder.core.view() {
                Some(view) => view.snapshot().iter().copied().collect(),
                None => {
                    let rows = owner.index(shared, |index| index.messages(folder.row.id))?;
                    rows.iter().map(state_of).collect()
                }
            };
            let mut row = MailboxRow {
                messages: 0,
                bytes: 0,
                unseen: 0,
                deleted: 0,
                ..folder.row
            };
            for message in &messages {
                count_in(&mut row, message);
            }
            if row != folder.row {
                wrong.push((name.clone(), row));
            }
        }
        if !wrong.is_empty() {
            owner.change(shared, |transaction| {
                wrong
                    .iter()
                    .try_for_each(|(_, row)| transaction.set_mailbox(row))
            })?;
        }
        for (name, row) in &wrong {
            let folder = state.folder_mut(name)?;
            (folder.row, folder.shown) = (*row, *row);
            tracing::warn!(account = %owner.id, mailbox = %name, messages = row.messages, bytes = row.bytes, "count put right");
        }
        state.follow_usage(&spec.quota);
        let now = state.usage(&spec.quota);
        shared.tell(&spec, before, now);
        Ok(Recount {
            before,
            now,
            corrected: wrong.len(),
        })
    }
}
