//! The spool directory.

use std::{
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use facteur_disk::{Disk, DiskFile};

use crate::{
    BodyReader, Change, Entries, Entry, Log, Logged, QueueId, SpoolError,
    format::{self, Head},
    reader::Cursor,
};

/// How many directories the files are spread over.
pub(crate) const SHARDS: usize = 32;
/// What the file of a waiting message ends in.
pub(crate) const MESSAGE: &str = "msg";
/// What the name of a file begins with while it is written ([`Disk::temporary_path`]).
const TEMPORARY: &str = "temp.";
/// Where damaged files go.
const DAMAGED: &str = "damaged";
/// Bytes copied at a time.
const CHUNK: usize = 64 * 1024;

/// The spool. Clones are the same spool. Every call may block on the disk.
#[derive(Debug, Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Disk,
    directory: PathBuf,
    /// Held while a file's records are appended to, or while it goes: one for each shard.
    changing: [Mutex<()>; SHARDS],
    log: OnceLock<Arc<dyn Log>>,
}

/// An entry under a temporary name.
#[derive(Debug)]
pub struct Staged {
    disk: Disk,
    temporary: PathBuf,
    path: PathBuf,
    /// It stays under the temporary name when this is dropped.
    kept: bool,
}

impl Staged {
    /// The temporary name.
    pub fn name(&self) -> &str {
        self.temporary
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// Puts it into the spool; one that is there under its queue id is replaced. It is durable with
    /// what is synced later.
    ///
    /// # Errors
    /// When the disk fails. It stays under its temporary name then: what was promised may be
    /// nowhere else ([`Spool::staged_as`]).
    pub fn install(mut self) -> Result<(), SpoolError> {
        self.kept = true;
        Ok(self.disk.rename(&self.temporary, &self.path)?)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: the next start removes it too.
            let _ = self.disk.unlink(&self.temporary);
        }
    }
}

impl Spool {
    /// Opens it, making it when it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made, read or synced.
    pub fn open(disk: Disk, directory: &Path) -> Result<Self, SpoolError> {
        disk.create_dir_all_durably(&directory.join(DAMAGED))?;
        for shard in 0..SHARDS {
            let shard = directory.join(shard_name(shard));
            match disk.create_dir(&shard) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        disk.sync_dir(directory)?;
        Ok(Self {
            inner: Arc::new(Inner {
                disk,
                directory: directory.to_owned(),
                changing: [const { Mutex::new(()) }; SHARDS],
                log: OnceLock::new(),
            }),
        })
    }

    /// Has every change made durable by `log` from now on; the first call counts. Without a log a
    /// change is durable with what is synced later.
    pub fn set_log(&self, log: Arc<dyn Log>) {
        // A second log would split the order of changes in two.
        let _ = self.inner.log.set(log);
    }

    /// Writes an entry with its body under a temporary name; with `synced` file and name are
    /// durable. It is in the spool once it is [installed](Staged::install), and gone when it is
    /// dropped instead.
    ///
    /// # Errors
    /// [`SpoolError::Length`] when the body is not `entry.size` long; when the disk fails.
    pub fn stage(
        &self,
        entry: &Entry,
        body: &mut dyn Read,
        synced: bool,
    ) -> Result<Staged, SpoolError> {
        let header = serde_json::to_vec(entry).map_err(io::Error::from)?;
        let head = format::encode_head(&header, &[entry.size])?;
        let id = &entry.queue_id;
        let disk = &self.inner.disk;
        let temporary = Disk::temporary_path(&self.shard_path(id));
        let mut file = disk.create_new(&temporary)?;
        let staged = self.staged(id, temporary);
        fill(&mut file, head, &mut [(body, entry.size)])?;
        if synced {
            file.sync_data()?;
            disk.sync_dir(&self.shard_path(id))?;
        }
        Ok(staged)
    }

    /// An entry that an earlier process staged with the temporary name `name`.
    pub fn staged_as(&self, id: &QueueId, name: &str) -> Option<Staged> {
        let plain = name.starts_with(TEMPORARY) && !name.contains('/');
        plain.then(|| self.staged(id, self.shard_path(id).join(name)))
    }

    fn staged(&self, id: &QueueId, temporary: PathBuf) -> Staged {
        Staged {
            disk: self.inner.disk.clone(),
            temporary,
            path: self.path(id, MESSAGE),
            kept: false,
        }
    }

    /// Removes what interrupted writes left behind. Nothing may be staged meanwhile.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn remove_temporary(&self) -> Result<(), SpoolError> {
        let disk = &self.inner.disk;
        for shard in 0..SHARDS {
            let shard = self.inner.directory.join(shard_name(shard));
            for name in names(disk, &shard)? {
                if name.starts_with(TEMPORARY) {
                    disk.unlink_if_there(&shard.join(name))?;
                }
            }
        }
        Ok(())
    }

    /// Changes an entry durably. One that has no recipient left stays, until it is removed.
    ///
    /// # Errors
    /// [`SpoolError::Gone`] when there is none; when the disk fails.
    pub fn update(&self, id: &QueueId, change: &Change) -> Result<(), SpoolError> {
        if !self.is_there(id)? {
            return Err(SpoolError::Gone);
        }
        self.logged(Logged::Update(id, change))
    }

    /// Removes an entry durably; says whether it was there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, id: &QueueId) -> Result<bool, SpoolError> {
        if !self.is_there(id)? {
            return Ok(false);
        }
        match self.logged(Logged::Remove(id)) {
            Ok(()) => Ok(true),
            Err(SpoolError::Gone) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn logged(&self, change: Logged<'_>) -> Result<(), SpoolError> {
        match self.inner.log.get() {
            Some(log) => log.logged(change, &mut || self.redo(change)),
            None => self.redo(change),
        }
    }

    /// Does a change that is durable elsewhere to the files; done twice it is as done once.
    ///
    /// # Errors
    /// [`SpoolError::Gone`] when there is no such entry; when the disk fails.
    pub fn redo(&self, change: Logged<'_>) -> Result<(), SpoolError> {
        match change {
            Logged::Update(id, change) => {
                let content = serde_json::to_vec(change).map_err(io::Error::from)?;
                self.append(id, &content)
            }
            Logged::Remove(id) => {
                let _changing = self.changing(id);
                match self.inner.disk.unlink_if_there(&self.path(id, MESSAGE))? {
                    true => Ok(()),
                    false => Err(SpoolError::Gone),
                }
            }
        }
    }

    fn is_there(&self, id: &QueueId) -> Result<bool, SpoolError> {
        Ok(self.inner.disk.kind(&self.path(id, MESSAGE))?.is_some())
    }

    /// The entry as it stands.
    ///
    /// # Errors
    /// [`SpoolError::Gone`] when there is none; when it is damaged, or the disk fails.
    pub fn entry(&self, id: &QueueId) -> Result<Entry, SpoolError> {
        let (head, file) = self.open_file(id, MESSAGE)?;
        let mut entry: Entry = serde_json::from_slice(&head.header)
            .map_err(|_| SpoolError::Damaged("the envelope cannot be read"))?;
        if entry.queue_id != *id {
            return Err(SpoolError::Damaged("the envelope is of another message"));
        }
        each_record(&head, &file, |record| {
            let change: Change = serde_json::from_slice(record)
                .map_err(|_| SpoolError::Damaged("a change cannot be read"))?;
            change.apply(&mut entry);
            Ok(())
        })?;
        Ok(entry)
    }

    /// Opens an entry's body.
    ///
    /// # Errors
    /// [`SpoolError::Gone`] when there is none; when it is damaged, or the disk fails.
    pub fn body(&self, id: &QueueId) -> Result<BodyReader, SpoolError> {
        let (head, file) = self.open_file(id, MESSAGE)?;
        BodyReader::new(file, &head, 0)
    }

    /// Every entry, one at a time. What is damaged is reported, set aside, and left out.
    pub fn entries(&self) -> Entries {
        Entries::new(self.clone())
    }

    /// Appends a record.
    fn append(&self, id: &QueueId, content: &[u8]) -> Result<(), SpoolError> {
        let record = format::encode_record(content)?;
        let _changing = self.changing(id);
        let (head, file) = self.open_with(id, MESSAGE, Disk::open_to_change)?;
        let end = each_record(&head, &file, |_| Ok(()))?;
        // A record cut short by a crash may stand there.
        if file.size()? != end {
            file.set_len(end)?;
        }
        let written = file.write_all_at(&record, end);
        if written.is_err() {
            // What is said not to have happened must not be read: best effort.
            let _ = file.set_len(end);
        }
        Ok(written?)
    }

    /// Opens a file for reading and reads its head.
    pub(crate) fn open_file(
        &self,
        id: &QueueId,
        kind: &str,
    ) -> Result<(Head, DiskFile), SpoolError> {
        self.open_with(id, kind, Disk::open)
    }

    fn open_with(
        &self,
        id: &QueueId,
        kind: &str,
        open: fn(&Disk, &Path) -> io::Result<DiskFile>,
    ) -> Result<(Head, DiskFile), SpoolError> {
        let file =
            open(&self.inner.disk, &self.path(id, kind)).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => SpoolError::Gone,
                _ => SpoolError::Io(error),
            })?;
        let head = Head::read(&mut BufReader::new(Cursor::new(&file, 0)))?;
        if file.size()? < head.records_at() {
            return Err(SpoolError::Damaged("it ends too early"));
        }
        Ok((head, file))
    }

    /// Moves a damaged file out of the way.
    pub(crate) fn set_aside(&self, shard: usize, name: &str) -> Result<(), SpoolError> {
        let disk = &self.inner.disk;
        let from = self.inner.directory.join(shard_name(shard));
        let to = self.inner.directory.join(DAMAGED);
        disk.rename(&from.join(name), &to.join(name))?;
        disk.sync_dir(&to)?;
        Ok(disk.sync_dir(&from)?)
    }

    /// The names of a shard's files.
    pub(crate) fn names(&self, shard: usize) -> Result<Vec<String>, SpoolError> {
        let shard = self.inner.directory.join(shard_name(shard));
        Ok(names(&self.inner.disk, &shard)?)
    }

    fn changing(&self, id: &QueueId) -> MutexGuard<'_, ()> {
        let [first, rest @ ..] = &self.inner.changing;
        let lock = shard_of(id).checked_sub(1).and_then(|n| rest.get(n));
        // What it guards is the file: a panic elsewhere does not spoil that.
        lock.unwrap_or(first)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shard_path(&self, id: &QueueId) -> PathBuf {
        self.inner.directory.join(shard_name(shard_of(id)))
    }

    fn path(&self, id: &QueueId, kind: &str) -> PathBuf {
        self.shard_path(id).join(format!("{id}.{kind}"))
    }
}

/// Calls `visit` with each whole record; says where the next one goes.
fn each_record(
    head: &Head,
    file: &DiskFile,
    mut visit: impl FnMut(&[u8]) -> Result<(), SpoolError>,
) -> Result<u64, SpoolError> {
    let mut end = head.records_at();
    let mut records = BufReader::new(Cursor::new(file, end));
    while let Some((content, taken)) = format::read_record(&mut records)? {
        visit(&content)?;
        end += taken;
    }
    Ok(end)
}

fn fill(
    file: &mut DiskFile,
    head: Vec<u8>,
    bodies: &mut [(&mut dyn Read, u64)],
) -> Result<(), SpoolError> {
    let mut buffer = head;
    for (body, length) in bodies {
        // One byte more than announced, to notice a body that is too long.
        let mut limited = body.take(length.saturating_add(1));
        let mut actual = 0;
        loop {
            let room = (CHUNK as u64).saturating_sub(buffer.len() as u64).max(1);
            let count = (&mut limited).take(room).read_to_end(&mut buffer)? as u64;
            actual += count;
            if count == 0 {
                break;
            }
            if buffer.len() >= CHUNK {
                file.write_all(&buffer)?;
                buffer.clear();
            }
        }
        if actual != *length {
            return Err(SpoolError::Length {
                expected: *length,
                actual,
            });
        }
    }
    Ok(file.write_all(&buffer)?)
}

/// The names in a directory that could be ours.
fn names(disk: &Disk, directory: &Path) -> io::Result<Vec<String>> {
    let found = disk.read_dir(directory)?;
    Ok(found
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok())
        .collect())
}

fn shard_name(shard: usize) -> String {
    format!("{shard:02}")
}

/// By the last digits of the queue id, which are random.
pub(crate) fn shard_of(id: &QueueId) -> usize {
    let last = id.as_str().bytes().rev().take(2);
    last.fold(0, |sum, digit| sum * 11 + usize::from(digit)) % SHARDS
}
