//! An account's index built anew from its files.
//!
//! An index that is sound keeps its place: each message is read again, its flags, keywords and
//! MODSEQ stay. One that is not makes way for a new one, which takes over what can still be read of
//! it; the old one is there until the new one is durable. At the end the account is opened as after
//! an unclean end, which finds what the index misses.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use facteur_disk::Disk;
use facteur_index::{Index, IndexError, MailboxRow, MessageRow};
use facteur_model::{AccountSpec, Guid, MailboxName, Uid};
use serde::{Deserialize, Serialize};

use super::{Progress, is_there, size};
use crate::{
    StoreError, checkpoint,
    format::Layout,
    load,
    owner::Owner,
    shared::Shared,
    slot::{SESSION, index_path},
};

/// Messages that one transaction of the index holds.
const CHUNK: usize = 500;

/// What a rebuild came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Nobody ever used the account: there is nothing to rebuild.
    pub never_used: bool,
    /// The messages it has now.
    pub messages: u64,
    /// How many of them kept their flags, because the old index could be read there.
    pub flags_kept: u64,
    /// The old index was lost or damaged.
    pub was_damaged: bool,
}

pub(super) fn account(
    shared: &Arc<Shared>,
    spec: &AccountSpec,
    progress: Progress<'_>,
) -> Result<Rebuilt, StoreError> {
    if !is_there(shared, spec)? {
        return Ok(Rebuilt {
            never_used: true,
            ..Rebuilt::default()
        });
    }
    let Some(_closed) = shared.close_account(&spec.id) else {
        return Err(StoreError::Index("it is being rebuilt".to_owned()));
    };
    // Files of messages that were expunged go first.
    checkpoint::run(shared)?;
    shared.with_slot(spec, |held| {
        if let Some(owner) = held.take() {
            owner.retire(shared);
        }
        shared.settle(&spec.id)?;
        let layout = Layout::of(spec);
        layout.refuse_other(&shared.disk)?;
        let mut work = Work {
            disk: &shared.disk,
            layout: &layout,
            total: count(&shared.disk, &layout)?,
            done: 0,
            rebuilt: Rebuilt::default(),
            progress,
        };
        let path = index_path(layout.home());
        let in_place = size(shared, &path)? > 0 && work.in_place(&path)?;
        let sound = match in_place {
            true => work.loaded_if_sound(shared, spec)?,
            false => None,
        };
        let owner = match sound {
            Some(owner) => owner,
            None => {
                work.start_again();
                work.replace(&path)?;
                Arc::new(load::account(shared, spec, true)?)
            }
        };
        let mut rebuilt = work.rebuilt;
        rebuilt.messages = owner
            .lock()?
            .folders
            .values()
            .map(|folder| u64::from(folder.row.messages))
            .sum();
        // Whoever uses it next opens it.
        match owner.unload(shared) {
            Ok(()) => Ok(rebuilt),
            Err(error) => {
                *held = Some(owner);
                Err(error)
            }
        }
    })
}

/// Puts a new index in the place of a damaged one, with what can still be read of that.
pub(crate) fn mend(disk: &Disk, layout: &Layout) -> Result<(), StoreError> {
    let path = index_path(layout.home());
    let mut work = Work {
        disk,
        layout,
        total: 0,
        done: 0,
        rebuilt: Rebuilt::default(),
        progress: &mut |_, _| {},
    };
    work.replace(&path)
}

/// How many messages the files are.
fn count(disk: &Disk, layout: &Layout) -> Result<u64, StoreError> {
    let mut total = 0;
    for folder in layout.folders(disk)? {
        if folder.is_mailbox {
            total += layout.message_files(disk, &folder.name)?.len() as u64;
        }
    }
    Ok(total)
}

/// What an old index says of a mailbox.
struct Old {
    row: MailboxRow,
    messages: BTreeMap<Uid, MessageRow>,
    keywords: Vec<(u32, String)>,
}

/// What can be read of a damaged index.
#[derive(Default)]
struct Salvaged {
    facts: Vec<(String, String)>,
    mailboxes: BTreeMap<Guid, Old>,
}

struct Work<'a> {
    disk: &'a Disk,
    layout: &'a Layout,
    total: u64,
    done: u64,
    rebuilt: Rebuilt,
    progress: Progress<'a>,
}

impl Work<'_> {
    /// In the other way.
    fn start_again(&mut self) {
        self.done = 0;
        self.rebuilt = Rebuilt {
            was_damaged: true,
            ..Rebuilt::default()
        };
    }

    /// Opens the account on an index that was filled in place. What contradicts itself even now is
    /// not worth keeping.
    fn loaded_if_sound(
        &self,
        shared: &Arc<Shared>,
        spec: &AccountSpec,
    ) -> Result<Option<Arc<Owner>>, StoreError> {
        let owner = Arc::new(load::account(shared, spec, true)?);
        let problems = owner.index(shared, |index| index.problems())?;
        if problems.is_empty() {
            return Ok(Some(owner));
        }
        owner.retire(shared);
        Ok(None)
    }

    /// Reads every message again into an index that is sound; whether it is.
    fn in_place(&mut self, path: &Path) -> Result<bool, StoreError> {
        let opened = Index::open(self.disk, path).and_then(|index| {
            index.check()?;
            let rows = index.mailboxes()?;
            Ok((index, rows))
        });
        let (mut index, rows) = match opened {
            Ok(opened) => opened,
            Err(IndexError::Damaged(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        index.transaction(|transaction| transaction.set_fact(SESSION, ""))?;
        for folder in self.layout.folders(self.disk)? {
            let identity = match folder.is_mailbox {
                true => self.layout.identify(self.disk, &folder.name)?,
                false => None,
            };
            let row = identity.and_then(|identity| {
                let same = |row: &&MailboxRow| {
                    row.guid == identity.guid && row.uid_validity == identity.uid_validity
                };
                rows.iter().find(same)
            });
            let Some(row) = row else { continue };
            let messages = index.messages(row.id)?;
            let messages = messages.into_iter().map(|row| (row.uid, row)).collect();
            // What the index does not know is found when the account is opened.
            self.refill(&mut index, &folder.name, row.id, &messages, false)?;
        }
        Ok(index.checkpoint().map(|()| true)?)
    }

    /// Puts a new index in the place of a damaged one.
    fn replace(&mut self, path: &Path) -> Result<(), StoreError> {
        let old = match self.disk.kind(path)? {
            Some(_) => salvage(self.disk, path),
            None => Salvaged::default(),
        };
        // The next opening of the account removes what an interrupted rebuild leaves under it.
        let temporary = Disk::temporary_path(self.layout.home());
        let filled = self.fill(&temporary, &old);
        let renamed = filled.and_then(|()| {
            // A log of the old one would be taken for the new one's.
            Index::remove_log(self.disk, path)?;
            self.disk.rename(&temporary, path)?;
            Index::remove_log(self.disk, &temporary)?;
            Ok(self.disk.sync_dir(self.layout.home())?)
        });
        if renamed.is_err() {
            // Best effort: the next opening removes it too.
            let _ = Index::remove(self.disk, &temporary);
        }
        renamed
    }

    fn fill(&mut self, path: &Path, old: &Salvaged) -> Result<(), StoreError> {
        let mut index = Index::open(self.disk, path)?;
        index.transaction(|transaction| {
            for (name, value) in &old.facts {
                transaction.set_fact(name, value)?;
            }
            transaction.set_fact(SESSION, "")
        })?;
        for folder in self.layout.folders(self.disk)? {
            if !folder.is_mailbox {
                continue;
            }
            // Without one the mailbox becomes another, when the account is opened.
            let Some(identity) = self.layout.identify(self.disk, &folder.name)? else {
                continue;
            };
            let old = old
                .mailboxes
                .get(&identity.guid)
                .filter(|old| old.row.uid_validity == identity.uid_validity);
            let Some(old) = old else { continue };
            let id = index.transaction(|transaction| {
                let id = transaction.add_mailbox(&old.row)?;
                for (set, keywords) in &old.keywords {
                    transaction.add_keyword_set(id, *set, keywords)?;
                }
                Ok::<_, IndexError>(id)
            })?;
            self.refill(&mut index, &folder.name, id, &old.messages, true)?;
        }
        Ok(index.checkpoint()?)
    }

    /// Reads the files of a mailbox into its rows; what `old` says of flags stays. Files that `old`
    /// lacks are read with `all`, else left to whoever opens the account.
    fn refill(
        &mut self,
        index: &mut Index,
        name: &MailboxName,
        mailbox: u32,
        old: &BTreeMap<Uid, MessageRow>,
        all: bool,
    ) -> Result<(), StoreError> {
        let mut files = self.layout.message_files(self.disk, name)?;
        files.retain(|(uid, _)| all || old.contains_key(uid));
        for chunk in files.chunks(CHUNK) {
            let kept = index.transaction(|transaction| {
                let mut kept = 0;
                for (uid, file) in chunk {
                    let row = old.get(uid);
                    let modseq = row.map_or(facteur_model::ModSeq::new(1), |row| row.modseq);
                    let place = (mailbox, *uid, modseq);
                    let read = self.layout.adopt(self.disk, transaction, place, file)?;
                    if let (Some(_), Some(row)) = (read, row) {
                        transaction.set_flags(mailbox, *uid, row)?;
                        kept += 1;
                    }
                }
                Ok::<u64, StoreError>(kept)
            })?;
            self.rebuilt.flags_kept += kept;
            self.done += chunk.len() as u64;
            (self.progress)(self.done, self.total);
        }
        Ok(())
    }
}

/// Reads what can be read of a damaged index.
fn salvage(disk: &Disk, path: &Path) -> Salvaged {
    let Ok(index) = Index::open(disk, path) else {
        return Salvaged::default();
    };
    let rows = index.mailboxes().unwrap_or_default();
    let mailboxes = rows
        .into_iter()
        .map(|row| {
            let messages = index.salvage_messages(row.id, row.uid_next);
            let keywords = index.keyword_sets(row.id).unwrap_or_default();
            let messages = messages
                .into_iter()
                // A keyword set that is lost is none.
                .map(|mut message| {
                    if !keywords.iter().any(|(id, _)| *id == message.keywords) {
                        message.keywords = 0;
                    }
                    (message.uid, message)
                })
                .collect();
            let old = Old {
                row,
                messages,
                keywords,
            };
            (row.guid, old)
        })
        .collect();
    Salvaged {
        facts: index.salvage_facts(),
        mailboxes,
    }
}
