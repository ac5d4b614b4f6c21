//! Looking at the log while it grows.

use std::sync::Arc;

use crate::{
    Inner, Journal, JournalError, Lsn, Ticket, Until,
    record::{Codec, HEAD, Kind},
    recovered::{Piece, Records},
    segment,
};

/// What has become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not durable yet.
    Pending,
    /// Durable.
    Durable,
    /// Given up: it is not in the log.
    Failed,
}

impl Journal {
    /// What has become of a record. Never waits. With [`Fsync::Never`](crate::Fsync::Never) a record
    /// counts as durable once it is written.
    pub fn progress(&self, ticket: Ticket) -> Progress {
        let state = self.inner.lock();
        if state.is_lost(ticket) {
            Progress::Failed
        } else if ticket.end <= state.durable {
            Progress::Durable
        } else {
            Progress::Pending
        }
    }

    /// Everything before this position is durable (or given up).
    pub fn durable(&self) -> Lsn {
        Lsn(self.inner.lock().durable)
    }

    /// Shows `see` every record that was appended before this call and is not cut, in order, those
    /// of earlier processes first. Others may append, rotate and cut meanwhile.
    ///
    /// # Errors
    /// The first error of `see`; [`JournalError::Read`]; [`JournalError::Failed`] if a record could
    /// not be written just now (a later call leaves it out).
    pub fn visit<E: From<JournalError>>(
        &self,
        mut see: impl FnMut(Lsn, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let inner = &*self.inner;
        let (visit, carry) = Visit::begin(inner)?;
        let mut records = Records::new(&inner.disk, inner.codec, &visit.pieces);
        while let Some((lsn, body)) = records.read()? {
            see(lsn, body)?;
        }
        if let Some((start, carry)) = carry {
            for (lsn, body) in in_memory(inner.codec, start, &carry) {
                see(lsn, body)?;
            }
        }
        Ok(())
    }
}

/// While one lives no file that was cut is overwritten or removed.
struct Visit<'a> {
    inner: &'a Inner,
    pieces: Vec<Piece>,
}

/// Where the part that is only in memory begins, and that part.
type Carry = Option<(u64, Arc<Vec<u8>>)>;

impl<'a> Visit<'a> {
    fn begin(inner: &'a Inner) -> Result<(Self, Carry), JournalError> {
        let mut state = inner.lock();
        if state.failure.is_none() && state.written < state.next {
            let all = Ticket {
                start: state.next - 1,
                end: state.next,
            };
            drop(state);
            inner.wait(all, Until::Written)?;
            state = inner.lock();
        }
        let path = |number| segment::path(&inner.options.dir, number);
        let mut pieces = Vec::new();
        for one in &state.finished {
            pieces.extend(one.runs.iter().map(|(from, to)| Piece {
                path: path(one.number),
                start: one.start,
                from: *from,
                to: *to,
            }));
        }
        let carry = state
            .failure
            .as_ref()
            .map(|failure| Arc::clone(&failure.carry));
        let to = match carry {
            Some(_) => state.durable,
            None => state.written,
        };
        if let Some(active) = &state.active {
            pieces.push(Piece {
                path: path(active.number),
                start: active.header.start,
                from: active.header.start,
                to,
            });
        }
        let carry = carry.map(|carry| (state.durable, carry));
        state.visitors += 1;
        drop(state);
        Ok((Self { inner, pieces }, carry))
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let removed = {
            let mut state = self.inner.lock();
            state.visitors -= 1;
            state.superfluous(self.inner.options.segment_size)
        };
        self.inner.remove(&removed);
    }
}

fn in_memory(codec: Codec, start: u64, bytes: &[u8]) -> impl Iterator<Item = (Lsn, &[u8])> {
    let mut at = start;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let head = codec.parse(rest, at)?;
            let body = rest.get(HEAD..HEAD + head.length)?;
            let here = Lsn(at);
            at += head.total() as u64;
            rest = rest.get(head.total()..)?;
            if head.kind == Kind::Data {
                return Some((here, body));
            }
        }
    })
}
