//! Giving space back.

use crate::{Fsync, Inner, Journal, JournalError, Lsn, segment, state::Spare};

impl Journal {
    /// Says that no record before `before` is needed any more. Whole segments before it are given
    /// back: their records never come back, not even after a power loss.
    ///
    /// # Errors
    /// As [`Journal::wait`]: nothing was given back.
    pub fn cut(&self, before: Lsn) -> Result<(), JournalError> {
        let inner = &*self.inner;
        let mut state = inner.lock();
        if state.closed {
            return Err(JournalError::Closed);
        }
        if state.failure.is_some() {
            state = inner.recover(state)?;
        }
        let Some(boundary) = state.boundary(before) else {
            return Ok(());
        };
        if state
            .finished
            .front()
            .is_none_or(|first| first.end > boundary)
        {
            return Ok(());
        }
        state.cut = state.cut.max(boundary);
        state.begin_group();
        // The mark of this group names the cut. Only once it is durable may a file be overwritten.
        let mut state = inner.sync_all(state)?;
        while let Some(first) = state.finished.front()
            && first.end <= boundary
        {
            let spare = Spare {
                number: first.number,
                size: first.size,
            };
            state.spares.push(spare);
            state.finished.pop_front();
        }
        let removed = state.superfluous(inner.options.segment_size);
        drop(state);
        inner.remove(&removed);
        Ok(())
    }
}

impl Inner {
    /// Removes files that nobody needs. One that stays is met again at the next start.
    pub(crate) fn remove(&self, numbers: &[u64]) {
        for number in numbers {
            let _ = self
                .disk
                .unlink_if_there(&segment::path(&self.options.dir, *number));
        }
        if !numbers.is_empty() && self.options.fsync != Fsync::Never {
            let _ = self.disk.sync_dir(&self.options.dir);
        }
    }
}
