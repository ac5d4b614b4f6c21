//! Runs of messages as one transaction changes them: each is read once, changed in memory, and
//! written once.

use std::{collections::BTreeMap, mem};

use facteur_model::Uid;
use rusqlite::{Connection, OptionalExtension};

use crate::{
    IndexError,
    packed::{self, MAX_BYTES, MAX_MESSAGES, Packed},
    rows::{key, uid_in},
};

/// So many runs, and so many messages in one, are held before they are written: a change of a
/// million messages needs no more memory than one of some thousands.
const MAX_HELD: usize = 64;
const MAX_GROWN: usize = 4096;

/// The runs that a transaction has touched, by the first key they are answerable for.
#[derive(Debug)]
pub(crate) struct Runs<T>(BTreeMap<i64, Run<T>>);

/// One run: it answers for all keys from its own to `until`, which is another's.
#[derive(Debug)]
struct Run<T> {
    /// The key under which the database has it.
    stored: Option<i64>,
    until: i64,
    messages: Vec<T>,
    changed: bool,
    /// Messages were added behind its last: when it gets too long, what is written first is full.
    grown: bool,
    shrunk: bool,
}

/// One past the last key of a mailbox.
fn end(space: u32) -> i64 {
    key(space, u64::MAX).saturating_add(1)
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Packed> Runs<T> {
    /// Adds a message, or replaces the one of its UID.
    pub(crate) fn put(
        &mut self,
        connection: &Connection,
        space: u32,
        message: T,
    ) -> Result<(), IndexError> {
        let run = self.run(connection, space, message.uid().value())?;
        run.changed = true;
        let uid = message.uid();
        if run.messages.last().is_none_or(|last| last.uid() < uid) {
            run.messages.push(message);
            run.grown = true;
        } else {
            match run.messages.binary_search_by_key(&uid, T::uid) {
                Ok(at) => {
                    if let Some(slot) = run.messages.get_mut(at) {
                        *slot = message;
                    }
                }
                Err(at) => run.messages.insert(at, message),
            }
        }
        Ok(())
    }

    /// Calls `change` for every message of these UIDs.
    pub(crate) fn update(
        &mut self,
        connection: &Connection,
        space: u32,
        uids: (Uid, Uid),
        mut change: impl FnMut(&mut T),
    ) -> Result<(), IndexError> {
        self.each_run(connection, space, uids, |run, from, to| {
            if let Some(messages) = run.messages.get_mut(from..to)
                && !messages.is_empty()
            {
                messages.iter_mut().for_each(&mut change);
                run.changed = true;
            }
        })
    }

    /// Removes the messages of these UIDs; `removed` is told of each.
    pub(crate) fn remove(
        &mut self,
        connection: &Connection,
        space: u32,
        uids: (Uid, Uid),
        mut removed: impl FnMut(&T),
    ) -> Result<(), IndexError> {
        self.each_run(connection, space, uids, |run, from, to| {
            if from < to {
                run.messages
                    .drain(from..to)
                    .for_each(|message| removed(&message));
                (run.changed, run.shrunk) = (true, true);
            }
        })
    }

    /// Calls `work` for every run that has some of these UIDs, with the places of them in it.
    fn each_run(
        &mut self,
        connection: &Connection,
        space: u32,
        (low, high): (Uid, Uid),
        mut work: impl FnMut(&mut Run<T>, usize, usize),
    ) -> Result<(), IndexError> {
        let last = key(space, high.value().into());
        let mut next = low.value();
        loop {
            let run = self.run(connection, space, next)?;
            let from = run.messages.partition_point(|message| message.uid() < low);
            let to = run
                .messages
                .partition_point(|message| message.uid() <= high);
            work(run, from, to);
            if run.until > last {
                return Ok(());
            }
            // A key below one of the same mailbox has a UID.
            next = uid_in(run.until).map_or(u32::MAX, Uid::value);
        }
    }

    /// Removes all messages of a mailbox.
    pub(crate) fn clear(&mut self, connection: &Connection, space: u32) -> Result<(), IndexError> {
        let range = [key(space, 0), key(space, u64::MAX)];
        self.0
            .retain(|from, _| !(range[0]..=range[1]).contains(from));
        connection.prepare_cached(T::SQL.clear)?.execute(range)?;
        Ok(())
    }

    /// The run that answers for a UID.
    fn run(
        &mut self,
        connection: &Connection,
        space: u32,
        uid: u32,
    ) -> Result<&mut Run<T>, IndexError> {
        let wanted = key(space, uid.into());
        let mut from = self.held(wanted);
        if from.is_none() && self.0.len() >= MAX_HELD
            || from.is_some_and(|from| {
                self.0
                    .get(&from)
                    .is_some_and(|run| run.messages.len() >= MAX_GROWN)
            })
        {
            self.write(connection)?;
            from = None;
        }
        let from = match from {
            Some(from) => from,
            None => self.load(connection, space, wanted)?,
        };
        self.0
            .get_mut(&from)
            .ok_or_else(|| IndexError::Damaged("a run of messages is missing".to_owned()))
    }

    fn held(&self, wanted: i64) -> Option<i64> {
        let (from, run) = self.0.range(..=wanted).next_back()?;
        (run.until > wanted).then_some(*from)
    }

    /// Reads the run that answers for a key.
    fn load(
        &mut self,
        connection: &Connection,
        space: u32,
        wanted: i64,
    ) -> Result<i64, IndexError> {
        let (lowest, highest) = (key(space, 0), key(space, u64::MAX));
        let mut messages = Vec::new();
        let mut read = |sql, range: [i64; 2]| -> Result<Option<i64>, IndexError> {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(range)?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let id: i64 = row.get(0)?;
            packed::decode(row.get_ref(1)?.as_blob()?, uid_in(id), &mut messages)?;
            Ok(Some(id))
        };
        let (from, stored) = match read(T::SQL.last, [lowest, wanted])? {
            Some(id) => (id, Some(id)),
            // What is below the first run is that one's.
            None => match read(T::SQL.first, [wanted, highest])? {
                Some(id) => {
                    if let Some(run) = self.0.remove(&id) {
                        self.0.insert(lowest, run);
                        return Ok(lowest);
                    }
                    (lowest, Some(id))
                }
                None => (lowest, None),
            },
        };
        let until = match stored {
            Some(id) => connection
                .prepare_cached(T::SQL.next)?
                .query_row([id.saturating_add(1), highest], |row| row.get(0))
                .optional()?
                .unwrap_or_else(|| end(space)),
            None => end(space),
        };
        self.0.insert(
            from,
            Run {
                stored,
                until,
                messages,
                changed: false,
                grown: false,
                shrunk: false,
            },
        );
        Ok(from)
    }

    /// Writes what has changed, and holds nothing more.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<(), IndexError> {
        if self.0.values().any(|run| run.shrunk) {
            self.join_small(connection)?;
        }
        let mut pieces = Vec::new();
        for (from, run) in mem::take(&mut self.0) {
            if !run.changed {
                continue;
            }
            let space = u32::try_from(from >> 32).unwrap_or(0);
            let cut = cut(&run).into_iter();
            let cut: Vec<_> = cut
                .map(|(first, blob)| (key(space, first.value().into()), blob))
                .collect();
            let first = cut.first().map(|(id, _)| *id);
            if let Some(id) = run.stored.filter(|id| Some(*id) != first) {
                connection.prepare_cached(T::SQL.remove)?.execute([id])?;
            }
            pieces.extend(cut);
        }
        for (id, blob) in pieces {
            connection
                .prepare_cached(T::SQL.put)?
                .execute(rusqlite::params![id, blob])?;
        }
        Ok(())
    }

    /// Joins runs that have become short with neighbours that are short too.
    fn join_small(&mut self, connection: &Connection) -> Result<(), IndexError> {
        let shrunk = self.0.iter().filter(|(_, run)| run.shrunk);
        let shrunk: Vec<i64> = shrunk.map(|(from, _)| *from).collect();
        for from in shrunk {
            let is_short = |run: &Run<T>| !run.messages.is_empty() && is_short(&run.messages);
            if !self.0.get(&from).is_some_and(is_short) {
                continue;
            }
            let space = u32::try_from(from >> 32).unwrap_or(0);
            if let Some(before) = self.before(connection, space, from)? {
                self.join_next(connection, space, before)?;
            }
            while self.join_next(connection, space, from)? {}
        }
        Ok(())
    }

    /// The run before this one.
    fn before(
        &mut self,
        connection: &Connection,
        space: u32,
        from: i64,
    ) -> Result<Option<i64>, IndexError> {
        let wanted = from.saturating_sub(1);
        if wanted < key(space, 0) {
            return Ok(None);
        }
        match self.held(wanted) {
            Some(before) => Ok(Some(before)),
            None => self.load(connection, space, wanted).map(Some),
        }
    }

    /// Moves the messages of the next run into this one when they fit; says whether to go on.
    fn join_next(
        &mut self,
        connection: &Connection,
        space: u32,
        from: i64,
    ) -> Result<bool, IndexError> {
        let Some(run) = self.0.get(&from) else {
            return Ok(false);
        };
        let Some((messages, bytes)) = room(&run.messages).filter(|_| run.until < end(space)) else {
            return Ok(false);
        };
        let until = run.until;
        if self.held(until).is_none() {
            self.load(connection, space, until)?;
        }
        let (Some(next), Some(run)) = (self.0.remove(&until), self.0.get_mut(&from)) else {
            return Ok(false);
        };
        let Run { stored, .. } = next;
        if next.messages.len() > messages || encoded_len(&next.messages) > bytes {
            self.0.insert(until, next);
            return Ok(false);
        }
        run.messages.extend(next.messages);
        run.until = next.until;
        run.changed = true;
        // What was the next one's place is this one's now.
        if let Some(id) = stored {
            connection.prepare_cached(T::SQL.remove)?.execute([id])?;
        }
        Ok(true)
    }
}

/// What joined runs have at most: so that they are not cut again soon.
const JOINED_MESSAGES: usize = MAX_MESSAGES * 3 / 4;
const JOINED_BYTES: usize = MAX_BYTES * 3 / 4;

/// Whether these are so few that they should join others.
fn is_short<T: Packed>(messages: &[T]) -> bool {
    messages.len() <= JOINED_MESSAGES / 2 && encoded_len(messages) <= JOINED_BYTES / 2
}

/// How many messages and bytes may join these.
fn room<T: Packed>(messages: &[T]) -> Option<(usize, usize)> {
    let left = JOINED_MESSAGES.checked_sub(messages.len())?;
    Some((left, JOINED_BYTES.checked_sub(encoded_len(messages))?))
}

/// The length of a blob of all of these; more than a blob can have when they do not fit one.
fn encoded_len<T: Packed>(messages: &[T]) -> usize {
    let (blob, taken) = packed::encode(messages, MAX_MESSAGES);
    if taken == messages.len() {
        blob.len()
    } else {
        usize::MAX
    }
}

/// Cuts a run into blobs. One that grew at its end is cut so that only the last is not full; in
/// another the messages are spread evenly, so that each has room.
fn cut<T: Packed>(run: &Run<T>) -> Vec<(Uid, Vec<u8>)> {
    let full = pieces(&run.messages, MAX_MESSAGES);
    if run.grown || full.len() < 2 {
        return full;
    }
    pieces(&run.messages, run.messages.len().div_ceil(full.len()))
}

fn pieces<T: Packed>(messages: &[T], most: usize) -> Vec<(Uid, Vec<u8>)> {
    let mut rest = messages;
    let mut pieces = Vec::new();
    while let Some(first) = rest.first() {
        let (blob, taken) = packed::encode(rest, most);
        pieces.push((first.uid(), blob));
        rest = rest.get(taken..).unwrap_or_default();
    }
    pieces
}
