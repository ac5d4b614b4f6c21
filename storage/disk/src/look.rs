//! Looking at folders: many names at once, and when they changed.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Dir, FileType};

use crate::{Disk, EntryKind, about};

/// When a file or folder was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Its content: of a folder, the names in it.
    pub modified: SystemTime,
    /// Its content or its attributes, its name among them.
    pub changed: SystemTime,
}

impl Disk {
    /// Calls `see` with each name in a folder, in no order, without keeping them.
    ///
    /// # Errors
    /// As `opendir(3)` and `readdir(3)`; what was seen until then was there.
    pub fn each_name(&self, path: &Path, mut see: impl FnMut(&[u8], EntryKind)) -> io::Result<()> {
        self.point_at("read_dir", path)?;
        let dir = File::open(path).map_err(about(path))?;
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Dir,
                FileType::Symlink => EntryKind::Link,
                // Some file systems do not say.
                FileType::Unknown => {
                    let name = OsStr::from_bytes(name);
                    match self.kind(&path.join(name))? {
                        Some(kind) => kind,
                        None => continue,
                    }
                }
                _ => EntryKind::Other,
            };
            see(name, kind);
        }
        Ok(())
    }

    /// When what is at `path` was changed last; `None` when nothing is.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn times(&self, path: &Path) -> io::Result<Option<Times>> {
        self.point_at("stat", path)?;
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(about(path))?,
        };
        let time = |seconds: i64, nanos: i64| {
            let at = Duration::from_secs(seconds.unsigned_abs());
            let nanos = Duration::from_nanos(nanos.unsigned_abs());
            match seconds {
                ..0 => UNIX_EPOCH.checked_sub(at),
                _ => UNIX_EPOCH.checked_add(at),
            }
            .and_then(|time| time.checked_add(nanos))
            .unwrap_or(UNIX_EPOCH)
        };
        Ok(Some(Times {
            modified: time(found.mtime(), found.mtime_nsec()),
            changed: time(found.ctime(), found.ctime_nsec()),
        }))
    }

    /// When what is at `path` was made there, under whatever name; `None` when nothing is, or its file
    /// system does not say.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn made(&self, path: &Path) -> io::Result<Option<SystemTime>> {
        self.point_at("stat", path)?;
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => Ok(found?.created().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_are_those_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        fs::write(dir.path().join("file"), "").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
        let mut seen = Vec::new();
        disk.each_name(dir.path(), |name, kind| seen.push((name.to_vec(), kind)))
            .unwrap();
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            (b"file".to_vec(), EntryKind::File),
            (b"folder".to_vec(), EntryKind::Dir),
            (b"link".to_vec(), EntryKind::Link),
        ];
        assert_eq!(seen, expected);
        for time in [
            UNIX_EPOCH + Duration::new(1_700_000_000, 5),
            UNIX_EPOCH - Duration::new(3, 4),
        ] {
            File::open(dir.path()).unwrap().set_modified(time).unwrap();
            assert_eq!(disk.times(dir.path()).unwrap().unwrap().modified, time);
        }
        assert_eq!(disk.times(&dir.path().join("none")).unwrap(), None);
        let missing = disk.each_name(&dir.path().join("none"), |_, _| ());
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
