//! EXPUNGE.

use std::sync::Arc;

use facteur_model::{Flag, ModSeq, UidSet};

use crate::{
    MessageState, StoreError,
    owner::{Owner, count_out},
    pending::{Pending, Show},
    record::Change,
    shared::Shared,
    view::{View, Wakes},
};

/// Removes messages. Their files go once a checkpoint has it.
pub(crate) fn run(
    owner: &Arc<Owner>,
    shared: &Shared,
    view: &View,
    uids: &UidSet,
    force: bool,
) -> Result<UidSet, StoreError> {
    let entered = shared.log.enter()?;
    let mut wakes = Wakes::default();
    let mut state = owner.lock_settled(shared, &mut wakes)?;
    let folder = state.folder_of_mut(&view.core)?;
    let marked: Vec<MessageState> = view
        .snapshot()
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
    let gone: UidSet = marked.iter().map(|message| message.uid).collect();
    let mut row = folder.row;
    row.highest_modseq = modseq;
    for message in &marked {
        count_out(&mut row, message);
    }
    let changes = vec![Change::expunge(&row, &gone, modseq), Change::numbers(&row)];
    let (ticket, rows) = owner.append(shared, changes)?;
    folder.row = row;
    let unlinks = gone.iter().filter_map(|uid| owner.locate(&view.core, uid));
    let unlinks = unlinks.map(|located| located.path).collect();
    let show = Show {
        gone: gone.clone(),
        ..Show::new(&view.core, row)
    };
    state.pending.push_back(Pending {
        ticket,
        files: Vec::new(),
        unlinks,
        shows: vec![show],
        rows,
    });
    drop(state);
    owner.finish(shared, ticket, &mut wakes)?;
    drop(entered);
    Ok(gone)
}
