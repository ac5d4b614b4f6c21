//! The messages' files, durable under temporary names before anything is locked.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use facteur_disk::{Disk, DiskFile};
use facteur_index::{Details, Parts};
use facteur_message::{Limits, Scanned, Scanner};
use facteur_model::{Guid, InternalDate, MailboxName};
use facteur_sdbox::{Metadata, NewMessage, Source};

use super::Owners;
use crate::{Append, Batch, Body, StoreError, read, shared::Shared};

/// A message's file under its temporary name, which goes if it gets no other.
pub(super) struct Written {
    disk: Disk,
    /// While it has no other.
    pub(super) path: Option<PathBuf>,
    pub(super) scanned: Scanned,
    guid: Guid,
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = self.disk.unlink_if_there(path);
        }
    }
}

/// Files that are written before they are synced: one sync then pays for most of the others.
const SYNCED_TOGETHER: usize = 64;

/// Writes every message durably, under temporary names in its mailbox; in INBOX while that is still
/// to be made.
pub(super) fn write(
    shared: &Shared,
    batch: &Batch,
    owners: &Owners,
) -> Result<Vec<Written>, StoreError> {
    let created = InternalDate::from(SystemTime::now()).unix();
    let mut written = Vec::with_capacity(batch.appends.len());
    for appends in batch.appends.chunks(SYNCED_TOGETHER) {
        let mut files = Vec::with_capacity(appends.len());
        for append in appends {
            let owner = owners.get(&append.account.id).ok_or(StoreError::Gone)?;
            let dir = owner.layout.mails(&append.mailbox);
            let (one, file) = match write_one(shared, &dir, append, created) {
                Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    let inbox = owner.layout.mails(&MailboxName::inbox());
                    write_one(shared, &inbox, append, created)?
                }
                result => result?,
            };
            written.push(one);
            files.push(file);
        }
        for file in files {
            file.sync_all()?;
        }
    }
    Ok(written)
}

fn write_one(
    shared: &Shared,
    dir: &Path,
    append: &Append,
    created: i64,
) -> Result<(Written, DiskFile), StoreError> {
    let mut scanner = Scanner::new(Limits::default());
    scanner.push(&append.prefix);
    let body = match &append.body {
        Body::Memory(bytes) => {
            scanner.push(bytes);
            Source::Memory(bytes)
        }
        Body::File(staged) => {
            read::push_all(&mut scanner, &mut append.body.reader()?)?;
            Source::File(&staged.file, staged.size)
        }
    };
    let scanned = scanner.finish();
    let guid = Guid::random()?;
    let plain = [Source::Memory(&append.prefix), body];
    let compressed = shared
        .compression
        .compress(&plain, &shared.disk, &shared.staging)?;
    let parts = compressed.as_ref().map(|compressed| [compressed.source()]);
    let message = NewMessage {
        parts: parts.as_ref().map_or(&plain[..], |parts| &parts[..]),
        metadata: Metadata {
            guid: Some(guid),
            delivery: Some(append.delivery),
            received: Some(append.internal_date),
            virtual_size: Some(scanned.size),
            plain_size: compressed.is_some().then_some(scanned.stored_size),
            ..Metadata::default()
        },
        created,
    };
    let (path, file) = message.write(&shared.disk, dir)?;
    let written = Written {
        disk: shared.disk.clone(),
        path: Some(path),
        scanned,
        guid,
    };
    Ok((written, file))
}

impl Written {
    /// What the index keeps of it.
    pub(super) fn details(&self) -> Details<'_> {
        Details {
            guid: self.guid,
            parts: Parts {
                envelope: &self.scanned.envelope,
                body_structure: &self.scanned.body_structure,
                body: &self.scanned.body,
            },
        }
    }
}
