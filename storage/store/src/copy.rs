//! COPY: a second name for the same file, which keeps the message's GUID.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_index::MailboxRow;
use facteur_model::{Guid, MailFormat, MailboxName, ModSeq, UidSet, Usage};

use crate::{
    CopyOutcome, KeywordSetId, MessageState, StoreError,
    commit::next_uid,
    keywords::KeywordTable,
    maildir::Named,
    new_name::NewName,
    owner::{Folder, Owner, State, count_in, row_of},
    pending::{Pending, Show},
    record::{Change, CopyName, MailboxId},
    shared::Shared,
    view::{Core, View, Wakes},
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
            let uid = next_uid(&mut row)?;
            owner.check_free(shared, to, uid)?;
            let there = MessageState {
                uid,
                modseq: row.highest_modseq,
                keywords: set,
                ..*message
            };
            count_in(&mut row, &there);
            pairs.push((*message, there));
        }
        let last = row.uid_next.saturating_sub(1);
        owner
            .reserve(shared, folder, last, row.highest_modseq.value())
            .map_err(|error| owner.unless_removed(shared, &folder.core, error))?;
        Ok(Self {
            pairs,
            row,
            keywords,
            sets,
        })
    }

    /// What the journal and the index keep of it.
    pub(crate) fn changes(&self, from: &MailboxRow, links: &Links) -> Vec<Change> {
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
            names: links.names.clone(),
        });
        changes.push(Change::numbers(&self.row));
        changes
    }

    /// Links every message under a temporary name in the destination.
    pub(crate) fn link(
        &self,
        owner: &Owner,
        shared: &Shared,
        from: &Core,
        to: &Core,
    ) -> Result<Links, StoreError> {
        let mut links = Links {
            disk: shared.disk.clone(),
            files: Vec::with_capacity(self.pairs.len()),
            names: Vec::new(),
            named: Vec::new(),
        };
        let tmp = owner.layout.tmp(&to.name());
        for (here, there) in &self.pairs {
            let old = owner.locate(from, here.uid).ok_or(StoreError::Gone)?;
            let temporary = owner.layout.temporary(&tmp, shared);
            link(&shared.disk, &old.path, &temporary)
                .map_err(|error| owner.unless_removed(shared, to, error))?;
            // From now on it goes if it is not taken.
            links.files.push(NewName::new(temporary, PathBuf::new()));
            let base = match owner.layout.format() {
                MailFormat::Sdbox => String::new(),
                MailFormat::Maildir => {
                    let base = shared.names.next(SystemTime::now(), Guid::random()?);
                    let name = format!("{base}{}", old.sizes());
                    links.names.push(CopyName {
                        base: name.clone().into_bytes(),
                        guid: old.guid.to_vec(),
                    });
                    name
                }
            };
            let keywords = self.keywords.set(there.keywords);
            let as_named = (&*base, Some(old.guid));
            let path = owner.name_new(shared, (to, &mut links.named), there, as_named, keywords);
            if let Some(last) = links.files.last_mut() {
                last.path = path;
            }
        }
        Ok(links)
    }

    /// Notes the new numbers of the destination, and says what sessions are to see of it.
    pub(crate) fn show(&self, folder: &mut Folder, links: &mut Links) -> Show {
        folder.row = self.row;
        folder.keywords = Some(Arc::clone(&self.keywords));
        Show {
            keywords: Some(Arc::clone(&self.keywords)),
            added: self.pairs.iter().map(|(_, there)| *there).collect(),
            named: std::mem::take(&mut links.named),
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
    files: Vec<NewName>,
    /// What the files are called in a Maildir, for the journal and for the folder.
    names: Vec<CopyName>,
    named: Vec<Named>,
}

impl Links {
    /// The files and the names they get.
    pub(crate) fn take(mut self) -> Vec<NewName> {
        std::mem::take(&mut self.files)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = self.disk.unlink_if_there(&file.temporary);
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
    owner.notice_if_gone(shared, &view.core, || {
        attempt(owner, shared, view, uids, to)
    })
}

fn attempt(
    owner: &Arc<Owner>,
    shared: &Shared,
    view: &View,
    uids: &UidSet,
    to: &MailboxName,
) -> Result<CopyOutcome, StoreError> {
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
    let there = Arc::clone(&state.folder(to)?.core);
    let mut links = transfer.link(owner, shared, &view.core, &there)?;
    let (ticket, rows) = owner.append(shared, transfer.changes(&source, &links))?;
    let show = transfer.show(state.folder_mut(to)?, &mut links);
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

/// Whether the file system does not link: it is another one, or has none or too many of them; or one
/// whose kernel has lost count of a file's names (FUSE), and says that it is not there.
pub(crate) fn cannot_link(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, NotFound, PermissionDenied, TooManyLinks, Unsupported};
    // Of whom the folders are not, rename and write are denied too.
    matches!(
        error.kind(),
        CrossesDevices | NotFound | TooManyLinks | Unsupported | PermissionDenied
    )
}

/// Links; where the file system does not, copies. A copy need not be
/// durable: its source is.
pub(crate) fn link(disk: &Disk, old: &Path, new: &Path) -> Result<(), StoreError> {
    match disk.link(old, new) {
        Err(error) if cannot_link(&error) => {}
        result => return Ok(result?),
    }
    let source = match disk.open(old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Gone),
        opened => opened?,
    };
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
