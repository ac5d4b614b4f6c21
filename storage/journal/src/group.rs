//! Group commit: who writes, who syncs, and who waits for whom.
//!
//! Two rights exist: to write groups and to sync. At most one thread has each, and it does its work
//! without the lock, so that the next group is gathered and even written while a sync runs. A thread
//! that needs a sync takes both, writes what was gathered, gives back the first, and syncs.

use std::sync::PoisonError;

use crate::{
    Fsync, Guard, Inner, JournalError, Ticket, Until,
    segment::Active,
    state::{Spare, UNSYNCED_MOST},
};

impl Inner {
    fn sleep<'a>(&self, on: &std::sync::Condvar, state: Guard<'a>) -> Guard<'a> {
        on.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn round(&self, round: usize) -> &std::sync::Condvar {
        let [even, odd] = &self.durable;
        if round.is_multiple_of(2) { even } else { odd }
    }

    /// Whether a caller who asks for `until` gets a sync.
    fn needs_sync(&self, until: Until) -> bool {
        match self.options.fsync {
            Fsync::Always => true,
            Fsync::Optimized => until == Until::Durable,
            Fsync::Never => false,
        }
    }

    pub(crate) fn wait(&self, ticket: Ticket, until: Until) -> Result<(), JournalError> {
        let state = self.lock();
        if self.needs_sync(until) {
            self.wait_durable(state, ticket).map(drop)
        } else {
            self.wait_written(state, ticket).map(drop)
        }
    }

    /// Why a record that is neither written nor durable will not become so by waiting.
    fn verdict<'a>(&'a self, state: Guard<'a>, ticket: Ticket) -> Result<Guard<'a>, JournalError> {
        if state.is_lost(ticket) {
            return Err(state.failed().unwrap_or_else(JournalError::lost));
        }
        if state.failure.is_some() {
            return self.recover(state);
        }
        Ok(state)
    }

    fn wait_written<'a>(
        &'a self,
        mut state: Guard<'a>,
        ticket: Ticket,
    ) -> Result<Guard<'a>, JournalError> {
        loop {
            if ticket.end <= state.durable && !state.is_lost(ticket) {
                return Ok(state);
            }
            state = self.verdict(state, ticket)?;
            if ticket.end <= state.written && state.broken.is_none() {
                if self.options.fsync == Fsync::Optimized {
                    state.acknowledge(ticket);
                }
                if state.unsynced_bytes() > UNSYNCED_MOST && !state.syncing && !state.writing {
                    state = self.lead(state);
                }
                return Ok(state);
            }
            state = if state.writing || state.broken.is_some() {
                self.sleep(&self.written, state)
            } else if state.reserved > 0 {
                self.sleep(&self.idle, state)
            } else {
                state.writing = true;
                let state = self.write_group(state, false);
                self.release_writing(state)
            };
        }
    }

    pub(crate) fn wait_durable<'a>(
        &'a self,
        mut state: Guard<'a>,
        ticket: Ticket,
    ) -> Result<Guard<'a>, JournalError> {
        // The round that is waited for.
        let mut awaited = None;
        loop {
            if ticket.end <= state.durable && !state.is_lost(ticket) {
                // One of those who wait for the next round is woken to lead it. This one need not:
                // a round can reach farther than was known when it began.
                if !state.syncing
                    && let Some(round) = awaited
                    && round != state.round
                {
                    self.round(round).notify_one();
                }
                return Ok(state);
            }
            state = self.verdict(state, ticket)?;
            state = if ticket.end <= state.durable {
                state
            } else if state.syncing {
                let next = usize::from(ticket.end > state.target);
                let round = state.round.wrapping_add(next);
                awaited = Some(round);
                self.sleep(self.round(round), state)
            } else if state.writing || state.broken.is_some() {
                self.sleep(&self.written, state)
            } else if state.reserved > 0 {
                self.sleep(&self.idle, state)
            } else {
                self.lead(state)
            };
        }
    }

    /// Writes what was gathered and syncs. Nobody writes or syncs.
    pub(crate) fn lead<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        state.writing = true;
        self.begin_sync(&mut state);
        let state = self.write_group(state, true);
        let state = self.release_writing(state);
        let state = self.sync_written(state);
        self.release_syncing(state)
    }

    fn begin_sync(&self, state: &mut Guard<'_>) {
        state.syncing = true;
        state.round = state.round.wrapping_add(1);
        state.target = state.next;
    }

    pub(crate) fn release_writing<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        state.writing = false;
        self.settle(&mut state);
        self.written.notify_all();
        if state.reserved > 0 {
            self.idle.notify_all();
        }
        state
    }

    fn release_syncing<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        state.syncing = false;
        self.settle(&mut state);
        self.round(state.round).notify_all();
        self.round(state.round.wrapping_add(1)).notify_one();
        self.idle.notify_all();
        state
    }

    fn settle(&self, state: &mut Guard<'_>) {
        if state.broken.is_none() {
            return;
        }
        state.settle(self.codec);
        self.wake_all();
    }

    pub(crate) fn wake_all(&self) {
        self.written.notify_all();
        self.idle.notify_all();
        for round in &self.durable {
            round.notify_all();
        }
    }

    /// Both rights, for work that must not meet another's. Give them back with `release_both`.
    pub(crate) fn claim_both<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        state.reserved += 1;
        while state.writing || state.syncing {
            state = self.sleep(&self.idle, state);
        }
        state.reserved -= 1;
        state.writing = true;
        self.begin_sync(&mut state);
        state
    }

    pub(crate) fn release_both<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        let state = self.release_writing(state);
        let state = self.release_syncing(state);
        self.wake_all();
        state
    }

    /// Writes the gathered group, in a new segment if it does not fit the active one. The caller has
    /// the right to write; `both` says that it has the right to sync too.
    pub(crate) fn write_group<'a>(&'a self, mut state: Guard<'a>, both: bool) -> Guard<'a> {
        if !state.has_gathered() || state.broken.is_some() || state.failure.is_some() {
            return state;
        }
        let start = state.next - state.gathered();
        if self.is_full(&state) {
            state = self.switch_for_writer(state, both);
        }
        let Some(active) = state.active.clone() else {
            return state;
        };
        if state.broken.is_some() {
            return state;
        }
        // What was appended during the switch joins the group.
        let closed = state.closing;
        let (_, group) = state.take_group(self.codec, closed);
        drop(state);
        let result = active.write(&group, start, self.options.segment_size);
        let mut state = self.lock();
        let end = start + group.len() as u64;
        state.retain(start, group);
        match result {
            Ok(()) => state.written = end,
            Err(error) => {
                state.broken.get_or_insert(error);
                return state;
            }
        }
        if self.options.fsync == Fsync::Never {
            state.made_durable(end);
        } else if state.unsynced_since.is_none() {
            state.unsynced_since = Some(self.options.clock.now());
        }
        state
    }

    fn is_full(&self, state: &Guard<'_>) -> bool {
        state.active.as_ref().is_some_and(|active| {
            let used = state.next.saturating_sub(active.header.start);
            used > self.options.segment_size && used > state.gathered()
        })
    }

    fn switch_for_writer<'a>(&'a self, mut state: Guard<'a>, both: bool) -> Guard<'a> {
        if both {
            return self.switch(state);
        }
        while state.syncing {
            state = self.sleep(&self.idle, state);
        }
        self.begin_sync(&mut state);
        let state = self.switch(state);
        self.release_syncing(state)
    }

    /// Syncs what was written. The caller has the right to sync.
    pub(crate) fn sync_written<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        let end = state.written;
        let Some(active) = state.active.clone() else {
            return state;
        };
        if end <= state.durable || state.broken.is_some() || state.failure.is_some() {
            return state;
        }
        drop(state);
        let result = active.sync();
        state = self.lock();
        match result {
            Ok(()) => {
                state.made_durable(end);
                if state.durable < state.written {
                    state.unsynced_since = Some(self.options.clock.now());
                }
            }
            Err(error) => {
                state.broken.get_or_insert(error);
            }
        }
        state
    }

    /// Makes what was written durable and begins a new segment after it. The caller has both rights.
    pub(crate) fn switch<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        let mut state = self.sync_written(state);
        if state.broken.is_some() || state.failure.is_some() {
            return state;
        }
        let start = state.written;
        let header = state.next_header(self.id, start);
        let (number, old) = self.file_for_segment(&mut state);
        drop(state);
        let made = Active::open(
            &self.disk,
            &self.options.dir,
            number,
            header,
            (old, self.options.fsync != Fsync::Never),
        )
        .and_then(|active| active.write_header().map(|()| active));
        state = self.lock();
        match made {
            Ok(active) => state.install(active, false),
            Err(error) => {
                self.give_up(&mut state, number);
                state.broken.get_or_insert(error);
            }
        }
        state
    }

    /// The number of a file to write a segment to, and whether it exists.
    pub(crate) fn file_for_segment(&self, state: &mut Guard<'_>) -> (u64, bool) {
        let spare = if state.visitors == 0 {
            state.spares.pop()
        } else {
            None
        };
        match spare {
            Some(Spare { number, .. }) => (number, true),
            None => {
                state.next_number += 1;
                (state.next_number, false)
            }
        }
    }
}
