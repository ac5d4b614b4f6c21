//! Whether a folder may have changed, from the times of `new/` and `cur/`: without reading them.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use facteur_disk::{Disk, EntryKind};

use crate::{BaseNames, Place};

/// A second change within this time of the first may leave the folder's time as it is: clocks have
/// a grain, and the file server's may be another one.
const GRAIN: Duration = Duration::from_secs(1);

/// Files in `tmp/` older than this are nobody's: the Maildir specification's 36 hours.
const TMP_AGE: Duration = Duration::from_secs(36 * 60 * 60);

/// What the times of `new/` and `cur/` were when the folder was looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    new: Option<SystemTime>,
    cur: Option<SystemTime>,
    at: SystemTime,
}

impl Stamps {
    /// Takes them, just before the folder is looked through.
    ///
    /// Taken after a change of our own they say that we know of it; since others may have changed
    /// the folder in the same moment, they are good for a second only.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn take(disk: &Disk, folder: &Path, now: SystemTime) -> io::Result<Self> {
        let modified = |place: Place| {
            let times = disk.times(&place.of(folder))?;
            Ok::<_, io::Error>(times.map(|times| times.modified))
        };
        Ok(Self {
            new: modified(Place::New)?,
            cur: modified(Place::Cur)?,
            at: now,
        })
    }

    /// Whether the folder must be looked through again: something changed, or may have changed right
    /// after it was looked through.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn are_old(&self, disk: &Disk, folder: &Path, now: SystemTime) -> io::Result<bool> {
        let found = Self::take(disk, folder, self.at)?;
        Ok(found != *self || (!self.are_settled() && now > self.at + GRAIN))
    }

    /// Whether the last change was long enough ago to be the last one.
    pub fn are_settled(&self) -> bool {
        // Whoever owns the folder may give it any time, also one that ends the calendar.
        let settled = |modified: SystemTime| {
            let end = modified.checked_add(GRAIN);
            end.is_some_and(|end| end < self.at)
        };
        [self.new, self.cur].into_iter().flatten().all(settled)
    }

    pub(crate) fn same_times(&self, other: &Self) -> bool {
        (self.new, self.cur) == (other.new, other.cur)
    }
}

/// Removes files from the folder's `tmp/` that nobody is writing any more.
///
/// # Errors
/// When it cannot be read.
pub fn clean_tmp(disk: &Disk, folder: &Path, now: SystemTime) -> io::Result<()> {
    let tmp = folder.join("tmp");
    let entries = match disk.read_dir(&tmp) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let is_old = |path: &PathBuf| {
        let times = disk.times(path).ok().flatten();
        let end = times.and_then(|times| times.changed.checked_add(TMP_AGE));
        end.is_some_and(|end| end < now)
    };
    let is_ours = |name: &OsStr| BaseNames::mark(name.as_bytes()).is_some();
    let files = entries
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::File && !is_ours(&entry.name));
    for path in files.map(|entry| tmp.join(entry.name)).filter(is_old) {
        if let Err(error) = disk.unlink_if_there(&path) {
            tracing::warn!(path = %path.display(), %error, "left-over file cannot be removed");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["new", "cur", "tmp"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        dir
    }

    fn set_time(path: &Path, time: SystemTime) {
        std::fs::File::open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    #[test]
    fn a_folder_is_read_again_once_after_a_change_in_the_same_second() {
        let dir = folder();
        let disk = Disk::real();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let after = |millis| start + Duration::from_millis(millis);
        for sub in ["new", "cur"] {
            set_time(&dir.path().join(sub), start);
        }
        let old = |stamps: &Stamps, now| stamps.are_old(&disk, dir.path(), now).unwrap();
        let stamps = Stamps::take(&disk, dir.path(), after(500)).unwrap();
        assert!(!old(&stamps, after(1400)));
        assert!(old(&stamps, after(1501)));
        let stamps = Stamps::take(&disk, dir.path(), after(1600)).unwrap();
        assert!(stamps.are_settled());
        assert!(!old(&stamps, after(1_000_000)));
        for sub in ["new", "cur"] {
            set_time(&dir.path().join(sub), after(1));
            assert!(old(&stamps, after(1600)), "{sub}");
            set_time(&dir.path().join(sub), start);
        }
        std::fs::remove_dir(dir.path().join("cur")).unwrap();
        assert!(old(&stamps, after(1600)));
    }

    #[test]
    fn a_time_that_ends_the_calendar_is_not_settled() {
        let last = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(i64::MAX.unsigned_abs()));
        let stamps = Stamps {
            new: Some(SystemTime::UNIX_EPOCH),
            cur: last,
            at: SystemTime::now(),
        };
        assert!(last.is_some() && !stamps.are_settled());
    }

    #[test]
    fn only_old_files_leave_tmp() {
        let dir = folder();
        std::fs::write(dir.path().join("tmp/1.h"), "").unwrap();
        std::fs::create_dir(dir.path().join("tmp/folder")).unwrap();
        let left = || std::fs::read_dir(dir.path().join("tmp")).unwrap().count();
        let clean = |now| clean_tmp(&Disk::real(), dir.path(), now).unwrap();
        clean(SystemTime::now() + Duration::from_secs(35 * 3600));
        assert_eq!(left(), 2);
        clean(SystemTime::now() + Duration::from_secs(37 * 3600));
        assert_eq!(left(), 1);
        std::fs::remove_dir_all(dir.path().join("tmp")).unwrap();
        clean(SystemTime::now());
    }
}
