//! Changes that are in the journal, from there to where sessions see them.
//!
//! A change gets its numbers and its place in the journal under the account's lock, and is then
//! waited for without it: others join the same sync. Once durable it is shown, in the journal's
//! order, by whoever holds the lock first.

use std::{path::PathBuf, sync::Arc};

use facteur_index::MailboxRow;
use facteur_journal::{Progress, Ticket};
use facteur_model::UidSet;

use crate::{
    MessageState, StoreError,
    keywords::KeywordTable,
    maildir::Named,
    new_name::NewName,
    owner::{Owner, State},
    record::{AccountRecord, Change, Record},
    shared::Shared,
    view::{Core, Wakes},
};

/// A change to one account that is in the journal.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    /// Files that get their names.
    pub(crate) files: Vec<NewName>,
    /// Files that go once a checkpoint has the change.
    pub(crate) unlinks: Vec<PathBuf>,
    pub(crate) shows: Vec<Show>,
    pub(crate) rows: Vec<Change>,
}

/// What becomes of a mailbox.
#[derive(Debug)]
pub(crate) struct Show {
    pub(crate) core: Arc<Core>,
    pub(crate) row: MailboxRow,
    pub(crate) keywords: Option<Arc<KeywordTable>>,
    pub(crate) added: Vec<MessageState>,
    pub(crate) changed: Vec<MessageState>,
    pub(crate) gone: UidSet,
    /// Files that messages get, in a Maildir.
    pub(crate) named: Vec<Named>,
    /// Whether the names of those that changed are to say so.
    pub(crate) renames: bool,
}

impl Show {
    /// Only the mailbox's numbers.
    pub(crate) fn new(core: &Arc<Core>, row: MailboxRow) -> Self {
        Self {
            core: Arc::clone(core),
            row,
            keywords: None,
            added: Vec::new(),
            changed: Vec::new(),
            gone: UidSet::new(),
            named: Vec::new(),
            renames: false,
        }
    }
}

impl Owner {
    /// Puts changes to this account alone into the journal; they come back for the index.
    pub(crate) fn append(
        &self,
        shared: &Shared,
        changes: Vec<Change>,
    ) -> Result<(Ticket, Vec<Change>), StoreError> {
        let mut record = Record::default();
        record.accounts.push(AccountRecord {
            account: self.id.as_str().to_owned(),
            home: self.layout.home().to_owned(),
            format: self.layout.format(),
            changes,
        });
        let ticket = shared.log.append(&record, &[])?;
        let changes = record.accounts.pop().map(|account| account.changes);
        Ok((ticket, changes.unwrap_or_default()))
    }

    /// Waits until a change is durable, and shows it.
    pub(crate) fn finish(
        self: &Arc<Self>,
        shared: &Shared,
        ticket: Ticket,
        wakes: &mut Wakes,
    ) -> Result<(), StoreError> {
        let waited = shared.log.wait(ticket);
        if let Ok(mut state) = self.lock() {
            self.show(shared, &mut state, wakes);
        }
        waited
    }

    /// Shows what has become durable, in order; takes back what never will.
    pub(crate) fn show(self: &Arc<Self>, shared: &Shared, state: &mut State, wakes: &mut Wakes) {
        while let Some(first) = state.pending.front() {
            match shared.log.progress(first.ticket) {
                Progress::Pending => break,
                Progress::Failed => {
                    self.take_back(shared, state);
                    break;
                }
                Progress::Durable => {}
            }
            let Some(pending) = state.pending.pop_front() else {
                break;
            };
            if let Err(error) = self.show_one(shared, state, pending, wakes) {
                // It is durable all the same: it is done again when the account is opened next.
                self.abandon(shared, &error);
                state.pending.clear();
                return;
            }
        }
        shared.tell_usage(self, state);
    }

    /// Shows a change; it is durable, or need not be.
    pub(crate) fn show_one(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
        mut pending: Pending,
        wakes: &mut Wakes,
    ) -> Result<(), StoreError> {
        for file in &pending.files {
            file.give(&shared.disk, &mut pending.unlinks)?;
        }
        for show in pending.shows {
            let Ok(folder) = state.folder_of_mut(&show.core) else {
                continue;
            };
            // A session may have taken what was recent meanwhile.
            let recent_from = show.row.recent_from.max(folder.shown.recent_from);
            folder.shown = MailboxRow {
                recent_from,
                ..show.row
            };
            if let Some(maildir) = show.core.maildir() {
                let renamed = match show.renames {
                    true => &show.changed[..],
                    false => &[],
                };
                maildir.lock().shown(&show.named, renamed, &show.gone);
            }
            let Some(view) = show.core.view() else {
                continue;
            };
            let mut next = (*view.snapshot()).clone();
            if !show.added.is_empty() {
                next = next.with_added(&show.added);
            }
            if !show.changed.is_empty() {
                next = next.with_changed(&show.changed);
            }
            if !show.gone.is_empty() {
                next = next.without(&show.gone);
            }
            let (uid_next, modseq) = (show.row.uid_next, show.row.highest_modseq);
            view.publish(next.at(show.keywords, uid_next, modseq), wakes);
        }
        self.write_later(shared, Some(pending.ticket), pending.rows);
        shared.log.unlink_later(pending.unlinks);
        Ok(())
    }

    /// Takes back what could not be made durable: the numbers it got are not given again.
    fn take_back(self: &Arc<Self>, shared: &Shared, state: &mut State) {
        state.pending.retain(|pending| {
            let failed = shared.log.progress(pending.ticket) == Progress::Failed;
            if failed {
                for file in &pending.files {
                    // Best effort: it is removed when the account is opened.
                    let _ = shared.disk.unlink_if_there(&file.temporary);
                }
            }
            !failed
        });
        if !state.pending.is_empty() {
            // What came after the failure counts with what failed: it is counted again.
            let error = std::io::Error::other("the journal failed and works again").into();
            if let Err(error) = self.look_through::<()>(shared, &error)
                && !self.is_broken()
            {
                self.abandon(shared, &error);
            }
            return;
        }
        for folder in state.folders.values_mut() {
            let given = folder.row;
            folder.row = MailboxRow {
                uid_next: given.uid_next.max(folder.shown.uid_next),
                highest_modseq: given.highest_modseq.max(folder.shown.highest_modseq),
                ..folder.shown
            };
            // A set of keywords that is in no row is not one.
            folder.keywords = None;
        }
    }
}
