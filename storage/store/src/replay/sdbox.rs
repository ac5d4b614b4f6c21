//! Doing a journal's changes again to the files of sdbox; those of a Maildir are
//! [`crate::maildir::Redo`]'s.

use std::{cell::Cell, io, path::Path};

use facteur_disk::{Disk, EntryKind};
use facteur_model::{Guid, InternalDate, Uid};
use facteur_sdbox::{Layout as Sdbox, MessageFile, Metadata, NewMessage, Source};

use super::{Files, home::Home, whole};
use crate::{
    StoreError,
    compress::Compression,
    copy, new_name,
    record::{Added, Change, Content, MailboxId, Message, body_of, uid_set},
};

impl Home {
    /// Does a change to the files; whether those that it makes are there.
    pub(super) fn files(&self, change: &Change, files: &mut Files<'_>) -> Result<bool, StoreError> {
        match change {
            Change::Add(added) => self.add(added, files),
            Change::Copy {
                from, to, pairs, ..
            } => self.copy(*from, *to, pairs, files),
            Change::Expunge {
                mailbox, ranges, ..
            } => {
                if let Some((dir, _)) = self.mailboxes.get(&mailbox.guid) {
                    let gone = uid_set(ranges);
                    let unlinks = &mut files.unlinks;
                    unlinks.extend(gone.iter().map(|uid| dir.join(Sdbox::file_name(uid))));
                }
                Ok(true)
            }
            Change::Flags { .. }
            | Change::Keywords { .. }
            | Change::Numbers { .. }
            | Change::Remember { .. } => Ok(true),
        }
    }

    fn add(
        &self,
        added: &Added,
        Files {
            disk,
            bodies,
            rewrite,
            unlinks,
        }: &mut Files<'_>,
    ) -> Result<bool, StoreError> {
        let Some((dir, _)) = self.mailboxes.get(&added.mailbox.guid) else {
            return Ok(true);
        };
        let Some(row) = added.message.row() else {
            return Ok(true);
        };
        let path = dir.join(Sdbox::file_name(row.uid));
        let found = keep_foreign(disk, &path, added.guid)?;
        let there = !matches!(found, Found::Nothing);
        match &added.content {
            Content::Inline { prefix, body } => {
                let body = body_of(bodies, *body)?;
                let parts = [&**prefix, body];
                if !rewrite.get() && there {
                    if found.has(&parts)? {
                        return Ok(true);
                    }
                    whole::doubt(rewrite, &path);
                }
                write(disk, dir, &path, added, row.internal_date, &parts)?;
                Ok(true)
            }
            // In this format nobody else makes any.
            Content::There => Ok(true),
            Content::File { name } => {
                if let Some(temporary) = new_name::find(disk, [dir, &self.inbox], name)? {
                    if there && !rewrite.get() && !whole::is_like(disk, &path, &temporary)? {
                        whole::doubt(rewrite, &path);
                    }
                    if temporary.parent() == path.parent() {
                        disk.rename(&temporary, &path)?;
                    } else if there && !rewrite.get() {
                        unlinks.push(temporary);
                    } else {
                        new_name::give_again(disk, (temporary, dir), unlinks, |aside| {
                            Ok(disk.rename(aside, &path)?)
                        })?;
                    }
                    return Ok(true);
                }
                if there {
                    return Ok(true);
                }
                // It was expunged since, and its file removed; or given up when the journal failed.
                tracing::debug!(path = %path.display(), "message of the journal has no file any more");
                Ok(false)
            }
        }
    }

    fn copy(
        &self,
        from: MailboxId,
        to: MailboxId,
        pairs: &[(u32, Message)],
        Files { disk, rewrite, .. }: &mut Files<'_>,
    ) -> Result<bool, StoreError> {
        let Some((to, _)) = self.mailboxes.get(&to.guid) else {
            return Ok(true);
        };
        let from = self.mailboxes.get(&from.guid).map(|(from, _)| from);
        let mut whole = true;
        for (here, there) in pairs {
            let (Some(here), Some(there)) = (Uid::new(*here), there.row()) else {
                continue;
            };
            let path = to.join(Sdbox::file_name(there.uid));
            let source = from.map(|from| from.join(Sdbox::file_name(here)));
            let is_there = match &source {
                Some(source) => has_copy(disk, source, &path, rewrite)?,
                None => disk.kind(&path)?.is_some(),
            };
            if is_there && !rewrite.get() {
                continue;
            }
            let temporary = Disk::temporary_path(to);
            let linked = match &source {
                Some(source) => copy::link(disk, source, &temporary),
                None => Err(StoreError::Gone),
            };
            match linked {
                Ok(()) => disk.rename(&temporary, &path)?,
                // The checkpoint that took the original away has made the copy durable.
                Err(StoreError::Gone) => whole &= is_there,
                Err(error) => return Err(error),
            }
            // Two names of one file: then rename(2) does nothing, and the temporary one stays.
            disk.unlink_if_there(&temporary)?;
        }
        Ok(whole)
    }
}

/// What is in a message's place.
enum Found {
    Nothing,
    /// What the machine or a file system left of it.
    Torn,
    Message(MessageFile),
}

impl Found {
    /// Whether it is the message with these bytes. Of a compressed one it is enough that what stands
    /// behind the message is there.
    fn has(&self, parts: &[&[u8]]) -> io::Result<bool> {
        match self {
            Self::Message(file) if file.stored_size == whole::size(parts) => {
                whole::has(&file.file, file.offset, parts)
            }
            Self::Message(file) => Ok(file.looks.is_some()),
            Self::Nothing | Self::Torn => Ok(false),
        }
    }
}

/// What is at `path`. Another program's file there is not written over: it gets another name.
fn keep_foreign(disk: &Disk, path: &Path, guid: Guid) -> Result<Found, StoreError> {
    if disk.kind(path)? != Some(EntryKind::File) {
        return Ok(Found::Nothing);
    }
    let read = MessageFile::open(disk, path).and_then(|file| Ok((file.metadata()?, file)));
    let (foreign, found) = match read {
        Ok((metadata, file)) => (metadata.guid != Some(guid), Found::Message(file)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => (false, Found::Torn),
        Err(error) => return Err(error.into()),
    };
    if foreign {
        let mut name = path.as_os_str().to_owned();
        name.push(".foreign");
        tracing::error!(path = %path.display(), kept = %name.display(), "a file that is not this server's has a message's place and is renamed");
        disk.rename(path, Path::new(&name))?;
        return Ok(Found::Nothing);
    }
    Ok(found)
}

/// Whether the copy of what is at `source` is at `path`: linked or, where there are no links, copied.
fn has_copy(
    disk: &Disk,
    source: &Path,
    path: &Path,
    rewrite: &Cell<bool>,
) -> Result<bool, StoreError> {
    let is_there = disk.kind(path)?.is_some();
    if !is_there || rewrite.get() || whole::is_like(disk, path, source)? {
        return Ok(is_there);
    }
    let original = MessageFile::open(disk, source).and_then(|file| file.metadata());
    let Some(guid) = original.ok().and_then(|metadata| metadata.guid) else {
        return Ok(true);
    };
    if let Found::Nothing = keep_foreign(disk, path, guid)? {
        return Ok(false);
    }
    whole::doubt(rewrite, path);
    Ok(true)
}

/// Writes a message's file as it was.
fn write(
    disk: &Disk,
    dir: &Path,
    path: &Path,
    added: &Added,
    received: InternalDate,
    parts: &[&[u8]],
) -> Result<(), StoreError> {
    let plain: Vec<Source<'_>> = parts.iter().map(|part| Source::Memory(part)).collect();
    // One that looks compressed must be.
    let compressed = Compression::default().compress(&plain, disk, dir)?;
    let parts = compressed.as_ref().map(|compressed| [compressed.source()]);
    let message = NewMessage {
        parts: parts.as_ref().map_or(&plain[..], |parts| &parts[..]),
        metadata: Metadata {
            guid: Some(added.guid),
            delivery: Some(added.delivery),
            received: Some(received),
            virtual_size: added.message.row().map(|row| row.size),
            plain_size: compressed
                .is_some()
                .then(|| plain.iter().map(Source::size).sum()),
            ..Metadata::default()
        },
        created: added.noted_at,
    };
    let (temporary, _) = message.write(disk, dir)?;
    if let Err(error) = disk.rename(&temporary, path) {
        let _ = disk.unlink(&temporary);
        return Err(error.into());
    }
    Ok(())
}
