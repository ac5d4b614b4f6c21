//! The door that every change goes through, so that a checkpoint begins when none is under way.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Changes are inside; a checkpoint closes the door for a moment and waits until all have left.
#[derive(Debug, Default)]
pub(crate) struct Door {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    closed: bool,
}

/// So long nobody is let in while those inside finish. Where one of them takes longer (its disk
/// hangs, its account's index is being packed) the others do not wait with the checkpoint.
const CLOSED: Duration = Duration::from_millis(250);
/// Then the door stays open for so long.
const OPEN: Duration = Duration::from_secs(1);

/// A change on its way.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Door);

/// Nobody is inside.
#[derive(Debug)]
pub(crate) struct Quiet<'a>(&'a Door);

impl Door {
    /// Lets a change in. Nobody may enter twice, or wait here with what somebody inside needs.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let state = self.lock();
        let open = self.changed.wait_while(state, |state| state.closed);
        open.unwrap_or_else(PoisonError::into_inner).inside += 1;
        Inside(self)
    }

    /// As [`Self::enter`], if nobody has to be waited for.
    pub(crate) fn enter_at_hand(&self) -> Option<Inside<'_>> {
        let mut state = self.state.try_lock().ok()?;
        if state.closed {
            return None;
        }
        state.inside += 1;
        Some(Inside(self))
    }

    /// Waits until nobody is inside, and lets nobody in. One at a time may ask for it.
    pub(crate) fn quiet(&self) -> Quiet<'_> {
        let mut state = self.lock();
        loop {
            state.closed = true;
            state = self.wait(state, CLOSED, |state| state.inside > 0);
            if state.inside == 0 {
                return Quiet(self);
            }
            state.closed = false;
            self.changed.notify_all();
            state = self.wait(state, OPEN, |_| true);
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        most: Duration,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout_while(state, most, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.inside -= 1;
        if state.closed && state.inside == 0 {
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    #[test]
    fn a_change_that_takes_long_keeps_the_checkpoint_out_and_nobody_else() {
        let door = Door::default();
        let long = door.enter();
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _quiet = door.quiet();
                made.store(1, Ordering::SeqCst);
            });
            while !door.lock().closed {
                thread::yield_now();
            }
            drop(door.enter());
            assert_eq!(made.load(Ordering::SeqCst), 0);
            drop(long);
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        drop(door.enter());
    }

    #[test]
    fn nobody_is_inside_while_it_is_quiet() {
        let door = Door::default();
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let _inside = door.enter();
                        inside.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..200 {
                let _quiet = door.quiet();
                assert_eq!(inside.load(Ordering::SeqCst), 0);
            }
        });
    }
}
