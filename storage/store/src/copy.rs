//! COPY: a second name for the same file, which keeps the message's GUID.

use std::{
    io::{self},
    path::Path,
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_index::MailboxRow;
use facteur_model::{MailboxName, ModSeq, Uid, UidSet, Usage};
use facteur_sdbox::Layout;

use crate::{
    CopyOutcome, KeywordSetId, MessageState, StoreError,
    commit::next_uid,
    keywords::KeywordTable,
    owner::{Owner, State, count_in, row_of},
    recovery::{Copying, Promise},
    shared::Shared,
    view::{View, Wakes},
};

/// Messages on their way into a mailbox: source state, state there.
pub(crate) struct Transfer {
    pub(crate) pairs: Vec<(MessageState, MessageState)>,
    /// The destination's row as it will be.
    pub(crate) row: MailboxRow,
    keywords: Arc<KeywordTable>,
    sets: Vec<(KeywordSetId, String)>,
}

impl Transfer {
    /// Gives messages of `from` their places in `to`, and durably reserves the numbers.
    pub(crate) fn plan(
        owner: &Arc<Owner>,
        shared: &Shared,
        state: &mut State,
        from: &MailboxName,
        to: &MailboxName,
        messages: &[MessageState],
    ) -> Result<Self, StoreError> {
        let old_table = owner.keywords(shared, state.folder(from)?)?;
        let folder = state.folder_mut(to)?;
        let mut keywords = owner.keywords(shared, folder)?;
        let mut sets = Vec::new();
        let mut row = folder.row;
        row.highest_modseq = ModSeq::new(row.highest_modseq.value() + 1);
        let mut pairs = Vec::with_capacity(messages.len());
        for message in messages {
            let wanted = old_table.set(message.keywords);
            let set = match keywords.find(wanted) {
                Some(set) => set,
                None => {
                    let (set, text) = Arc::make_mut(&mut keywords).add(wanted)?;
                    sets.push((set, text));
                    set
                }
            };
            let there = MessageState {
                uid: next_uid(&mut row)?,
                modseq: row.highest_modseq,
                keywords: set,
                ..*message
            };
            count_in(&mut row, &there);
            pairs.push((*message, there));
        }
        let last = row.uid_next.saturating_sub(1);
        owner.reserve(shared, folder, last, row.highest_modseq.value())?;
        Ok(Self {
            pairs,
            row,
            keywords,
            sets,
        })
    }

    /// Writes the rows of the destination.
    pub(crate) fn write(
        &self,
        transaction: &facteur_index::Transaction<'_>,
        from: u32,
    ) -> Result<(), facteur_index::IndexError> {
        for (set, text) in &self.sets {
            transaction.add_keyword_set(self.row.id, set.0, text)?;
        }
        for (here, there) in &self.pairs {
            transaction.copy_message((from, here.uid), self.row.id, &row_of(there))?;
        }
        transaction.set_mailbox(&self.row)
    }

    /// Shows them to the sessions.
    pub(crate) fn publish(
        &self,
        state: &mut State,
        to: &MailboxName,
        wakes: &mut Wakes,
    ) -> Result<(), StoreError> {
        let folder = state.folder_mut(to)?;
        folder.row = self.row;
        folder.keywords = Some(Arc::clone(&self.keywords));
        if let Some(view) = folder.core.view() {
            let added: Vec<MessageState> = self.pairs.iter().map(|(_, there)| *there).collect();
            let next = view.snapshot().with_added(&added);
            let keywords = Some(Arc::clone(&self.keywords));
            view.publish(
                next.at(keywords, self.row.uid_next, self.row.highest_modseq),
                wakes,
            );
        }
        Ok(())
    }

    pub(crate) fn outcome(&self) -> CopyOutcome {
        CopyOutcome {
            uid_validity: self.row.uid_validity,
            pairs: self.pairs.iter().map(|(a, b)| (a.uid, b.uid)).collect(),
        }
    }

    /// The first and the last UID there.
    fn range(&self) -> Option<(Uid, Uid)> {
        Some((self.pairs.first()?.1.uid, self.pairs.last()?.1.uid))
    }
}

/// Copies messages, all or none.
pub(crate) fn run(
    owner: &Arc<Owner>,
    shared: &Shared,
    view: &View,
    uids: &UidSet,
    to: &MailboxName,
) -> Result<CopyOutcome, StoreError> {
    let mut wakes = Wakes::default();
    let mut state = owner.lock_for_change(shared)?;
    let from = view.core.name();
    let source = state.folder_of_mut(&view.core)?.row.id;
    let uid_validity = state.folder(to)?.row.uid_validity;
    let snapshot = view.snapshot();
    let messages: Vec<MessageState> = snapshot.select(uids).map(|(_, m)| *m).collect();
    if messages.is_empty() {
        return Ok(CopyOutcome {
            uid_validity,
            pairs: Vec::new(),
        });
    }
    let added = usage_of(&messages);
    let spec = owner.spec();
    let _permit = shared.admit(&spec, to, state.usage(&spec.quota), added)?;
    let transfer = Transfer::plan(owner, shared, &mut state, &from, to, &messages)?;
    let promise = promise(owner, shared, &state, to, &transfer)?;
    let done = link_all(owner, shared, &from, to, &transfer)
        .and_then(|()| owner.change(shared, &mut state, |t| transfer.write(t, source)))
        .and_then(|()| match &promise {
            Some(id) => shared.spool.end(id).map(|_| ()).map_err(StoreError::from),
            None => Ok(()),
        });
    if let Err(error) = done {
        undo(owner, shared, &mut state, to, &transfer, promise.as_ref());
        return Err(error);
    }
    transfer.publish(&mut state, to, &mut wakes)?;
    shared.tell_usage(owner, &mut state);
    drop(state);
    drop(wakes);
    Ok(transfer.outcome())
}

/// What messages take together.
pub(crate) fn usage_of(messages: &[MessageState]) -> Usage {
    Usage {
        bytes: messages.iter().map(|m| m.size).sum(),
        messages: messages.len() as u64,
    }
}

/// Several links are not made at once: a start after a kill takes them back.
fn promise(
    owner: &Owner,
    shared: &Shared,
    state: &State,
    to: &MailboxName,
    transfer: &Transfer,
) -> Result<Option<facteur_spool::QueueId>, StoreError> {
    let Some((first, last)) = transfer.range().filter(|(first, last)| first != last) else {
        return Ok(None);
    };
    let copying = Copying {
        home: owner.layout.home().to_owned(),
        mailbox: to.as_str().to_owned(),
        guid: state.folder(to)?.identity.guid,
        first: first.value(),
        last: last.value(),
    };
    Promise::Copy(copying).make(shared, &mut []).map(Some)
}

fn link_all(
    owner: &Owner,
    shared: &Shared,
    from: &MailboxName,
    to: &MailboxName,
    transfer: &Transfer,
) -> Result<(), StoreError> {
    let (from, to) = (owner.layout.mails(from), owner.layout.mails(to));
    for (here, there) in &transfer.pairs {
        let old = from.join(Layout::file_name(here.uid));
        let new = to.join(Layout::file_name(there.uid));
        link(&shared.disk, &old, &new, &to)?;
    }
    Ok(shared.disk.sync_dir(&to)?)
}

/// Links; where the file system does not (another one, too many links), copies.
fn link(disk: &Disk, old: &Path, new: &Path, dir: &Path) -> Result<(), StoreError> {
    match disk.link(old, new) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks
            ) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Gone),
        result => return Ok(result?),
    }
    let source = disk.open(old)?;
    let temporary = Disk::temporary_path(dir);
    let mut copy = disk.create_new(&temporary)?;
    let copied = copy
        .copy_range(&source, 0, source.size()?)
        .and_then(|()| copy.set_modified(source.modified()?))
        .and_then(|()| copy.sync_all())
        .and_then(|()| disk.rename_new(&temporary, new));
    if let Err(error) = copied {
        let _ = disk.unlink(&temporary);
        return Err(error.into());
    }
    Ok(())
}

/// Takes a failed copy back; where that fails too, the next start does it.
fn undo(
    owner: &Arc<Owner>,
    shared: &Shared,
    state: &mut State,
    to: &MailboxName,
    transfer: &Transfer,
    promise: Option<&facteur_spool::QueueId>,
) {
    let dir = owner.layout.mails(to);
    let uids: UidSet = transfer.pairs.iter().map(|(_, there)| there.uid).collect();
    let undone = uids
        .iter()
        .try_for_each(|uid| {
            let path = dir.join(Layout::file_name(uid));
            shared.disk.unlink_if_there(&path).map(|_| ())
        })
        .and_then(|()| shared.disk.sync_dir(&dir))
        .map_err(StoreError::from)
        .and_then(|()| {
            let folder = state.folder_mut(to)?;
            folder.row.uid_next = transfer.row.uid_next;
            let row = folder.row;
            owner.change(shared, state, |transaction| {
                transaction.forget(row.id, &uids)?;
                transaction.set_mailbox(&row)
            })
        })
        .and_then(|()| match promise {
            Some(id) => shared.spool.end(id).map(|_| ()).map_err(StoreError::from),
            None => Ok(()),
        });
    if let Err(error) = undone {
        owner.abandon(&error);
    }
}
