//! MOVE: a file gets another name (RFC 6851); so does INBOX's mail when INBOX is renamed.

use std::{path::PathBuf, sync::Arc};

use facteur_model::{MailboxName, ModSeq, UidSet};
use facteur_sdbox::Layout;

use crate::{
    CopyOutcome, MessageState, StoreError,
    copy::{Transfer, usage_of},
    owner::{Owner, State, count_out, state_of},
    recovery::{Moving, Promise},
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
    let state = owner.lock()?;
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
            let rows = owner.index(shared, |index| index.messages(folder.row.id))?;
            Ok(rows.iter().map(state_of).collect())
        }
    }
}

/// Moves messages. The account holds as much as before, so that no quota is asked for; unless they
/// come from a folder that does not count.
pub(crate) fn run(
    owner: &Arc<Owner>,
    shared: &Shared,
    from: &MailboxName,
    uids: &UidSet,
    to: &MailboxName,
) -> Result<CopyOutcome, StoreError> {
    let mut wakes = Wakes::default();
    let mut state = owner.lock_for_change(shared)?;
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
    let promise = if moved.len() > 1 {
        let moving = moving(owner, &state, from, to, &transfer)?;
        Some(Promise::Move(moving).make(shared, &mut [])?)
    } else {
        None
    };
    let mut renamed = Vec::new();
    let done = rename_all(owner, shared, from, to, &transfer, &mut renamed).and_then(|()| {
        owner.change(shared, &mut state, |transaction| {
            transfer.write(transaction, source.id)?;
            transaction.expunge(source.id, &gone, source.highest_modseq)?;
            transaction.set_mailbox(&source)
        })
    });
    if done.is_err()
        && let Err(error) = rename_back(owner, shared, from, to, &renamed)
    {
        owner.abandon(&error);
    }
    if let Some(id) = promise
        && let Err(error) = shared.spool.end(&id)
    {
        // Done again at the next start, it does nothing where the files have moved.
        tracing::warn!(account = %owner.id, %error, "move could not be ended");
    }
    done?;
    transfer.publish(&mut state, to, &mut wakes)?;
    let folder = state.folder_mut(from)?;
    folder.row = source;
    if let Some(view) = folder.core.view() {
        let next = view.snapshot().without(&gone);
        view.publish(
            next.at(None, source.uid_next, source.highest_modseq),
            &mut wakes,
        );
    }
    shared.tell_usage(owner, &mut state);
    drop(state);
    Ok(transfer.outcome())
}

fn moving(
    owner: &Owner,
    state: &State,
    from: &MailboxName,
    to: &MailboxName,
    transfer: &Transfer,
) -> Result<Moving, StoreError> {
    Ok(Moving {
        home: owner.layout.home().to_owned(),
        from: from.as_str().to_owned(),
        from_guid: state.folder(from)?.identity.guid,
        to: to.as_str().to_owned(),
        to_guid: state.folder(to)?.identity.guid,
        pairs: transfer
            .pairs
            .iter()
            .map(|(here, there)| (here.uid.value(), there.uid.value()))
            .collect(),
    })
}

/// Gives the files their new names, durably; those that have them are noted in `renamed`.
fn rename_all(
    owner: &Owner,
    shared: &Shared,
    from: &MailboxName,
    to: &MailboxName,
    transfer: &Transfer,
    renamed: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), StoreError> {
    let (from, to) = (owner.layout.mails(from), owner.layout.mails(to));
    for (here, there) in &transfer.pairs {
        let old = from.join(Layout::file_name(here.uid));
        let new = to.join(Layout::file_name(there.uid));
        shared.disk.rename_new(&old, &new)?;
        renamed.push((old, new));
    }
    shared.disk.sync_dir(&to)?;
    Ok(shared.disk.sync_dir(&from)?)
}

/// Gives the files their old names back after a failure.
fn rename_back(
    owner: &Owner,
    shared: &Shared,
    from: &MailboxName,
    to: &MailboxName,
    renamed: &[(PathBuf, PathBuf)],
) -> Result<(), StoreError> {
    for (old, new) in renamed {
        shared.disk.rename_new(new, old)?;
    }
    shared.disk.sync_dir(&owner.layout.mails(from))?;
    Ok(shared.disk.sync_dir(&owner.layout.mails(to))?)
}
