//! Whether there is room for another message.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use facteur_smtp::{EnhancedStatus, Reply};
use facteur_store::Store;

/// How long an answer of the file system is good for, in milliseconds.
const GOOD_FOR_MS: u64 = 1000;
/// So often the log is told that there is too little room, in milliseconds.
const TELL_AGAIN_MS: u64 = 60_000;
/// The file system could not say.
const UNKNOWN: u64 = u64::MAX;

/// How much room the file system of the spool has, as it said a moment ago.
#[derive(Debug)]
pub(crate) struct Room {
    since: Instant,
    /// When it is to be asked again, in milliseconds from `since`.
    ask_at: AtomicU64,
    free: AtomicU64,
    /// When the log is to be told again that there is too little.
    tell_at: AtomicU64,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            ask_at: AtomicU64::new(0),
            free: AtomicU64::new(UNKNOWN),
            tell_at: AtomicU64::new(0),
        }
    }

    /// Refuses a message, to be tried again later, where less than `needed` octets are free: other
    /// messages, and what is done with those that are there, need some too.
    ///
    /// # Errors
    /// What to reply (RFC 5321 §4.2.3, RFC 3463 §3.4).
    pub(crate) fn refuse_below(&self, needed: u64, store: &Store) -> Result<(), Reply> {
        if needed == 0 {
            return Ok(());
        }
        let free = self.free(store);
        if free >= needed {
            return Ok(());
        }
        let now = self.now();
        if now >= self.tell_at.load(Ordering::Relaxed) {
            self.tell_at.store(now + TELL_AGAIN_MS, Ordering::Relaxed);
            tracing::error!(
                free,
                queue_minfree = needed,
                "mail is refused until there is room: its file system has less than queue_minfree"
            );
        }
        Err(full())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn free(&self, store: &Store) -> u64 {
        let now = self.now();
        let due = self.ask_at.load(Ordering::Relaxed);
        // One of those who come at the same time asks. It takes microseconds: the kernel knows.
        let asks = now >= due
            && self
                .ask_at
                .compare_exchange(due, now + GOOD_FOR_MS, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if asks {
            let free = match store.free_bytes() {
                Ok(free) => free,
                Err(error) => {
                    tracing::warn!(%error, "cannot tell how much room there is");
                    UNKNOWN
                }
            };
            self.free.store(free, Ordering::Relaxed);
        }
        self.free.load(Ordering::Relaxed)
    }
}

/// No room.
pub(crate) fn full() -> Reply {
    let status = EnhancedStatus::new(4, 3, 1);
    Reply::new(452, status, "Insufficient system storage")
}
