//! After a failed write or sync: a fresh segment, written from memory.

use std::{io, sync::Arc};

use crate::{
    Fsync, Guard, Inner, JournalError,
    segment::{Active, Header},
    state::RETRY,
};

impl JournalError {
    /// The cause is no longer known: it was the one before the last.
    pub(crate) fn lost() -> Self {
        Self::Failed(Arc::new(io::Error::other("an earlier write failed")))
    }
}

impl Inner {
    /// Tries a fresh segment, unless that was tried less than a second ago.
    pub(crate) fn recover<'a>(&'a self, mut state: Guard<'a>) -> Result<Guard<'a>, JournalError> {
        let now = self.options.clock.now();
        let busy = state.writing || state.syncing;
        let Some(failure) = state.failure.as_mut() else {
            return Ok(state);
        };
        if busy || failure.try_after.is_some_and(|after| now < after) {
            return Err(JournalError::Failed(Arc::clone(&failure.cause)));
        }
        failure.try_after = Some(now + RETRY);
        let carry = Arc::clone(&failure.carry);
        state.writing = true;
        state.syncing = true;
        let start = state.durable;
        let header = state.next_header(self.id, start);
        let (number, old) = self.file_for_segment(&mut state);
        drop(state);
        let made = self.write_fresh(number, old, header, &carry);
        state = self.lock();
        state.writing = false;
        state.syncing = false;
        let result = match made {
            Ok(active) => {
                state.install(active, true);
                state.failure = None;
                let next = state.next;
                state.written = next;
                state.made_durable(next);
                Ok(())
            }
            Err(error) => {
                self.give_up(&mut state, number);
                let cause = Arc::new(error);
                if let Some(failure) = state.failure.as_mut() {
                    failure.cause = Arc::clone(&cause);
                }
                Err(JournalError::Failed(cause))
            }
        };
        self.wake_all();
        result.map(|()| state)
    }

    /// The header comes last: if the process is killed, a segment with a header is complete. (After
    /// a power loss it may not be; but nothing in it has been durable then.)
    fn write_fresh(
        &self,
        number: u64,
        old: bool,
        header: Header,
        carry: &[u8],
    ) -> io::Result<Active> {
        let sync = self.options.fsync != Fsync::Never;
        let active = Active::open(&self.disk, &self.options.dir, number, header, (old, sync))?;
        if !carry.is_empty() {
            active.write(carry, header.start, self.options.segment_size)?;
        }
        active.write_header()?;
        if sync {
            active.sync()?;
        }
        Ok(active)
    }

    /// A file that failed is never used again.
    pub(crate) fn give_up(&self, _state: &mut Guard<'_>, number: u64) {
        let path = crate::segment::path(&self.options.dir, number);
        let _ = self.disk.unlink_if_there(&path);
    }
}
