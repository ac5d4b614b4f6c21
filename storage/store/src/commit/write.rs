//! The messages' files, under temporary names before anything is locked.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use facteur_disk::{Disk, DiskFile};
use facteur_message::{Limits, Scanned, Scanner};
use facteur_model::{Guid, InternalDate, MailboxName};
use facteur_sdbox::{Metadata, NewMessage, Source};

use super::Owners;
use crate::{Append, Batch, Body, StoreError, read, record::Content, shared::Shared};

/// A message's file under its temporary name, which goes if it gets no other.
pub(super) struct Written {
    disk: Disk,
    /// While it has no other.
    pub(super) path: Option<PathBuf>,
    pub(super) scanned: Scanned,
    pub(super) guid: Guid,
    pub(super) content: Content,
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = self.disk.unlink_if_there(path);
        }
    }
}

/// The bodies that go into the journal, each once.
#[derive(Default)]
pub(super) struct Bodies<'a> {
    bodies: Vec<&'a Body>,
    pub(super) bytes: Vec<&'a [u8]>,
}

impl<'a> Bodies<'a> {
    /// Where a body is in the journal; `None` when it is too large for it.
    pub(super) fn inline(&mut self, body: &'a Body, prefix: &[u8]) -> Option<Content> {
        let Body::Memory(bytes) = body else {
            return None;
        };
        let known = self.bodies.iter().position(|known| known.is_same(body));
        let number = known.unwrap_or_else(|| {
            self.bodies.push(body);
            self.bytes.push(bytes);
            self.bodies.len() - 1
        });
        Some(Content::Inline {
            prefix: prefix.to_vec(),
            body: u32::try_from(number).ok()?,
        })
    }

    pub(super) fn lengths(&self) -> Vec<u64> {
        self.bytes.iter().map(|bytes| bytes.len() as u64).collect()
    }
}

/// Files that are written before they are synced: one sync then pays for most of the others.
const SYNCED_TOGETHER: usize = 64;

/// Writes every message under a temporary name in its mailbox; in INBOX while that is still to be
/// made. Those that are too large for the journal are durable there.
pub(super) fn write<'a>(
    shared: &Shared,
    batch: &'a Batch,
    owners: &Owners,
    bodies: &mut Bodies<'a>,
) -> Result<Vec<Written>, StoreError> {
    let created = InternalDate::from(SystemTime::now()).unix();
    let mut written = Vec::with_capacity(batch.appends.len());
    let mut dirs = BTreeSet::new();
    for appends in batch.appends.chunks(SYNCED_TOGETHER) {
        let mut large = Vec::new();
        for append in appends {
            let owner = owners.get(&append.account.id).ok_or(StoreError::Gone)?;
            let mut dir = owner.layout.mails(&append.mailbox);
            let (mut one, file) = match write_one(shared, &dir, append, created) {
                Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    dir = owner.layout.mails(&MailboxName::inbox());
                    write_one(shared, &dir, append, created)?
                }
                result => result?,
            };
            match bodies.inline(&append.body, &append.prefix) {
                Some(inline) => one.content = inline,
                None => {
                    large.push(file);
                    dirs.insert(dir);
                }
            }
            written.push(one);
        }
        for file in large {
            file.sync_all()?;
        }
    }
    for dir in dirs {
        shared.disk.sync_dir(&dir)?;
    }
    Ok(written)
}

/// Whether the files are still where they were written.
pub(super) fn all_there(shared: &Shared, written: &[Written]) -> Result<bool, StoreError> {
    for path in written.iter().filter_map(|written| written.path.as_deref()) {
        if shared.disk.kind(path)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
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
    let name = path.file_name().and_then(|name| name.to_str());
    let content = Content::File {
        name: name.unwrap_or_default().to_owned(),
    };
    let written = Written {
        disk: shared.disk.clone(),
        path: Some(path),
        scanned,
        guid,
        content,
    };
    Ok((written, file))
}
