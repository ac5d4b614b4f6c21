//! MOVE: a file gets another name (RFC 6851); so does INBOX's mail when INBOX is renamed.

use std::sync::Arc;

use facteur_model::{MailboxName, ModSeq, UidSet};

use crate::{
    CopyOutcome, MessageState, StoreError,
    copy::{Transfer, usage_of},
    owner::{Owner, State, count_out, state_of},
    pending::{Pending, Show},
    record::Change,
    shared::Shared,
    usage::Permit,
    view::Wakes,
};

/// Every message of a mailbox.
pub(crate) fn every(
    owner: &Arc<Owner>,
    shared: &Shared,
    name: &MailboxName,
) -> Result<UidSet, StoreError> {
    let mut wakes = Wakes::default();
    let state = owner.lock_settled(shared, &mut wakes)?;
    let messages = messages(owner, shared, &state, name)?;
    Ok(messages.iter().map(|message| message.uid).collect())
}

/// The messages of a mailbox, open or not.
fn messages(
    owner: &Arc<Owner>,
    shared: &Shared,
    state: &State,
    name: &MailboxName,
) -> Result<Vec<MessageState>, StoreError> {
    let folder = state.folder(name)?;
    match folder.core.view() {
        Some(view) => Ok(view.snapshot().iter().copied().collect()),
        None => {
            let rows = owner.peek(shared, |index, waiting| {
                waiting.messages(index, folder.row.id)
            })?;
            Ok(rows.iter().map(state_of).collect())
        }
    }
}

/// Moves messages. The account holds as much as before, so that no quota is asked for; unless they
/// come from a folder that does not count. The old names stay until a checkpoint: whatever is lost,
/// one of the two is there.
pub(crate) fn run(
    owner: &Arc<Owner>,
    shared: &Shared,
    from: &MailboxName,
    uids: &UidSet,
    to: &MailboxName,
) -> Result<CopyOutcome, StoreError> {
    let core = Arc::clone(&owner.lock()?.folder(from)?.core);
    owner.notice_if_gone(shared, &core, || attempt(owner, shared, from, uids, to))
}

fn attempt(
    owner: &Arc<Owner>,
    shared: &Shared,
    from: &MailboxName,
    uids: &UidSet,
    to: &MailboxName,
) -> Result<CopyOutcome, StoreError> {
    let entered = shared.log.enter()?;
    let mut wakes = Wakes::default();
    let mut state = owner.lock_settled(shared, &mut wakes)?;
    let uid_validity = state.folder(to)?.row.uid_validity;
    let mut moved = messages(owner, shared, &state, from)?;
    moved.retain(|message| uids.contains(message.uid));
    if moved.is_empty() {
        return Ok(CopyOutcome {
            uid_validity,
            pairs: Vec::new(),
        });
    }
    let spec = owner.spec();
    let _permit = match spec.quota.counts(from) {
        true => Permit::free(),
        false => shared.admit(&spec, to, state.usage(&spec.quota), usage_of(&moved))?,
    };
    let transfer = Transfer::plan(owner, shared, &mut state, from, to, &moved)?;
    let (here, there) = (
        Arc::clone(&state.folder(from)?.core),
        Arc::clone(&state.folder(to)?.core),
    );
    let mut links = transfer.link(owner, shared, &here, &there)?;
    // Messages moved to where they are get new UIDs there, and go as the old ones.
    let mut source = match from == to {
        true => transfer.row,
        false => state.folder(from)?.row,
    };
    source.highest_modseq = ModSeq::new(source.highest_modseq.value() + 1);
    for message in &moved {
        count_out(&mut source, message);
    }
    let folder = state.folder_mut(from)?;
    let last = source.uid_next.saturating_sub(1);
    owner.reserve(shared, folder, last, source.highest_modseq.value())?;
    let gone: UidSet = moved.iter().map(|message| message.uid).collect();
    let mut changes = transfer.changes(&source, &links);
    changes.push(Change::expunge(&source, &gone, source.highest_modseq));
    changes.push(Change::numbers(&source));
    let (ticket, rows) = owner.append(shared, changes)?;
    let added = transfer.show(state.folder_mut(to)?, &mut links);
    let folder = state.folder_mut(from)?;
    folder.row = source;
    let left = Show {
        gone: gone.clone(),
        ..Show::new(&folder.core, source)
    };
    let unlinks = gone.iter().filter_map(|uid| owner.locate(&here, uid));
    let unlinks = unlinks.map(|located| located.path);
    state.pending.push_back(Pending {
        ticket,
        files: links.take(),
        unlinks: unlinks.collect(),
        shows: vec![added, left],
        rows,
    });
    drop(state);
    owner.finish(shared, ticket, &mut wakes)?;
    drop(entered);
    Ok(transfer.outcome())
}
