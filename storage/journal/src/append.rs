//! What callers do.

use crate::{
    Fsync, Inner, Journal, JournalError, Lsn, Ticket, Until,
    record::{self, MAX_RECORD},
};

/// A gathered group of this size is written by whoever appends next.
const GATHER_MOST: u64 = 8 << 20;

impl Journal {
    /// Gives `parts`, as one record, its place in the log. Does not wait for a sync.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`]; [`JournalError::Failed`] while nothing can be written;
    /// [`JournalError::Closed`]. The record is then not in the log.
    pub fn append(&self, parts: &[&[u8]]) -> Result<Ticket, JournalError> {
        let size = parts
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.len()));
        let length = u32::try_from(size)
            .ok()
            .filter(|_| size <= MAX_RECORD)
            .ok_or(JournalError::TooLarge { size })?;
        let sum = record::sum(parts);
        let inner = &*self.inner;
        let mut state = inner.usable(inner.lock())?;
        let ticket = state.push(inner.codec, length, sum, parts);
        if state.gathered() >= GATHER_MOST && !state.writing && state.reserved == 0 {
            state.writing = true;
            let state = inner.write_group(state, false);
            drop(inner.release_writing(state));
        }
        Ok(ticket)
    }

    /// Waits until a record is durable or written, together with those that wait as well.
    ///
    /// # Errors
    /// [`JournalError::Failed`]: the record is not durable. Unless it had been acknowledged as
    /// written before, it will not be delivered after a restart either, once anything else has been
    /// acknowledged; until then a restart may still find it.
    pub fn wait(&self, ticket: Ticket, until: Until) -> Result<(), JournalError> {
        self.inner.wait(ticket, until)
    }

    /// Makes everything durable that was appended. With [`Fsync::Never`], writes it.
    ///
    /// # Errors
    /// As [`Journal::wait`].
    pub fn sync(&self) -> Result<(), JournalError> {
        let mut state = self.inner.lock();
        if state.failure.is_some() {
            state = self.inner.recover(state)?;
        }
        self.inner.sync_all(state).map(drop)
    }

    /// Begins a new segment. Everything appended before is durable then, and lies before the
    /// position returned, where the new segment begins.
    ///
    /// # Errors
    /// As [`Journal::wait`].
    pub fn rotate(&self) -> Result<Lsn, JournalError> {
        let inner = &*self.inner;
        let state = inner.usable(inner.lock())?;
        let state = inner.claim_both(state);
        let mut state = inner.write_group(state, true);
        state = inner.sync_written(state);
        let begun = state.active.as_ref().map(|active| active.header.start);
        if begun != Some(state.written) {
            state = inner.switch(state);
        }
        let start = state.active.as_ref().map(|active| active.header.start);
        let state = inner.release_both(state);
        match (state.failed(), start) {
            (None, Some(start)) => Ok(Lsn(start)),
            (failed, _) => Err(failed.unwrap_or_else(JournalError::lost)),
        }
    }

    /// Makes everything durable and marks the journal as closed in order. Nothing can be appended
    /// any more, whatever this returns.
    ///
    /// # Errors
    /// As [`Journal::wait`]: the next process finds it not closed in order.
    pub fn close(&self) -> Result<(), JournalError> {
        let inner = &*self.inner;
        let mut state = inner.lock();
        if state.closed {
            return Ok(());
        }
        state.closed = true;
        if state.failure.is_some() {
            state = inner.recover(state)?;
        }
        state = inner.sync_all(state)?;
        state.closing = true;
        state.begin_group();
        let state = inner.sync_all(state)?;
        match state.failed() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }
}

impl Inner {
    fn usable<'a>(&'a self, state: crate::Guard<'a>) -> Result<crate::Guard<'a>, JournalError> {
        if state.closed {
            return Err(JournalError::Closed);
        }
        if state.failure.is_some() {
            return self.recover(state);
        }
        Ok(state)
    }

    /// Waits until everything appended so far is durable (or written, if nothing is synced).
    pub(crate) fn sync_all<'a>(
        &'a self,
        state: crate::Guard<'a>,
    ) -> Result<crate::Guard<'a>, JournalError> {
        if state.durable == state.next {
            return Ok(state);
        }
        // The last byte appended: lost if the last record is.
        let all = Ticket {
            start: state.next - 1,
            end: state.next,
        };
        if self.options.fsync == Fsync::Never {
            drop(state);
            self.wait(all, Until::Written)?;
            return Ok(self.lock());
        }
        self.wait_durable(state, all)
    }
}
