//! Doing a journal's changes again in a Maildir: "whatever has this base".
//!
//! A file's name may have changed since its record was made, by us or by another program. So a folder
//! that a record is about is looked through once; at the end the names of messages whose flags the
//! journal has changed are made to say what the index says, and the list gets the lines it lacks.

mod known;
mod torn;

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_format::Source;
use facteur_index::{Index, MailboxRow};
use facteur_maildir::{BaseNames, FileName, KeywordFile, Layout, Letters, NewMessage, Place};
use facteur_model::{Flags, Guid, Uid};

use self::{
    known::Known,
    torn::{is_like, is_whole, sizes_of},
};
use super::names::write_keywords;
use crate::{
    StoreError,
    compress::Compression,
    copy,
    keywords::KeywordTable,
    new_name,
    owner::state_of,
    record::{Added, Change, Content, CopyName, MailboxId, Message, body_of, uid_set},
    replay::{self, whole},
};

/// An account's folders.
pub(crate) struct Redo {
    folders: HashMap<Guid, Redone>,
    /// Where messages were written whose mailbox was still to be made.
    inbox: PathBuf,
    names: BaseNames,
}

struct Redone {
    dir: PathBuf,
    /// The mailbox as it was at first; a deleted one has none.
    row: Option<MailboxRow>,
    files: Option<Known>,
    dirty: BTreeSet<Uid>,
    /// Messages whose files we have just made.
    made: BTreeSet<Uid>,
}

impl Redone {
    fn known(&mut self, disk: &Disk) -> Result<(&mut Known, &Path), StoreError> {
        let known = match self.files.take() {
            Some(known) => known,
            None => {
                if self.row.is_some() {
                    // Or what the journal has would find no place there.
                    Layout::complete_folder(disk, &self.dir)?;
                }
                Known::read(disk, &self.dir, self.row.as_ref())?
            }
        };
        Ok((self.files.insert(known), &self.dir))
    }

    /// Puts a file in the place of a message that has none, or over what the machine left of it.
    fn place(
        &mut self,
        disk: &Disk,
        uid: Uid,
        base: &[u8],
        flags: Flags,
        temporary: &Path,
    ) -> Result<(), StoreError> {
        let (known, dir) = self.known(disk)?;
        if let Some(path) = known.path(dir, base) {
            return Ok(disk.rename(temporary, &path)?);
        }
        let (place, name) = match flags.is_empty() {
            true => (Place::New, base.to_vec()),
            false => (Place::Cur, FileName::build(base, flags, Letters::EMPTY)),
        };
        disk.rename(temporary, &place.file(dir, &name))?;
        known.at.insert(base.into(), (place, name));
        self.made.insert(uid);
        Ok(())
    }
}

impl Redo {
    pub(crate) fn new(inbox: PathBuf, host: &str) -> Self {
        Self {
            folders: HashMap::new(),
            inbox,
            names: BaseNames::new(host),
        }
    }

    /// Adds a mailbox's folder, which is a deleted one's if it has no row.
    pub(crate) fn add_folder(&mut self, guid: Guid, dir: PathBuf, row: Option<MailboxRow>) {
        let folder = Redone {
            dir,
            row,
            files: None,
            dirty: BTreeSet::new(),
            made: BTreeSet::new(),
        };
        self.folders.insert(guid, folder);
    }

    /// Does a change to the files; whether those that it makes are there.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        files: &mut replay::Files<'_>,
    ) -> Result<bool, StoreError> {
        match change {
            Change::Add(added) => {
                let done = self.add(added, files);
                self.unless_half_gone(added.mailbox, done)
            }
            Change::Copy {
                from,
                to,
                pairs,
                names,
            } => {
                let done = self.copy((*from, *to), pairs, names, files);
                self.unless_half_gone(*to, done)
            }
            Change::Expunge {
                mailbox,
                ranges,
                files_go,
                ..
            } => {
                self.expunge(mailbox, ranges, *files_go, files)?;
                Ok(true)
            }
            Change::Flags { mailbox, runs } => {
                let Some(folder) = self.folders.get_mut(&mailbox.guid) else {
                    return Ok(true);
                };
                let (known, _) = folder.known(files.disk)?;
                let mut dirty = Vec::new();
                for run in runs {
                    let last = run.last.row().map(|row| row.uid);
                    if let (Some(first), Some(last)) = (Uid::new(run.first), last)
                        && first <= last
                    {
                        dirty.extend(known.lines.range(first..=last).map(|(uid, _)| *uid));
                    }
                }
                folder.dirty.extend(dirty);
                Ok(true)
            }
            Change::Keywords { .. } | Change::Numbers { .. } | Change::Remember { .. } => Ok(true),
        }
    }

    /// A deleted mailbox may be gone in part: then what was copied from it is durable.
    fn unless_half_gone(
        &self,
        mailbox: MailboxId,
        done: Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let folder = self.folders.get(&mailbox.guid);
        match done {
            Err(StoreError::Io(error))
                if error.kind() == io::ErrorKind::NotFound
                    && folder.is_some_and(|folder| folder.row.is_none()) =>
            {
                Ok(true)
            }
            done => done,
        }
    }

    fn add(
        &mut self,
        added: &Added,
        replay::Files {
            disk,
            bodies,
            rewrite,
            unlinks,
        }: &mut replay::Files<'_>,
    ) -> Result<bool, StoreError> {
        let Some(folder) = self.folders.get_mut(&added.mailbox.guid) else {
            return Ok(true);
        };
        let Some(row) = added.message.row() else {
            return Ok(true);
        };
        let base = &added.base;
        let (known, dir) = folder.known(disk)?;
        known.add_line(row.uid, None, base);
        let found = known.path(dir, base);
        let there = found.is_some();
        let tmp = dir.join("tmp");
        if row.keywords != 0 && !matches!(added.content, Content::There) {
            folder.dirty.insert(row.uid);
        }
        match &added.content {
            Content::There => Ok(true),
            Content::Inline { prefix, body } => {
                let body = body_of(bodies, *body)?;
                if let Some(path) = found.filter(|_| !rewrite.get()) {
                    if is_whole(disk, &path, &[&**prefix, body])? {
                        return Ok(true);
                    }
                    whole::doubt(rewrite, &path);
                }
                let plain = [Source::Memory(prefix), Source::Memory(body)];
                // One that looks compressed must be.
                let compressed = Compression::default().compress(&plain, disk, &tmp)?;
                let parts = compressed.as_ref().map(|compressed| [compressed.source()]);
                let message = NewMessage {
                    parts: parts.as_ref().map_or(&plain[..], |parts| &parts[..]),
                    received: row.internal_date,
                };
                let temporary = self.names.next(SystemTime::now(), added.guid);
                let (temporary, _) = message.write(disk, &tmp, &temporary)?;
                let placed = folder.place(disk, row.uid, base, row.flags, &temporary);
                if placed.is_err() {
                    // Best effort: it is removed when the account is opened.
                    let _ = disk.unlink_if_there(&temporary);
                }
                placed.map(|()| true)
            }
            Content::File { name } => {
                let tmps = [&*tmp, &self.inbox.join("tmp")];
                if let Some(temporary) = new_name::find(disk, tmps, name)? {
                    if let Some(found) = found.filter(|_| !rewrite.get())
                        && !is_like(disk, &found, &temporary)?
                    {
                        whole::doubt(rewrite, &found);
                    }
                    if there && !rewrite.get() {
                        unlinks.push(temporary);
                    } else {
                        let from = (temporary, &*tmp);
                        new_name::give_again(disk, from, unlinks, |aside| {
                            folder.place(disk, row.uid, base, row.flags, aside)
                        })?;
                    }
                    return Ok(true);
                }
                if there {
                    return Ok(true);
                }
                // It was expunged since, and its file removed; or given up when the journal failed.
                tracing::debug!(path = %folder.dir.display(), uid = %row.uid, "message of the journal has no file any more");
                Ok(false)
            }
        }
    }

    fn copy(
        &mut self,
        (from, to): (MailboxId, MailboxId),
        pairs: &[(u32, Message)],
        names: &[CopyName],
        replay::Files { disk, rewrite, .. }: &mut replay::Files<'_>,
    ) -> Result<bool, StoreError> {
        if !self.folders.contains_key(&to.guid) {
            return Ok(true);
        }
        let mut whole = true;
        for ((here, there), name) in pairs.iter().zip(names) {
            let (Some(here), Some(there)) = (Uid::new(*here), there.row()) else {
                continue;
            };
            let source = match self.folders.get_mut(&from.guid) {
                Some(folder) => {
                    let (known, dir) = folder.known(disk)?;
                    known.path_of(dir, here)
                }
                None => None,
            };
            let Some(folder) = self.folders.get_mut(&to.guid) else {
                continue;
            };
            let (known, dir) = folder.known(disk)?;
            known.add_line(there.uid, Some(&name.guid), &name.base);
            let found = known.path(dir, &name.base);
            // Had another server given UIDs meanwhile, the sizes would tell that it is another message.
            if let (false, Some(found), Some(source)) = (rewrite.get(), &found, &source)
                && sizes_of(found).is_some_and(|sizes| sizes_of(source) == Some(sizes))
                && !is_like(disk, found, source)?
            {
                whole::doubt(rewrite, found);
            }
            let is_there = found.is_some();
            let tmp = dir.join("tmp");
            if there.keywords != 0 {
                folder.dirty.insert(there.uid);
            }
            let Some(source) = source.filter(|_| rewrite.get() || !is_there) else {
                // The checkpoint that took the original away has made the copy durable.
                whole &= is_there;
                continue;
            };
            let temporary = tmp.join(self.names.next(SystemTime::now(), from.guid));
            match copy::link(disk, &source, &temporary) {
                Ok(()) => folder.place(disk, there.uid, &name.base, there.flags, &temporary)?,
                Err(StoreError::Gone) => whole &= is_there,
                Err(error) => return Err(error),
            }
            // Two names of one file: then rename(2) does nothing, and the temporary one stays.
            disk.unlink_if_there(&temporary)?;
        }
        Ok(whole)
    }

    fn expunge(
        &mut self,
        mailbox: &MailboxId,
        ranges: &[(u32, u32)],
        files_go: bool,
        replay::Files { disk, unlinks, .. }: &mut replay::Files<'_>,
    ) -> Result<(), StoreError> {
        let Some(folder) = self.folders.get_mut(&mailbox.guid) else {
            return Ok(());
        };
        let gone = uid_set(ranges);
        let made = std::mem::take(&mut folder.made);
        let (known, dir) = folder.known(disk)?;
        for uid in gone.iter() {
            // What another program removed and may have put back is its own, unless we have just done
            // the delivery again.
            if files_go || made.contains(&uid) {
                unlinks.extend(known.path_of(dir, uid));
            }
        }
        folder.made = made;
        Ok(())
    }

    /// Writes names and lists as the index has them.
    pub(crate) fn finish(&mut self, disk: &Disk, index: &Index) -> Result<(), StoreError> {
        for folder in self.folders.values_mut() {
            let Some(mailbox) = folder.row else { continue };
            if folder.files.is_none() {
                continue;
            }
            folder.rename(disk, index, mailbox.id)?;
            let (known, dir) = folder.known(disk)?;
            known.write_list(disk, dir, &mailbox)?;
        }
        Ok(())
    }
}

impl Redone {
    fn rename(&mut self, disk: &Disk, index: &Index, mailbox: u32) -> Result<(), StoreError> {
        let dirty = std::mem::take(&mut self.dirty);
        if dirty.is_empty() {
            return Ok(());
        }
        let table = KeywordTable::from_rows(index.keyword_sets(mailbox)?);
        let mut messages = index.messages(mailbox)?;
        messages.retain(|row| dirty.contains(&row.uid));
        let (known, dir) = self.known(disk)?;
        let mut file = KeywordFile::read(disk, dir)?;
        let before = file.clone();
        let mut letters = HashMap::new();
        for message in messages.iter().map(state_of) {
            letters.entry(message.keywords).or_insert_with(|| {
                let keywords = table.set(message.keywords).iter();
                keywords
                    .filter_map(|keyword| file.give(keyword))
                    .collect::<Letters>()
            });
        }
        if file != before {
            write_keywords(&file, disk, dir)?;
        }
        let meant = file.known();
        for message in messages.iter().map(state_of) {
            let Some((_, base)) = known.lines.get(&message.uid) else {
                continue;
            };
            let Some((place, old)) = known.at.get_mut(base) else {
                continue;
            };
            let Some(name) = FileName::parse(old) else {
                continue;
            };
            let letters = letters.get(&message.keywords).copied().unwrap_or_default();
            let unknown = name.letters().difference(meant);
            let new = name.with(message.flags, letters.union(unknown));
            if *place == Place::Cur && new == *old {
                continue;
            }
            disk.rename_new(&place.file(dir, old), &Place::Cur.file(dir, &new))?;
            (*place, *old) = (Place::Cur, new);
        }
        Ok(())
    }
}
