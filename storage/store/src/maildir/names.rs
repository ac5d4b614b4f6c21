//! What the checkpoint writes: names that say the flags, and the list of UIDs.

use std::{io, path::Path, sync::Arc};

use facteur_disk::Disk;
use facteur_index::MailboxRow;
use facteur_maildir::{Files, Head, KeywordFile, Letters, Place, UidList};
use facteur_model::{Keyword, UidSet};

use super::{Inner, List};
use crate::{
    MessageState, StoreError,
    format::Layout,
    keywords::KeywordTable,
    owner::{Owner, State, state_of},
    shared::Shared,
    view::Core,
};

/// Files renamed at once: others get at the account in between.
const AT_ONCE: u32 = 256;
/// How often files are looked for that have other names than they had.
const LOOKS: u32 = 3;

/// How far the names of a folder are.
enum Step {
    Done,
    More,
    /// Files are not where they were: the folder must be looked through.
    Missing(UidSet),
}

impl Owner {
    /// Writes what names and lists lack. What a broken owner has not written is in the journal.
    pub(crate) fn write_names(self: &Arc<Self>, shared: &Shared) -> Result<(), StoreError> {
        if let Layout::Sdbox(_) = self.layout {
            return Ok(());
        }
        let cores: Vec<Arc<Core>> = match self.lock() {
            Ok(state) => {
                let cores = state.folders.values().map(|folder| &folder.core);
                let wanted = |core: &&Arc<Core>| {
                    core.maildir().is_some_and(|maildir| {
                        let inner = maildir.lock();
                        // A folder that nobody has open any more is forgotten on the occasion.
                        inner.has_work() || inner.files.is_some()
                    })
                };
                cores.filter(wanted).cloned().collect()
            }
            Err(_) => return Ok(()),
        };
        for core in &cores {
            match self.write_names_of(shared, core) {
                Err(_) if self.is_broken() => return Ok(()),
                result => result?,
            }
        }
        Ok(())
    }

    fn write_names_of(
        self: &Arc<Self>,
        shared: &Shared,
        core: &Arc<Core>,
    ) -> Result<(), StoreError> {
        let mut looks = 0;
        loop {
            match self.write_some_names(shared, core)? {
                Step::Done => return Ok(()),
                Step::More => {}
                Step::Missing(_) if looks < LOOKS => {
                    looks += 1;
                    self.notice(shared, core)?;
                }
                Step::Missing(missing) => {
                    // Whoever removes and brings them back will have them noticed later.
                    if let Some(maildir) = core.maildir() {
                        let mut inner = maildir.lock();
                        let dirty = std::mem::take(&mut inner.dirty);
                        let left = dirty.iter().filter(|uid| !missing.contains(*uid));
                        inner.dirty = left.collect();
                    }
                }
            }
        }
    }

    fn write_some_names(
        self: &Arc<Self>,
        shared: &Shared,
        core: &Arc<Core>,
    ) -> Result<Step, StoreError> {
        let state = self.lock()?;
        let (Ok(folder), Some(maildir)) = (state.folder_of(core), core.maildir()) else {
            return Ok(Step::Done);
        };
        let dir = self.layout.folder(&core.name());
        let disk = &shared.disk;
        let mut inner = maildir.lock();
        if !inner.dirty.is_empty() {
            if inner.load(disk, &dir, &folder.row)? {
                // Where the files are is not known yet.
                inner.refresh(disk, &dir, &shared.names)?;
            }
            let some = inner.dirty.take_first(AT_ONCE);
            let messages = self.messages_of(shared, &state, core, &some);
            let table = self.keywords(shared, folder);
            let renamed = messages
                .and_then(|messages| Ok((messages, table?)))
                .and_then(|(messages, table)| inner.rename(disk, &dir, &messages, &table));
            return match renamed {
                Ok(missing) if missing.is_empty() => Ok(Step::More),
                Ok(missing) => {
                    missing.iter().for_each(|uid| inner.dirty.insert(uid));
                    inner.stamps = None;
                    Ok(Step::Missing(missing))
                }
                Err(error) => {
                    some.iter().for_each(|uid| inner.dirty.insert(uid));
                    Err(error)
                }
            };
        }
        inner.letterless.clear();
        inner.write_list(disk, &dir, &folder.row)?;
        if core.view().is_none() {
            inner.files = None;
        }
        Ok(Step::Done)
    }

    /// The states of some messages of a mailbox, open or not.
    fn messages_of(
        self: &Arc<Self>,
        shared: &Shared,
        state: &State,
        core: &Arc<Core>,
        uids: &UidSet,
    ) -> Result<Vec<MessageState>, StoreError> {
        if let Some(view) = core.view() {
            let snapshot = view.snapshot();
            return Ok(snapshot.select(uids).map(|(_, message)| *message).collect());
        }
        let row = state.folder_of(core)?.row.id;
        let rows = self.look(shared, |index, waiting| waiting.messages(index, row))?;
        let rows = rows.iter().filter(|row| uids.contains(row.uid));
        Ok(rows.map(state_of).collect())
    }
}

impl Inner {
    pub(super) fn has_work(&self) -> bool {
        !self.dirty.is_empty() || !self.lines.is_empty() || self.list == List::Stale
    }

    /// Reads the list, unless it is held; says whether it had to. Where the files are is not known
    /// then.
    pub(super) fn load(
        &mut self,
        disk: &Disk,
        dir: &Path,
        row: &MailboxRow,
    ) -> Result<bool, StoreError> {
        if self.files.is_some() {
            return Ok(false);
        }
        let list = UidList::read(disk, dir)?;
        let list = list.filter(|list| list.head.uid_validity == row.uid_validity);
        let sound = list.as_ref().is_some_and(|list| list.is_sound);
        self.list = if sound { List::Sound } else { List::Stale };
        self.listed_next = list.as_ref().map_or(1, |list| list.head.uid_next);
        let mut files = list.map_or_else(Files::default, |list| list.files);
        for line in lines_of(&self.lines).iter() {
            files.push(line.uid(), line.extensions(), line.base());
        }
        self.files = Some(files);
        self.stamps = None;
        Ok(true)
    }

    /// Gives messages the names that say their flags. Says whose files are not where they were.
    fn rename(
        &mut self,
        disk: &Disk,
        dir: &Path,
        messages: &[MessageState],
        table: &KeywordTable,
    ) -> Result<UidSet, StoreError> {
        let given = self.give_letters(disk, dir, messages, table)?;
        let known = self.keywords(disk, dir)?.known();
        let mut missing = UidSet::new();
        let Some(files) = &mut self.files else {
            return Ok(missing);
        };
        for message in messages {
            let letters = given.iter().find(|(set, _)| *set == message.keywords);
            let letters = letters.map_or(Letters::EMPTY, |(_, letters)| *letters);
            let Some(file) = files.get(message.uid) else {
                continue;
            };
            if !file.is_present() {
                missing.insert(message.uid);
                continue;
            }
            let name = match self.letterless.contains(&message.uid) {
                true => file.renamed(file.flags(), letters.union(file.letters()), known),
                false => file.renamed(message.flags, letters, known),
            };
            if file.place() == Place::Cur && *file.name() == *name {
                continue;
            }
            match disk.rename_new(&file.path(dir), &Place::Cur.file(dir, &name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    missing.insert(message.uid);
                    continue;
                }
                // The next look gives one of the two another name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    missing.insert(message.uid);
                    continue;
                }
                renamed => renamed?,
            }
            files.note(message.uid, Place::Cur, &name);
        }
        Ok(missing)
    }

    /// The letters of the messages' sets of keywords. New letters are durable before a name has them.
    fn give_letters(
        &mut self,
        disk: &Disk,
        dir: &Path,
        messages: &[MessageState],
        table: &KeywordTable,
    ) -> Result<Vec<(crate::KeywordSetId, Letters)>, StoreError> {
        let mut sets = messages.iter().map(|message| table.set(message.keywords));
        let known = self.keywords(disk, dir)?;
        if sets.any(|set| set.iter().any(|keyword| known.letter(keyword).is_none())) {
            // Another program may have given letters since they were read.
            self.keywords = None;
        }
        let file = self.keywords(disk, dir)?;
        let mut changed = file.clone();
        let mut given: Vec<(crate::KeywordSetId, Letters)> = Vec::new();
        for message in messages {
            if given
                .last()
                .is_some_and(|(set, _)| *set == message.keywords)
                || given.iter().any(|(set, _)| *set == message.keywords)
            {
                continue;
            }
            let letters = table.set(message.keywords).iter();
            let letters = letters.filter_map(|keyword| changed.give(keyword));
            given.push((message.keywords, letters.collect()));
        }
        if changed != *file {
            write_keywords(&changed, disk, dir)?;
            *file = changed;
        }
        Ok(given)
    }

    /// Brings the list up to date.
    pub(super) fn write_list(
        &mut self,
        disk: &Disk,
        dir: &Path,
        row: &MailboxRow,
    ) -> Result<(), StoreError> {
        if self.list == List::Unknown && !self.lines.is_empty() {
            self.list = match UidList::can_append(disk, dir)? {
                true => List::Sound,
                false => List::Stale,
            };
        }
        match self.list {
            List::Sound if !self.lines.is_empty() => {
                // What is appended in part is no list any more.
                self.list = List::Stale;
                UidList::append(disk, dir, &self.lines)?;
            }
            List::Stale => {
                let files = self.files.take();
                let (files, written) = rewrite(disk, dir, row, files, &self.lines);
                self.files = files;
                written?;
            }
            List::Unknown | List::Sound => return Ok(()),
        }
        self.list = List::Sound;
        self.lines = Vec::new();
        Ok(())
    }
}

/// Writes a list anew: with these files, or else those that it has and these lines. Gives the files
/// back.
fn rewrite(
    disk: &Disk,
    dir: &Path,
    row: &MailboxRow,
    files: Option<Files>,
    lines: &[u8],
) -> (Option<Files>, io::Result<()>) {
    let held = match UidList::read(disk, dir) {
        Ok(held) => held.filter(|held| held.head.uid_validity == row.uid_validity),
        Err(error) => return (files, Err(error)),
    };
    let mut head = Head {
        uid_validity: row.uid_validity,
        uid_next: row.uid_next,
        guid: Some(row.guid),
        other: Vec::new(),
    };
    let mut old = Files::default();
    // What no list had before is in the journal.
    let durably = held.as_ref().is_some_and(|held| !held.files.is_empty());
    if let Some(held) = held {
        head.uid_next = head.uid_next.max(held.head.uid_next);
        head.other = held.head.other;
        old = held.files;
    }
    let keep = files.is_some();
    let files = files.unwrap_or_else(|| {
        for line in lines_of(lines).iter() {
            old.push(line.uid(), line.extensions(), line.base());
        }
        old
    });
    let list = UidList {
        head,
        files,
        is_sound: true,
    };
    let written = match durably {
        true => list.write(disk, dir, row.guid),
        false => list.write_unsynced(disk, dir, row.guid),
    };
    (keep.then_some(list.files), written)
}

/// Lines that are still to be appended, read back.
fn lines_of(lines: &[u8]) -> Files {
    let bytes = [b"3 V1 N1\n", lines].concat();
    UidList::decode(&bytes).map_or_else(Files::default, |list| list.files)
}

/// Writes what letters mean, durably: before any name has one that is new.
pub(super) fn write_keywords(file: &KeywordFile, disk: &Disk, dir: &Path) -> io::Result<()> {
    disk.write_atomically(&dir.join(KeywordFile::NAME), &file.encode())
}

/// The letters of keywords, as far as they have any.
pub(super) fn letters_of(file: &KeywordFile, keywords: &[Keyword]) -> Letters {
    let letters = keywords.iter().filter_map(|keyword| file.letter(keyword));
    letters.collect()
}
