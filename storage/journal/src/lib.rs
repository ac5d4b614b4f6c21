//! The write-ahead journal: one append-only log for the whole store, shared by all its threads.
//!
//! It knows bytes, not meanings. [`Journal::append`] orders a record, [`Journal::wait`] returns once
//! it is written or durable; records that arrive together share one write and one `fdatasync`. What
//! an earlier process left comes back from [`Journal::open`] as [`Recovered`], in order. What the
//! records mean, when a checkpoint is due, and which thread calls [`Journal::sync`] within a second
//! are the store's.
//!
//! # On disk
//!
//! A folder of segment files. A position in the endless log is an [`Lsn`]; a segment begins at one,
//! and its bytes follow a header block that names the segment before it and up to where that one
//! counts. Every record carries its own position and two checksums, so that what an overwritten
//! segment held before is never taken for a record. Every group of records that was written at once
//! begins with a mark that says up to where the log was durable then: records after a damaged place
//! are delivered if such a mark proves that the place had been durable, and the damage is reported;
//! otherwise the log ends at the damage, for nothing after it was ever acknowledged as durable.
//!
//! Segments that are cut are overwritten in place by later ones, with their blocks already written,
//! so that in the steady state `fdatasync` has no metadata to write. A group is never divided: a
//! segment ends before the first group that does not fit, and a group larger than a segment gets a
//! longer one.
//!
//! # When the disk fails
//!
//! A write or sync that failed is never tried again on the same file. Every waiter whose record was
//! not durable gets an error, and appends are refused, until a fresh segment is durable that states
//! up to where the failed one counts and contains the records that had been acknowledged as written
//! (they are kept in memory until they are synced). That is tried by the next call, once a second.

mod append;
mod error;
mod failure;
mod group;
mod open;
mod record;
mod recovered;
mod scan;
mod segment;
mod space;
mod state;
mod visit;

pub use error::JournalError;
pub use record::MAX_RECORD;
pub use recovered::{Damage, Records, Recovered};
pub use visit::Progress;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use facteur_disk::Disk;

use crate::{record::Codec, state::State};

/// What is synced, and when: Dovecot's `mail_fsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Nothing is acknowledged before it is durable, [`Until::Written`] included.
    Always,
    /// As each caller asks.
    #[default]
    Optimized,
    /// No sync at all: a power loss may lose anything.
    Never,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The record survives the machine's death.
    Durable,
    /// The record survives the process's death; somebody calls [`Journal::sync`] soon.
    Written,
}

/// What the time is: a test brings its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Instant {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Instant::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Where the journal lies and how it works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder, made when it is missing. Nothing else may lie in it.
    pub dir: PathBuf,
    /// Bytes in a segment. One segment at least is kept, and a checkpoint frees whole ones.
    pub segment_size: u64,
    /// What is synced.
    pub fsync: Fsync,
    /// When a failed journal may be tried again, and [`Journal::unsynced_since`].
    pub clock: Clock,
}

impl Options {
    /// The defaults, for a journal in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_size: 32 << 20,
            fsync: Fsync::default(),
            clock: Clock::default(),
        }
    }
}

/// A position in the endless log. Positions never come back, not even after a crash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// The position with this number, as [`Lsn::value`] gave it.
    pub const fn from_value(value: u64) -> Self {
        Self(value)
    }

    /// Its number: bytes from the beginning of the log.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A record that was appended; [`Journal::wait`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an appended record is safe only once it was waited for"]
pub struct Ticket {
    start: u64,
    end: u64,
}

impl Ticket {
    /// Where its record begins. Of two records the one appended later has the greater one.
    pub const fn lsn(self) -> Lsn {
        Lsn(self.start)
    }

    /// The first position after its record.
    pub const fn end(self) -> Lsn {
        Lsn(self.end)
    }
}

/// The journal. Clones are the same journal; any thread may use it, and blocks while it waits.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    disk: Disk,
    options: Options,
    id: [u8; 16],
    codec: Codec,
    state: Mutex<State>,
    /// A group was written, or whoever wrote has finished.
    written: Condvar,
    /// Rounds of syncs take turns: those in the running round wait at one, the next ones at the other.
    durable: [Condvar; 2],
    /// Nobody writes or nobody syncs any more.
    idle: Condvar,
}

pub(crate) type Guard<'a> = MutexGuard<'a, State>;

impl Inner {
    pub(crate) fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Who this journal is: made with it, lost with it, 32 hexadecimal digits.
    pub fn id(&self) -> String {
        hex::encode(self.inner.id)
    }

    /// Where the next record will begin, or a little before it.
    pub fn end(&self) -> Lsn {
        Lsn(self.inner.lock().next)
    }

    /// Bytes that were not cut yet.
    pub fn bytes(&self) -> u64 {
        self.inner.lock().bytes()
    }

    /// Since when there are written records that are not durable.
    pub fn unsynced_since(&self) -> Option<Instant> {
        self.inner.lock().unsynced_since
    }

    /// Why nothing can be written now, if so.
    pub fn failure(&self) -> Option<JournalError> {
        self.inner.lock().refusal()
    }
}
