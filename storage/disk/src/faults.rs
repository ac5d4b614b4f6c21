//! Faults for tests: fail one call, or die before it.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// When a fault strikes, and what was called so far.
#[derive(Debug)]
pub struct Faults {
    at: u64,
    kind: io::ErrorKind,
    fatal: bool,
    calls: AtomicU64,
    log: Mutex<Vec<&'static str>>,
}

impl Faults {
    pub(crate) fn failing(at: u64, kind: io::ErrorKind) -> Self {
        Self {
            at,
            kind,
            fatal: false,
            calls: AtomicU64::new(0),
            log: Mutex::default(),
        }
    }

    pub(crate) fn crashing(at: u64) -> Self {
        Self {
            fatal: true,
            ..Self::failing(at, io::ErrorKind::Other)
        }
    }

    /// How many calls were made, the struck one included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether the fault struck.
    pub fn struck(&self) -> bool {
        self.calls() > self.at
    }

    /// The names of the calls made so far, in order.
    pub fn log(&self) -> Vec<&'static str> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What [`Faults::calls`] is right after the process died.
    pub(crate) fn first_fatal_call(&self) -> u64 {
        self.at.saturating_add(1)
    }

    /// Whether the process counts as dead.
    pub(crate) fn dead(&self) -> bool {
        self.fatal && self.struck()
    }

    pub(crate) fn strike(&self, name: &'static str) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name);
        let hit = if self.fatal {
            call >= self.at
        } else {
            call == self.at
        };
        if hit {
            return Err(io::Error::new(self.kind, format!("injected into {name}")));
        }
        Ok(())
    }
}
