//! Faults for tests: fail some calls, or die before one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Which calls a fault strikes.
#[derive(Debug)]
pub(crate) enum When {
    /// By their number, from 0.
    Calls(BTreeSet<u64>),
    /// By their name, and how many of that name came before.
    Nth(&'static str, u64),
}

/// When faults strike, and what was called so far.
#[derive(Debug)]
pub struct Faults {
    when: When,
    kind: io::ErrorKind,
    fatal: bool,
    calls: AtomicU64,
    struck: AtomicBool,
    seen: Mutex<Seen>,
    /// A call came, or a name is no longer held.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    log: Vec<&'static str>,
    /// What each call was about, if that has a path.
    paths: Vec<Option<PathBuf>>,
    counts: BTreeMap<&'static str, u64>,
    /// Names that fail until they are healed.
    broken: BTreeMap<&'static str, io::ErrorKind>,
    /// The process counts as killed.
    dead: bool,
    /// Calls of these names wait.
    held: BTreeSet<&'static str>,
}

/// A fault that struck.
pub(crate) struct Strike {
    pub(crate) error: io::Error,
    /// The process died with this very call.
    pub(crate) died: bool,
}

impl Faults {
    pub(crate) fn new(when: When, kind: io::ErrorKind, fatal: bool) -> Self {
        Self {
            when,
            kind,
            fatal,
            calls: AtomicU64::new(0),
            struck: AtomicBool::new(false),
            seen: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// How many calls were made, struck ones included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether any fault struck.
    pub fn struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// The names of the calls made so far, in order.
    pub fn log(&self) -> Vec<&'static str> {
        self.seen().log.clone()
    }

    /// What call `call` (from 0) was about, as its caller named it; nothing when it was not made, or was
    /// SQLite's.
    pub fn path(&self, call: u64) -> Option<PathBuf> {
        let call = usize::try_from(call).ok()?;
        self.seen().paths.get(call).cloned().flatten()
    }

    /// How often each name was called so far.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.seen().counts.clone()
    }

    /// From now on every call of this name fails with `kind`.
    pub fn break_point(&self, name: &'static str, kind: io::ErrorKind) {
        self.seen().broken.insert(name, kind);
    }

    /// Takes back every [`Faults::break_point`].
    pub fn heal(&self) {
        self.seen().broken.clear();
    }

    /// From now on calls of this name wait for [`Faults::release`], before they do anything.
    pub fn hold(&self, name: &'static str) {
        self.seen().held.insert(name);
    }

    /// Lets calls of this name go on.
    pub fn release(&self, name: &'static str) {
        self.seen().held.remove(name);
        self.changed.notify_all();
    }

    /// Waits until so many calls of this name were made, held ones included.
    pub fn await_calls(&self, name: &'static str, count: u64) {
        let mut seen = self.seen();
        while seen.counts.get(name).is_none_or(|made| *made < count) {
            seen = self.sleep(seen);
        }
    }

    fn sleep<'a>(&self, seen: MutexGuard<'a, Seen>) -> MutexGuard<'a, Seen> {
        let woken = self.changed.wait(seen);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn strike(&self, name: &'static str, path: Option<&Path>) -> Result<(), Strike> {
        let mut seen = self.seen();
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        seen.log.push(name);
        seen.paths.push(path.map(Path::to_owned));
        let count = seen.counts.entry(name).or_default();
        let nth = *count;
        *count += 1;
        self.changed.notify_all();
        while seen.held.contains(name) {
            seen = self.sleep(seen);
        }
        let mut kind = seen.broken.get(name).copied();
        let chosen = match &self.when {
            When::Calls(calls) => calls.contains(&call),
            When::Nth(struck, which) => *struck == name && *which == nth,
        };
        let died = self.fatal && chosen && !seen.dead;
        seen.dead |= died;
        if chosen || seen.dead {
            kind = Some(self.kind);
        }
        let Some(kind) = kind else {
            return Ok(());
        };
        self.struck.store(true, Ordering::SeqCst);
        Err(Strike {
            error: io::Error::new(kind, format!("injected into {name}")),
            died,
        })
    }
}
