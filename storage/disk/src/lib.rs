//! The one module that touches files.
//!
//! Everything the storage crates do to a disk goes through a [`Disk`], so that a test can make any
//! one call fail, "kill" the process before it ([`Disk::failing`], [`Disk::crashing`]), or see what a
//! power loss would leave ([`Disk::recording`]). What the
//! bytes mean belongs to the callers. Calls map one to one onto system calls; a call that makes,
//! moves or removes a name does **not** sync the folder: callers say [`Disk::sync_dir`] when they
//! need it, and [`Disk::write_atomically`] does all of it.

mod at_hand;
mod faults;
mod file;
mod look;
mod names;
mod notify;
mod power;
mod space;

pub use faults::Faults;
pub use file::DiskFile;
pub use look::Times;
pub use names::{Entry, EntryKind, FileSystem, Lock};
pub use notify::{Happened, Notify, WatchId};
pub use power::{PowerLoss, Sync};

use std::{io, path::Path, sync::Arc};

use crate::faults::{Strike, When};

/// Access to the file system. Clones are cheap and share the same faults.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    faults: Option<Arc<Faults>>,
    recorder: Option<Arc<power::Recorder>>,
    skips_syncs: bool,
}

impl Disk {
    /// The real disk, without faults.
    pub fn real() -> Self {
        Self::default()
    }

    /// For tests: a disk whose `call`-th call (from 0) fails with `kind`, and no other.
    pub fn failing(call: u64, kind: io::ErrorKind) -> (Self, Arc<Faults>) {
        Self::failing_calls([call], kind)
    }

    /// For tests: a disk whose calls with these numbers (from 0) fail with `kind`, and no others.
    pub fn failing_calls(
        calls: impl IntoIterator<Item = u64>,
        kind: io::ErrorKind,
    ) -> (Self, Arc<Faults>) {
        let when = When::Calls(calls.into_iter().collect());
        Self::with(Faults::new(when, kind, false))
    }

    /// For tests: a disk on which the process is killed just before call `call` (from 0): that call
    /// and all later ones do nothing and fail. A write that is killed may leave its first half.
    pub fn crashing(call: u64) -> (Self, Arc<Faults>) {
        let when = When::Calls([call].into());
        Self::with(Faults::new(when, io::ErrorKind::Other, true))
    }

    /// For tests: as [`Disk::crashing`], at the `nth` call (from 0) of those named `name`.
    pub fn crashing_at(name: &'static str, nth: u64) -> (Self, Arc<Faults>) {
        let when = When::Nth(name, nth);
        Self::with(Faults::new(when, io::ErrorKind::Other, true))
    }

    /// The same disk, whose syncs are counted, may fail, and do nothing else: a power loss may take
    /// anything. For tests in which no machine dies, and for whoever wants it so (`mail_fsync = "never"`):
    /// thousands of runs are then a matter of seconds.
    #[must_use]
    pub fn without_syncs(mut self) -> Self {
        self.skips_syncs = true;
        self
    }

    fn with(faults: Faults) -> (Self, Arc<Faults>) {
        let faults = Arc::new(faults);
        let disk = Self {
            faults: Some(Arc::clone(&faults)),
            ..Self::default()
        };
        (disk, faults)
    }

    /// A point at which a fault may strike work that does not go through this module (SQLite's).
    /// `name` is what [`Faults::log`] shows.
    ///
    /// # Errors
    /// Only the injected fault.
    #[inline]
    pub fn point(&self, name: &'static str) -> io::Result<()> {
        self.strike(name, None).map_err(|strike| strike.error)
    }

    /// As [`Disk::point`], of a call that is about the file or folder `path`.
    #[inline]
    fn point_at(&self, name: &'static str, path: &Path) -> io::Result<()> {
        self.strike(name, Some(path)).map_err(|strike| strike.error)
    }

    #[inline]
    fn strike(&self, name: &'static str, path: Option<&Path>) -> Result<(), Strike> {
        match &self.faults {
            None => Ok(()),
            Some(faults) => faults.strike(name, path),
        }
    }
}

/// Says in an error which file or folder it is about, for the log. Not where callers ask for the kind
/// and go on: that something is not there, or there already, or that there is no room.
fn about(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    use io::ErrorKind::{AlreadyExists, NotADirectory, NotFound};
    move |error| match error.kind() {
        NotFound | AlreadyExists | NotADirectory => error,
        _ if is_no_space(&error) => error,
        kind => io::Error::new(kind, format!("{}: {error}", path.display())),
    }
}

/// Whether an error says that there is no room: `ENOSPC`, or the file system's own quota.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_which_file_they_are_about_and_keep_their_kind() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        std::fs::write(folder.path().join("full"), "x").unwrap();
        // Root is refused nothing, but a folder is no file, and one that is not empty stays.
        let error = disk.remove_dir(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
        let path = folder.path().display().to_string();
        assert!(error.to_string().starts_with(&path), "{error}");
        let error = disk.open(&folder.path().join("none")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(2));
    }
}
