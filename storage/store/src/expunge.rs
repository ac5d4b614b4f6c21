//! EXPUNGE.

use std::{io, sync::Arc};

use facteur_model::{Flag, ModSeq, Uid, UidSet};
use facteur_sdbox::Layout;

use crate::{
    MessageState, StoreError,
    owner::{Owner, count_out},
    shared::Shared,
    view::{View, Wakes},
};

/// Removes messages: their files first, so that none comes back, then their rows.
pub(crate) fn run(
    owner: &Arc<Owner>,
    shared: &Shared,
    view: &View,
    uids: &UidSet,
    force: bool,
) -> Result<UidSet, StoreError> {
    let mut wakes = Wakes::default();
    let mut state = owner.lock_for_change(shared)?;
    let folder = state.folder_of_mut(&view.core)?;
    let snapshot = view.snapshot();
    let marked: Vec<MessageState> = snapshot
        .select(uids)
        .map(|(_, message)| *message)
        .filter(|message| force || message.flags.contains(Flag::Deleted))
        .collect();
    if marked.is_empty() {
        return Ok(UidSet::new());
    }
    let modseq = ModSeq::new(folder.row.highest_modseq.value() + 1);
    let last = folder.row.uid_next.saturating_sub(1);
    owner.reserve(shared, folder, last, modseq.value())?;
    let (gone, failure) = unlink(owner, shared, view, marked.iter().map(|m| m.uid));
    let mut row = folder.row;
    row.highest_modseq = modseq;
    for message in marked.iter().filter(|m| gone.contains(m.uid)) {
        count_out(&mut row, message);
    }
    if !gone.is_empty() {
        let noted = owner.change(shared, &mut state, |transaction| {
            transaction.expunge(row.id, &gone, modseq)?;
            transaction.set_mailbox(&row)
        });
        if let Err(error) = noted {
            owner.abandon(&error);
            return Err(error);
        }
        state.folder_of_mut(&view.core)?.row = row;
        let next = snapshot.without(&gone);
        view.publish(next.at(None, row.uid_next, modseq), &mut wakes);
    }
    shared.tell_usage(owner, &mut state);
    drop(state);
    drop(wakes);
    match failure {
        None => Ok(gone),
        Some(error) => Err(error.into()),
    }
}

/// Removes the files durably; says which are gone, and what went wrong.
fn unlink(
    owner: &Owner,
    shared: &Shared,
    view: &View,
    uids: impl Iterator<Item = Uid>,
) -> (UidSet, Option<io::Error>) {
    let dir = owner.layout.mails(&view.core.name());
    let mut gone = UidSet::new();
    let mut failure = None;
    for uid in uids {
        match shared
            .disk
            .unlink_if_there(&dir.join(Layout::file_name(uid)))
        {
            Ok(_) => gone.insert(uid),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    if !gone.is_empty()
        && let Err(error) = shared.disk.sync_dir(&dir)
    {
        failure = Some(error);
    }
    (gone, failure)
}
