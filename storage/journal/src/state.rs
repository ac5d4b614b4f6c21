//! What all threads share.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    JournalError, Lsn, Ticket,
    record::{Codec, Head, Kind, MARK, Mark},
    segment::{Active, BLOCK, Header},
};

/// Between two tries of a fresh segment after a failure.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// Unsynced bytes kept in memory at which whoever writes also syncs.
pub(crate) const UNSYNCED_MOST: u64 = 32 << 20;

/// Files kept to be overwritten.
const SPARES_MOST: usize = 4;

/// A larger buffer is not kept for the next group.
const BUFFER_MOST: usize = 4 << 20;

/// Groups up to this size together are kept in one buffer.
const MERGED_MOST: usize = 256 << 10;

/// Ranges of lost records remembered for waiters who come late.
const LOST_MOST: usize = 4096;

/// A segment that is no longer written to and still needed.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) number: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) generation: u64,
    /// Length of the file; `u64::MAX` for one that failed and must not be used again.
    pub(crate) size: u64,
    /// Where its undamaged records are.
    pub(crate) runs: Vec<(u64, u64)>,
}

/// A file whose content nobody needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spare {
    pub(crate) number: u64,
    pub(crate) size: u64,
}

/// Why nothing can be written, and what a fresh segment must contain.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Arc<io::Error>,
    /// The log from `State::durable` to `State::next`.
    pub(crate) carry: Arc<Vec<u8>>,
    pub(crate) try_after: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The group being gathered, up to `next`. It begins with room for a mark.
    gather: Vec<u8>,
    pub(crate) next: u64,
    pub(crate) written: u64,
    pub(crate) durable: u64,
    pub(crate) cut: u64,
    /// Somebody has the right to write groups; somebody to sync.
    pub(crate) writing: bool,
    pub(crate) syncing: bool,
    /// Counts syncs, and up to where the last one begun reaches.
    pub(crate) round: usize,
    pub(crate) target: u64,
    /// Callers that need both rights: others leave them the next turn.
    pub(crate) reserved: usize,
    /// Groups that were written and are not durable.
    unsynced: VecDeque<(u64, Vec<u8>)>,
    buffers: Vec<Vec<u8>>,
    /// Records acknowledged as written and not durable.
    acknowledged: Vec<u64>,
    pub(crate) unsynced_since: Option<Instant>,
    /// Oldest first, without the one that is written to.
    pub(crate) finished: VecDeque<Finished>,
    pub(crate) active: Option<Arc<Active>>,
    /// Not more than a few, but while somebody visits the log.
    pub(crate) spares: Vec<Spare>,
    pub(crate) visitors: usize,
    pub(crate) next_number: u64,
    pub(crate) generation: u64,
    /// A call failed; judged once nobody writes or syncs any more.
    pub(crate) broken: Option<io::Error>,
    pub(crate) failure: Option<Failure>,
    lost: VecDeque<(u64, u64)>,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
}

impl State {
    /// Why an append is refused now.
    pub(crate) fn refusal(&self) -> Option<JournalError> {
        if self.closed {
            return Some(JournalError::Closed);
        }
        self.failed()
    }

    pub(crate) fn failed(&self) -> Option<JournalError> {
        let failure = self.failure.as_ref()?;
        Some(JournalError::Failed(Arc::clone(&failure.cause)))
    }

    pub(crate) fn bytes(&self) -> u64 {
        let finished = self.finished.iter().map(|one| one.end - one.start);
        let active = self
            .active
            .as_ref()
            .map_or(0, |active| self.next.saturating_sub(active.header.start));
        finished.sum::<u64>().saturating_add(active)
    }

    pub(crate) fn has_gathered(&self) -> bool {
        !self.gather.is_empty()
    }

    pub(crate) fn gathered(&self) -> u64 {
        self.gather.len() as u64
    }

    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.written.saturating_sub(self.durable)
    }

    /// Begins a group if none is being gathered.
    pub(crate) fn begin_group(&mut self) {
        if self.gather.is_empty() {
            self.gather.resize(MARK, 0);
            self.next += MARK as u64;
        }
    }

    pub(crate) fn push(&mut self, codec: Codec, length: u32, sum: u32, parts: &[&[u8]]) -> Ticket {
        self.begin_group();
        let (start, before) = (self.next, self.gather.len());
        codec.push(&mut self.gather, start, length, sum, parts);
        self.next += (self.gather.len() - before) as u64;
        let end = self.next;
        Ticket { start, end }
    }

    /// The gathered group with its mark, and where it begins.
    pub(crate) fn take_group(&mut self, codec: Codec, closed: bool) -> (u64, Vec<u8>) {
        let buffer = self.buffers.pop().unwrap_or_default();
        let mut group = std::mem::replace(&mut self.gather, buffer);
        let start = self.next - group.len() as u64;
        let mark = Mark {
            durable: self.durable,
            cut: self.cut,
            closed,
        };
        if let Some(place) = group.first_chunk_mut::<MARK>() {
            *place = codec.mark(start, mark);
        }
        (start, group)
    }

    /// A group was given to the file, or could not be: it is kept until it is durable.
    pub(crate) fn retain(&mut self, start: u64, group: Vec<u8>) {
        // Small groups share a buffer: there may be thousands until the next sync.
        if let Some((_, last)) = self.unsynced.back_mut()
            && last.len() + group.len() <= MERGED_MOST
        {
            last.extend_from_slice(&group);
            self.reuse(group);
        } else {
            self.unsynced.push_back((start, group));
        }
    }

    fn reuse(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < 4 && buffer.capacity() <= BUFFER_MOST {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Everything before `end` is durable.
    pub(crate) fn made_durable(&mut self, end: u64) {
        self.durable = self.durable.max(end);
        while let Some((start, group)) = self.unsynced.front() {
            if start + group.len() as u64 > self.durable {
                break;
            }
            if let Some((_, group)) = self.unsynced.pop_front() {
                self.reuse(group);
            }
        }
        let durable = self.durable;
        self.acknowledged.retain(|start| *start >= durable);
        if self.durable >= self.written {
            self.unsynced_since = None;
        }
    }

    /// A caller is told that this record is written.
    pub(crate) fn acknowledge(&mut self, ticket: Ticket) {
        if ticket.start >= self.durable {
            self.acknowledged.push(ticket.start);
        }
    }

    /// Once nobody uses the failed file: what is lost, and what a fresh segment must contain.
    pub(crate) fn settle(&mut self, codec: Codec) {
        if self.writing || self.syncing {
            return;
        }
        let Some(error) = self.broken.take() else {
            return;
        };
        let mut carry = Vec::new();
        for (start, group) in self.unsynced.drain(..) {
            // The first buffer may hold groups that are durable.
            let passed = usize::try_from(self.durable.saturating_sub(start)).unwrap_or(usize::MAX);
            carry.extend_from_slice(group.get(passed..).unwrap_or_default());
        }
        carry.append(&mut self.gather);
        self.acknowledged.sort_unstable();
        self.void_unacknowledged(codec, &mut carry);
        self.failure = Some(Failure {
            cause: Arc::new(error),
            carry: Arc::new(carry),
            try_after: None,
        });
    }

    fn void_unacknowledged(&mut self, codec: Codec, carry: &mut [u8]) {
        let (mut at, mut rest) = (self.durable, carry);
        while !rest.is_empty() {
            // Room for a mark that was never filled in is not a record yet.
            let (size, keep) = match codec.parse(rest, at) {
                None => (MARK, false),
                Some(head) => (head.total(), self.is_kept(&head, at)),
            };
            let Some((record, after)) = rest.split_at_mut_checked(size) else {
                break;
            };
            if !keep {
                codec.make_void(record, at);
                self.lose(at, at + size as u64);
            }
            at += size as u64;
            rest = after;
        }
    }

    fn is_kept(&self, head: &Head, at: u64) -> bool {
        head.kind == Kind::Data && self.acknowledged.binary_search(&at).is_ok()
    }

    fn lose(&mut self, from: u64, to: u64) {
        match self.lost.back_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => self.lost.push_back((from, to)),
        }
        if self.lost.len() > LOST_MOST {
            self.lost.pop_front();
        }
    }

    /// Whether a record was given up.
    pub(crate) fn is_lost(&self, ticket: Ticket) -> bool {
        let found = self.lost.partition_point(|(_, to)| *to <= ticket.start);
        self.lost
            .get(found)
            .is_some_and(|(from, _)| *from <= ticket.start)
    }

    /// The header of a segment that begins at `start`, after the active one.
    pub(crate) fn next_header(&mut self, id: [u8; 16], start: u64) -> Header {
        self.generation += 1;
        // A segment nothing of which counts is passed over: its header may not be durable.
        let before = match &self.active {
            Some(active) if active.header.start < start => Some((
                active.header.generation,
                active.header.start,
                start.min(self.durable),
            )),
            Some(active) => Some((
                active.header.previous,
                active.header.previous_start,
                active.header.previous_end,
            )),
            None => self
                .finished
                .back()
                .map(|last| (last.generation, last.start, last.end)),
        };
        let (previous, previous_start, previous_end) = before.unwrap_or((0, start, start));
        Header {
            id,
            generation: self.generation,
            start,
            previous,
            previous_start,
            previous_end,
            cut: self.cut,
        }
    }

    /// `fresh` takes the place of the active segment, which ends where `fresh` begins.
    pub(crate) fn install(&mut self, fresh: Active, failed: bool) {
        let start = fresh.header.start;
        if let Some(old) = self.active.replace(Arc::new(fresh)) {
            self.finished.push_back(Finished {
                number: old.number,
                start: old.header.start,
                end: start,
                generation: old.header.generation,
                size: if failed { u64::MAX } else { old.allocated() },
                runs: vec![(old.header.start, start)],
            });
        }
    }

    /// Files that are neither needed nor wanted as spares; the caller removes them.
    pub(crate) fn superfluous(&mut self, segment_size: u64) -> Vec<u64> {
        if self.visitors > 0 {
            return Vec::new();
        }
        let usual = BLOCK.saturating_add(segment_size.saturating_mul(2));
        let mut kept = 0;
        let mut removed = Vec::new();
        self.spares.retain(|spare| {
            let keep = spare.size <= usual && kept < SPARES_MOST;
            if keep {
                kept += 1;
            } else {
                removed.push(spare.number);
            }
            keep
        });
        removed
    }

    /// The first position that is still needed when everything before `before` is not.
    pub(crate) fn boundary(&self, before: Lsn) -> Option<u64> {
        let kept = self.finished.iter().find(|one| one.end > before.0);
        match kept {
            Some(kept) => Some(kept.start),
            None => Some(self.active.as_ref()?.header.start),
        }
    }
}
