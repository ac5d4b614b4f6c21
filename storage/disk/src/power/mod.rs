//! A disk that loses what was not synced.
//!
//! [`Disk::recording`] works on a real folder and logs every change made below it through the
//! [`Disk`], with its order. [`PowerLoss::image`] then builds, for any moment, a folder as the
//! machine might find it after its power was lost at that moment.
//!
//! # The model
//!
//! - A change of a file's bytes or length is durable once a `sync_data` or `sync_all` **of that
//!   file** or a `sync_file_system` that began after it has returned; its modification time by
//!   `sync_all` and `sync_file_system` only.
//! - A name made, replaced or removed is durable once a `sync_dir` **of its folder** or a
//!   `sync_file_system` that began after it has returned; syncing a file does nothing for its name.
//!   A rename within a folder happens as a whole or not at all. One from a folder to another may
//!   leave the file under both names; under none only when the folder that it left was synced, and
//!   the other was not.
//! - Every change that is not durable is kept or dropped independently of all others, later ones
//!   without earlier ones included; a write may be kept in part, by sectors of 512 bytes. What was
//!   never written reads as zeros.
//!
//! Real file systems promise more. What survives this one survives them.
//!
//! Files that other libraries write (SQLite's) are copied at every `sync_file_system` and at
//! [`PowerLoss::observe`]; an image has for each folder the copies that were synced last or any
//! made since; the image of the present moment may also have them as they are. Syncs are logged, not carried out: the recording process does not die.

mod external;
mod image;
mod tree;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Disk, Faults, faults::When};
use external::Copies;
use tree::{Id, Tree};

/// What changes about a file.
#[derive(Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
    Modified(i64),
}

/// One name of a folder comes to mean something else, or nothing.
#[derive(Debug)]
struct Naming {
    dir: Id,
    name: std::ffi::OsString,
    to: Option<Id>,
}

#[derive(Debug)]
enum Event {
    Change {
        file: Id,
        change: Change,
    },
    /// All or nothing, but for what `sync_dir` makes durable.
    Names(Vec<Naming>),
    Sync {
        what: Synced,
        upto: usize,
    },
    Copies {
        copies: Copies,
        synced: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Synced {
    Data(Id),
    File(Id),
    Dir(Id),
    All,
}

/// Every change so far, and the names as they are now.
#[derive(Debug)]
pub(crate) struct Log {
    root: PathBuf,
    tree: Tree,
    events: Vec<Event>,
    syncs: Vec<Sync>,
}

/// A sync that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// The moment after it.
    pub moment: usize,
    /// The fault point's name.
    pub name: &'static str,
    /// The file or folder, as it was called when it was opened.
    pub path: PathBuf,
}

/// Which of SQLite's files are copied.
type External = fn(&Path) -> bool;

pub(crate) struct Recorder {
    log: Mutex<Log>,
    external: External,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

/// What a [`Disk::recording`] has recorded.
#[derive(Debug, Clone)]
pub struct PowerLoss {
    recorder: Arc<Recorder>,
    faults: Arc<Faults>,
}

impl Disk {
    /// For tests: a disk that records what is done below `root`, a folder whose present content
    /// counts as durable. Files for which `external` is true are not made through this disk and
    /// are copied as a whole.
    ///
    /// # Errors
    /// When `root` cannot be read.
    pub fn recording(root: &Path, external: fn(&Path) -> bool) -> io::Result<(Self, PowerLoss)> {
        let recorder = Arc::new(Recorder {
            log: Mutex::new(Log {
                root: root.to_owned(),
                tree: Tree::read(root, external)?,
                events: Vec::new(),
                syncs: Vec::new(),
            }),
            external,
        });
        let when = When::Calls([].into());
        let (mut disk, faults) = Self::with(Faults::new(when, io::ErrorKind::Other, false));
        disk.recorder = Some(Arc::clone(&recorder));
        Ok((disk, PowerLoss { recorder, faults }))
    }

    /// Does `act` and records it, in one order for all threads.
    #[inline]
    pub(crate) fn recorded<T>(
        &self,
        act: impl FnOnce() -> io::Result<T>,
        record: impl FnOnce(&mut Log, &T),
    ) -> io::Result<T> {
        let Some(recorder) = &self.recorder else {
            return act();
        };
        let mut log = recorder.lock();
        let done = act()?;
        record(&mut log, &done);
        Ok(done)
    }

    /// Records a sync instead of carrying it out; `false` if it is to be carried out.
    pub(crate) fn sync_recorded(
        &self,
        name: &'static str,
        path: Option<&Path>,
        of: SyncOf<'_>,
    ) -> io::Result<bool> {
        let Some(recorder) = &self.recorder else {
            return Ok(self.skips_syncs);
        };
        let upto = recorder.lock().events.len();
        // Changes made while a sync runs may not be covered by it: others get a chance.
        std::thread::yield_now();
        let copies = match of {
            SyncOf::All(_) => Some(external::copy(recorder)?),
            _ => None,
        };
        let mut log = recorder.lock();
        let Some(what) = log.synced(of) else {
            return Ok(true);
        };
        log.events.push(Event::Sync { what, upto });
        if let Some(copies) = copies {
            let synced = true;
            log.events.push(Event::Copies { copies, synced });
        }
        let moment = log.events.len();
        let path = path.unwrap_or(Path::new("")).to_owned();
        log.syncs.push(Sync { moment, name, path });
        Ok(true)
    }
}

/// What a caller wants to sync.
pub(crate) enum SyncOf<'a> {
    Data(Option<Id>),
    File(Option<Id>),
    Dir(&'a Path),
    All(&'a Path),
}

impl Recorder {
    /// Opens a file and finds out which one it is, with no other change in between.
    pub(crate) fn opening<T>(
        &self,
        open: impl FnOnce() -> io::Result<T>,
        id: impl FnOnce(&mut Log) -> Option<Id>,
    ) -> io::Result<(T, Option<Id>)> {
        let mut log = self.lock();
        let opened = open()?;
        let id = id(&mut log);
        Ok((opened, id))
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn synced(&self, of: SyncOf<'_>) -> Option<Synced> {
        match of {
            SyncOf::Data(id) => id.map(Synced::Data),
            SyncOf::File(id) => id.map(Synced::File),
            SyncOf::Dir(path) => self.tree.find(self.within(path)?).map(Synced::Dir),
            SyncOf::All(path) => self.within(path).map(|_| Synced::All),
        }
    }

    /// `path` seen from the root, if it lies below it.
    fn within<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.root).ok()
    }

    fn change(&mut self, file: Option<Id>, change: Change) {
        if let Some(file) = file {
            self.events.push(Event::Change { file, change });
        }
    }

    pub(crate) fn wrote(&mut self, file: Option<Id>, offset: u64, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.change(file, Change::Write { offset, bytes });
    }

    pub(crate) fn cut_to(&mut self, file: Option<Id>, length: u64) {
        self.change(file, Change::Length(length));
    }

    pub(crate) fn dated(&mut self, file: Option<Id>, unix: i64) {
        self.change(file, Change::Modified(unix));
    }

    /// The file at `path`, links followed.
    pub(crate) fn opened(&self, path: &Path) -> Option<Id> {
        self.tree.find_file(self.within(path)?)
    }

    fn name(&mut self, names: impl IntoIterator<Item = (PathBuf, Option<Id>)>) {
        let mut namings = Vec::new();
        for (path, to) in names {
            if let Some((dir, name)) = self.tree.place(&path) {
                self.tree.set(dir, &name, to);
                namings.push(Naming { dir, name, to });
            }
        }
        if !namings.is_empty() {
            self.events.push(Event::Names(namings));
        }
    }

    /// Something new is at `path`.
    fn made(&mut self, path: &Path, node: tree::Kind) -> Option<Id> {
        let path = self.within(path)?.to_owned();
        self.tree.place(&path)?;
        let id = self.tree.add(node);
        self.name([(path, Some(id))]);
        Some(id)
    }

    pub(crate) fn made_file(&mut self, path: &Path) -> Option<Id> {
        self.made(path, tree::Kind::file())
    }

    /// A file was opened that may have been made by that.
    pub(crate) fn opened_or_made(&mut self, path: &Path) -> Option<Id> {
        match self.opened(path) {
            Some(id) => Some(id),
            None => self.made_file(path),
        }
    }

    pub(crate) fn made_dir(&mut self, path: &Path) {
        self.made(path, tree::Kind::dir());
    }

    pub(crate) fn made_link(&mut self, target: &Path, path: &Path) {
        self.made(path, tree::Kind::Link(target.to_owned()));
    }

    pub(crate) fn linked(&mut self, from: &Path, to: &Path) {
        let Some(to) = self.within(to).map(Path::to_owned) else {
            return;
        };
        let id = self.within(from).and_then(|from| self.tree.find(from));
        self.name([(to, id)]);
    }

    pub(crate) fn renamed(&mut self, from: &Path, to: &Path) {
        let places = (self.within(from), self.within(to));
        let (Some(from), Some(to)) = (places.0.map(Path::to_owned), places.1.map(Path::to_owned))
        else {
            return;
        };
        let id = self.tree.find(&from);
        // Two names of one file: rename(2) does nothing then.
        if id.is_some() && id == self.tree.find(&to) {
            return;
        }
        self.name([(to, id), (from, None)]);
    }

    pub(crate) fn removed(&mut self, path: &Path) {
        if let Some(path) = self.within(path).map(Path::to_owned) {
            self.name([(path, None)]);
        }
    }

    pub(crate) fn removed_all(&mut self, path: &Path) {
        let Some(path) = self.within(path).map(Path::to_owned) else {
            return;
        };
        // One by one, from the leaves up: a power loss may leave any part.
        for inner in self.tree.below(&path) {
            self.name([(inner, None)]);
        }
        self.name([(path, None)]);
    }
}

impl PowerLoss {
    /// How many moments there are to lose power at: `0..=moments()`.
    pub fn moments(&self) -> usize {
        self.recorder.lock().events.len()
    }

    /// The syncs so far, in order.
    pub fn syncs(&self) -> Vec<Sync> {
        self.recorder.lock().syncs.clone()
    }

    /// The calls so far; faults can be injected, too.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Copies the external files as they are now: an image of a later moment may have them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn observe(&self) -> io::Result<()> {
        let copies = external::copy(&self.recorder)?;
        let synced = false;
        let mut log = self.recorder.lock();
        log.events.push(Event::Copies { copies, synced });
        Ok(())
    }

    /// Builds in the empty folder `into` what a power loss at moment `at` may leave below the root.
    /// Seed 0 drops everything that is not durable, seed 1 keeps everything, others decide for each
    /// change.
    ///
    /// # Errors
    /// When `into` cannot be written.
    pub fn image(&self, at: usize, seed: u64, into: &Path) -> io::Result<()> {
        self.image_without(at, seed, &[], into)
    }

    /// As [`PowerLoss::image`], on a disk that did nothing at the syncs `ignored` of
    /// [`PowerLoss::syncs`]: a sync that no test misses is not needed.
    ///
    /// # Errors
    /// When `into` cannot be written.
    pub fn image_without(
        &self,
        at: usize,
        seed: u64,
        ignored: &[usize],
        into: &Path,
    ) -> io::Result<()> {
        let present = match at >= self.moments() {
            true => Some(external::copy(&self.recorder)?),
            false => None,
        };
        let log = self.recorder.lock();
        let ignored = ignored.iter().filter_map(|index| log.syncs.get(*index));
        let ignored = ignored.map(|sync| sync.moment).collect();
        image::Image::new(&log, (at, seed), &ignored, present.as_ref()).build(into)
    }
}
