//! Names: folders, renames, links, and what makes them durable.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{Disk, about, power::SyncOf};

/// What a name in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Link,
    /// Something else.
    Other,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the folder's path.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
}

/// A file system that is kept open, so that each of its sync's failures is told: one that happened
/// before it was opened would not be.
#[derive(Debug)]
pub struct FileSystem {
    folder: File,
    path: PathBuf,
    disk: Disk,
}

impl FileSystem {
    /// Makes everything on it durable: `syncfs(2)`.
    ///
    /// # Errors
    /// As `syncfs(2)`: what was written since the last one may be lost.
    pub fn sync(&self) -> io::Result<()> {
        let disk = &self.disk;
        disk.point_at("sync_file_system", &self.path)?;
        if disk.sync_recorded(
            "sync_file_system",
            Some(&self.path),
            SyncOf::All(&self.path),
        )? {
            return Ok(());
        }
        rustix::fs::syncfs(&self.folder).map_err(|errno| about(&self.path)(errno.into()))
    }
}

/// Keeps a lock file locked until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A name that no other file of this machine's has: process, time and a counter.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{}.P{}Q{}M{}",
        now.as_secs(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed),
        now.subsec_micros()
    )
}

/// What a process leaves that is killed while it removes a folder: nothing is promised of the order.
fn remove_half(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().take(paths.len().div_ceil(2)) {
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
    }
}

impl Disk {
    /// A path in `dir` for a file under construction. Dovecot removes stale files of this form.
    pub fn temporary_path(dir: &Path) -> PathBuf {
        dir.join(format!("temp.{}", unique()))
    }

    /// Makes a folder, for its owner only.
    ///
    /// # Errors
    /// As `mkdir(2)`.
    pub fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.point_at("create_dir", path)?;
        self.recorded(
            || DirBuilder::new().mode(0o700).create(path),
            |log, ()| log.made_dir(path),
        )
        .map_err(about(path))
    }

    /// Makes a folder and those above it that are missing, and makes them durable.
    ///
    /// # Errors
    /// As `mkdir(2)` and `fsync(2)`.
    pub fn create_dir_all_durably(&self, path: &Path) -> io::Result<()> {
        match self.create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().ok_or(error)?;
                self.create_dir_all_durably(parent)?;
                match self.create_dir(path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                }
            }
            Err(error) => return Err(error),
        }
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    /// Makes the names in a folder durable: what was made, renamed or unlinked in it.
    ///
    /// # Errors
    /// As `open(2)` and `fsync(2)`.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.point_at("sync_dir", path)?;
        if self.sync_recorded("sync_dir", Some(path), SyncOf::Dir(path))? {
            return Ok(());
        }
        let folder = File::open(path).map_err(about(path))?;
        folder.sync_all().map_err(about(path))
    }

    /// The file system of the folder `path`.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn file_system(&self, path: &Path) -> io::Result<FileSystem> {
        self.point_at("open", path)?;
        Ok(FileSystem {
            folder: File::open(path).map_err(about(path))?,
            path: path.to_owned(),
            disk: self.clone(),
        })
    }

    /// Makes everything on the file system of `path` durable: `syncfs(2)`.
    ///
    /// # Errors
    /// As `open(2)` and `syncfs(2)`.
    pub fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.point_at("sync_file_system", path)?;
        if self.sync_recorded("sync_file_system", Some(path), SyncOf::All(path))? {
            return Ok(());
        }
        let folder = File::open(path).map_err(about(path))?;
        rustix::fs::syncfs(folder).map_err(|errno| about(path)(errno.into()))
    }

    /// Renames; an existing `to` is replaced.
    ///
    /// # Errors
    /// As `rename(2)`.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point_at("rename", to)?;
        self.recorded(|| fs::rename(from, to), |log, ()| log.renamed(from, to))
            .map_err(about(to))
    }

    /// Renames unless `to` exists.
    ///
    /// # Errors
    /// As `renameat2(2)`, [`io::ErrorKind::AlreadyExists`] among them.
    pub fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        self.point_at("rename", to)?;
        let rename = || match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system does not know the flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                if fs::symlink_metadata(to).is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                fs::rename(from, to)
            }
            result => result.map_err(io::Error::from),
        };
        self.recorded(rename, |log, ()| log.renamed(from, to))
            .map_err(about(to))
    }

    /// Gives a file a second name.
    ///
    /// # Errors
    /// As `link(2)`.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point_at("link", to)?;
        self.recorded(|| fs::hard_link(from, to), |log, ()| log.linked(from, to))
            .map_err(about(to))
    }

    /// Makes a symbolic link at `path` that says `target`.
    ///
    /// # Errors
    /// As `symlink(2)`.
    pub fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.point_at("symlink", path)?;
        self.recorded(
            || std::os::unix::fs::symlink(target, path),
            |log, ()| log.made_link(target, path),
        )
        .map_err(about(path))
    }

    /// What the symbolic link at `path` says; `None` when it is missing or no link.
    ///
    /// # Errors
    /// As `readlink(2)`.
    pub fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        self.point_at("read_link", path)?;
        match fs::read_link(path) {
            Ok(target) => Ok(Some(target)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(about(path)(error)),
        }
    }

    /// Removes a file's name.
    ///
    /// # Errors
    /// As `unlink(2)`.
    pub fn unlink(&self, path: &Path) -> io::Result<()> {
        self.point_at("unlink", path)?;
        self.recorded(|| fs::remove_file(path), |log, ()| log.removed(path))
            .map_err(about(path))
    }

    /// Removes a file's name if it is there; says whether it was.
    ///
    /// # Errors
    /// As `unlink(2)`.
    pub fn unlink_if_there(&self, path: &Path) -> io::Result<bool> {
        match self.unlink(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As `rmdir(2)`.
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.point_at("remove_dir", path)?;
        self.recorded(|| fs::remove_dir(path), |log, ()| log.removed(path))
            .map_err(about(path))
    }

    /// Removes a folder and all that is in it. One that is killed may leave half of it.
    ///
    /// # Errors
    /// As `rmdir(2)` and `unlink(2)`.
    pub fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        if let Err(strike) = self.strike("remove_dir_all", Some(path)) {
            if strike.died {
                remove_half(path);
            }
            return Err(strike.error);
        }
        self.recorded(|| fs::remove_dir_all(path), |log, ()| log.removed_all(path))
            .map_err(about(path))
    }

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// As `opendir(3)` and `readdir(3)`.
    pub fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.point_at("read_dir", path)?;
        fs::read_dir(path)
            .map_err(about(path))?
            .map(|entry| {
                let entry = entry?;
                let kind = entry.file_type()?;
                let kind = if kind.is_dir() {
                    EntryKind::Dir
                } else if kind.is_file() {
                    EntryKind::File
                } else if kind.is_symlink() {
                    EntryKind::Link
                } else {
                    EntryKind::Other
                };
                Ok(Entry {
                    name: entry.file_name(),
                    kind,
                })
            })
            .collect()
    }

    /// Whether a folder is at `path`, or a link to one.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.point_at("stat", path)?;
        match fs::metadata(path) {
            Ok(found) => Ok(found.is_dir()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(about(path)(error)),
        }
    }

    /// What is at `path`, links not followed; `None` when nothing is.
    ///
    /// # Errors
    /// As `lstat(2)`.
    pub fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.point_at("stat", path)?;
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => Ok(Some(EntryKind::Dir)),
            Ok(found) if found.is_file() => Ok(Some(EntryKind::File)),
            Ok(found) if found.is_symlink() => Ok(Some(EntryKind::Link)),
            Ok(_) => Ok(Some(EntryKind::Other)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(about(path)(error)),
        }
    }

    /// Identity of what is at `path` (device and inode): equal for two names of one file.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        self.point_at("stat", path)?;
        let found = fs::metadata(path).map_err(about(path))?;
        Ok((found.dev(), found.ino()))
    }

    /// Writes a whole file so that, whatever happens, its old or its new content is there, and the
    /// new one once this returns.
    ///
    /// # Errors
    /// As the calls it makes; the old content stays.
    pub fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes, true)
    }

    /// Writes a whole file so that its old or its new content is there unless the machine fails.
    ///
    /// # Errors
    /// As the calls it makes; the old content stays.
    pub fn write_unsynced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes, false)
    }

    fn replace(&self, path: &Path, bytes: &[u8], durably: bool) -> io::Result<()> {
        let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let temporary = Self::temporary_path(dir);
        let mut file = self.create_new(&temporary)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| if durably { file.sync_all() } else { Ok(()) })
            .and_then(|()| self.rename(&temporary, path));
        if let Err(error) = written {
            let _ = self.unlink(&temporary);
            return Err(error);
        }
        if durably { self.sync_dir(dir) } else { Ok(()) }
    }

    /// Locks `path` (made when missing) against other processes; `None` when one has it.
    ///
    /// # Errors
    /// As `open(2)` and `flock(2)`.
    pub fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.point_at("lock", path)?;
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = self
            .recorded(
                || options.open(path),
                |log, _| {
                    log.opened_or_made(path);
                },
            )
            .map_err(about(path))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
