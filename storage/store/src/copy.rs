//! COPY: a second name for the same file, which keeps the message's GUID.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_index::MailboxRow;
use facteur_model::{MailboxName, ModSeq, UidSet, Usage};
use facteur_sdbox::Layout;

use crate::{
    CopyOutcome, KeywordSetId, MessageState, StoreError,
    commit::next_uid,
    keywords::KeywordTable,
    owner::{Folder, Owner, State, count_in, row_of},
    pending::{Pending, Show},
    record::{Change, MailboxId},
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

    /// What the journal and the index keep of it.
    pub(crate) fn changes(&self, from: &MailboxRow) -> Vec<Change> {
        let to = MailboxId::of(&self.row);
        let sets = self.sets.iter().map(|(set, text)| Change::Keywords {
            mailbox: to,
            set: set.0,
            text: text.clone(),
        });
        let mut changes: Vec<Change> = sets.collect();
        let pairs = self.pairs.iter();
        changes.push(Change::Copy {
            from: MailboxId::of(from),
            to,
            pairs: pairs
                .map(|(here, there)| (here.uid.value(), row_of(there).into()))
                .collect(),
        });
        changes.push(Change::numbers(&self.row));
        changes
    }

    /// Links every message under a temporary name in the destination.
    pub(crate) fn link(
        &self,
        owner: &Owner,
        shared: &Shared,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Links, StoreError> {
        let (from, to) = (owner.layout.mails(from), owner.layout.mails(to));
        let mut links = Links {
            disk: shared.disk.clone(),
            files: Vec::with_capacity(self.pairs.len()),
        };
        for (here, there) in &self.pairs {
            let old = from.join(Layout::file_name(here.uid));
            let temporary = Disk::temporary_path(&to);
            link(&shared.disk, &old, &temporary)?;
            links
                .files
                .push((temporary, to.join(Layout::file_name(there.uid))));
        }
        Ok(links)
    }

    /// Notes the new numbers of the destination, and says what sessions are to see of it.
    pub(crate) fn show(&self, folder: &mut Folder) -> Show {
        folder.row = self.row;
        folder.keywords = Some(Arc::clone(&self.keywords));
        Show {
            keywords: Some(Arc::clone(&self.keywords)),
            added: self.pairs.iter().map(|(_, there)| *there).collect(),
            ..Show::new(&folder.core, self.row)
        }
    }

    pub(crate) fn outcome(&self) -> CopyOutcome {
        CopyOutcome {
            uid_validity: self.row.uid_validity,
            pairs: self.pairs.iter().map(|(a, b)| (a.uid, b.uid)).collect(),
        }
    }
}

/// Links under temporary names; they go if they are not taken.
pub(crate) struct Links {
    disk: Disk,
    files: Vec<(PathBuf, PathBuf)>,
}

impl Links {
    /// The temporary and the final names.
    pub(crate) fn take(mut self) -> Vec<(PathBuf, PathBuf)> {
        std::mem::take(&mut self.files)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for (temporary, _) in &self.files {
            let _ = self.disk.unlink_if_there(temporary);
        }
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
    owner.write_overdue(shared)?;
    let entered = shared.log.enter()?;
    let mut wakes = Wakes::default();
    let mut state = owner.lock_settled(shared, &mut wakes)?;
    let from = view.core.name();
    let source = state.folder_of_mut(&view.core)?.row;
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
    let links = transfer.link(owner, shared, &from, to)?;
    let (ticket, rows) = owner.append(shared, transfer.changes(&source))?;
    let show = transfer.show(state.folder_mut(to)?);
    state.pending.push_back(Pending {
        ticket,
        files: links.take(),
        unlinks: Vec::new(),
        shows: vec![show],
        rows,
    });
    drop(state);
    owner.finish(shared, ticket, &mut wakes)?;
    drop(entered);
    Ok(transfer.outcome())
}

/// What messages take together.
pub(crate) fn usage_of(messages: &[MessageState]) -> Usage {
    Usage {
        bytes: messages.iter().map(|m| m.size).sum(),
        messages: messages.len() as u64,
    }
}

/// Links; where the file system does not (another one, too many links), copies. A copy need not be
/// durable: its source is.
pub(crate) fn link(disk: &Disk, old: &Path, new: &Path) -> Result<(), StoreError> {
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
    let mut copy = disk.create_new(new)?;
    let copied = copy
        .copy_range(&source, 0, source.size()?)
        .and_then(|()| copy.set_modified(source.modified()?));
    if let Err(error) = copied {
        let _ = disk.unlink(new);
        return Err(error.into());
    }
    Ok(())
}
