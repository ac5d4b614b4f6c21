//! The messages' files, under temporary names before anything is locked.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use facteur_disk::{Disk, DiskFile};
use facteur_message::{Limits, Scanned, Scanner};
use facteur_model::{Guid, InternalDate, MailFormat, MailboxName};
use facteur_sdbox::{Metadata, NewMessage, Source};

use super::{Failed, NotCommitted, Owners};
use crate::{Append, Batch, Body, StoreError, owner::Owner, read, record::Content, shared::Shared};

/// A message's file under its temporary name, which goes if it gets no other.
pub(super) struct Written {
    disk: Disk,
    /// While it has no other.
    pub(super) path: Option<PathBuf>,
    pub(super) scanned: Scanned,
    pub(super) guid: Guid,
    pub(super) content: Content,
    /// Whether its file alone has it: it is too large for the journal.
    pub(super) is_large: bool,
    /// Whether it lies in INBOX because its mailbox was not there.
    pub(super) is_elsewhere: bool,
    /// What stays of its file's name, in a Maildir.
    pub(super) base: String,
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

/// An account whose INBOX is not there has lost its home, or the disk with it is not mounted: the
/// operator is told which.
fn without_home(home: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            let missing = format!("the mail home {} is missing or not whole", home.display());
            StoreError::Io(io::Error::new(error.kind(), missing))
        }
        other => other,
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
) -> Result<Vec<Written>, NotCommitted> {
    let created = InternalDate::from(SystemTime::now()).unix();
    let mut written = Vec::with_capacity(batch.appends.len());
    let mut dirs = BTreeMap::new();
    let mut failed = Failed::default();
    for appends in batch.appends.chunks(SYNCED_TOGETHER) {
        let mut large = Vec::new();
        for append in appends {
            let id = &append.account.id;
            if failed.has(id) {
                continue;
            }
            let owner = owners.get(id).ok_or(StoreError::Gone)?;
            let (mut one, file, dir) = match write_somewhere(shared, owner, append, created) {
                Ok(written) => written,
                Err(cause) => {
                    failed.note(id, cause);
                    continue;
                }
            };
            match bodies.inline(&append.body, &append.prefix) {
                Some(inline) => one.content = inline,
                None => {
                    one.is_large = true;
                    large.push((id, file));
                    dirs.insert(dir, id);
                }
            }
            written.push(one);
        }
        for (id, file) in large {
            file.sync_all()
                .map_err(|error| NotCommitted::of(id)(error.into()))?;
        }
    }
    for (dir, id) in dirs {
        let synced = shared.disk.sync_dir(&dir);
        synced.map_err(|error| NotCommitted::of(id)(error.into()))?;
    }
    failed.or(written)
}

/// Writes a message in its mailbox, or in INBOX; says in which folder it lies now.
fn write_somewhere(
    shared: &Shared,
    owner: &Owner,
    append: &Append,
    created: i64,
) -> Result<(Written, DiskFile, PathBuf), StoreError> {
    let format = owner.layout.format();
    let dir = owner.layout.tmp(&append.mailbox);
    match write_one(shared, (format, &dir), append, created) {
        Err(error) if error.is_not_found() => {
            let dir = owner.layout.tmp(&MailboxName::inbox());
            let (mut one, file) = write_one(shared, (format, &dir), append, created)
                .map_err(|error| without_home(owner.layout.home(), error))?;
            one.is_elsewhere = true;
            Ok((one, file, dir))
        }
        written => written.map(|(one, file)| (one, file, dir)),
    }
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
    (format, dir): (MailFormat, &Path),
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
    let plain = [Source::Memory(&append.prefix), body];
    let compressed = shared
        .compression
        .compress(&plain, &shared.disk, &shared.staging)?;
    let parts = compressed.as_ref().map(|compressed| [compressed.source()]);
    let parts = parts.as_ref().map_or(&plain[..], |parts| &parts[..]);
    let (path, file, guid, base) = match format {
        MailFormat::Sdbox => {
            let guid = Guid::random()?;
            let plain_size = compressed.is_some().then_some(scanned.stored_size);
            let sizes = (scanned.size, plain_size);
            let (path, file) = write_sdbox(shared, dir, append, (parts, sizes, created), guid)?;
            (path, file, guid, String::new())
        }
        MailFormat::Maildir => {
            let base = shared.names.next(SystemTime::now(), append.delivery);
            let message = facteur_maildir::NewMessage {
                parts,
                received: append.internal_date,
            };
            let (path, file) = message.write(&shared.disk, dir, &base)?;
            let base = format!("{base},S={},W={}", scanned.stored_size, scanned.size);
            (path, file, facteur_maildir::guid_of(base.as_bytes()), base)
        }
    };
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
        is_large: false,
        is_elsewhere: false,
        base,
    };
    Ok((written, file))
}

fn write_sdbox(
    shared: &Shared,
    dir: &Path,
    append: &Append,
    (parts, (size, plain_size), created): (&[Source<'_>], (u64, Option<u64>), i64),
    guid: Guid,
) -> io::Result<(PathBuf, DiskFile)> {
    let message = NewMessage {
        parts,
        metadata: Metadata {
            guid: Some(guid),
            delivery: Some(append.delivery),
            received: Some(append.internal_date),
            virtual_size: Some(size),
            plain_size,
            ..Metadata::default()
        },
        created,
    };
    message.write(&shared.disk, dir)
}
