//! From a mailbox's index files to its image.

use std::fmt;

use crate::{MailboxImage, apply, log::Log, snapshot::Snapshot, state::State};

/// The index files of one mailbox, those that are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// `dovecot.index`
    pub index: Option<&'a [u8]>,
    /// `dovecot.index.log`
    pub log: Option<&'a [u8]>,
    /// `dovecot.index.log.2`
    pub log2: Option<&'a [u8]>,
    /// `dovecot.index.backup`
    pub backup: Option<&'a [u8]>,
}

/// Why index files say nothing that can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There are none.
    #[error("there is no index and no log")]
    Missing,
    /// Another layout than Dovecot 2's.
    #[error("{what} is of version {version}, which is not known")]
    Version {
        /// Which file.
        what: &'static str,
        /// Its major version.
        version: u8,
    },
    /// A big-endian machine wrote it.
    #[error("it was written on a machine with another byte order")]
    Endianness,
    /// It contradicts itself.
    #[error("{0}")]
    Damaged(&'static str),
    /// The log does not go back to where the index ends, or to the mailbox's beginning.
    #[error("there is no index, and the log does not go back to the mailbox's beginning")]
    NoBeginning,
    /// The mailbox was never used.
    #[error("it has no UIDVALIDITY")]
    NoUidValidity,
    /// The log changes too much, over and over.
    #[error("its log is too long for its mailbox")]
    TooMuch,
}

/// What was not as it should be, though an image could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The index could not be used; something older stands in for it.
    Index(Unreadable),
    /// The log could not be used: the latest changes are missing.
    Log(Unreadable),
    /// A part of the log between the index and what is there is missing.
    Gap,
    /// The log's end was not wholly written; it was cut there.
    CutLog,
    /// The index ends before its last message.
    CutIndex,
    /// So many records of the log made no sense.
    Skipped(u64),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(why) => write!(f, "index cannot be used: {why}"),
            Self::Log(why) => write!(f, "log cannot be used: {why}"),
            Self::Gap => f.write_str("a part of the log is missing"),
            Self::CutLog => f.write_str("log is cut at its end"),
            Self::CutIndex => f.write_str("index is cut at its end"),
            Self::Skipped(records) => write!(f, "{records} records of the log make no sense"),
        }
    }
}

/// An image, and what stood in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The mailbox.
    pub image: MailboxImage,
    /// What was not as it should be.
    pub remarks: Vec<Remark>,
}

/// Reads a mailbox's index files.
///
/// # Errors
/// When nothing in them can be relied on.
pub fn read(files: &Files<'_>) -> Result<Reading, Unreadable> {
    let mut remarks = Vec::new();
    if files.index.is_none() && files.log.is_none() && files.backup.is_none() {
        return Err(Unreadable::Missing);
    }
    let mut snapshot = None;
    for (bytes, is_backup) in [(files.index, false), (files.backup, true)] {
        // A backup is of use only when the index is not.
        let Some(bytes) = bytes.filter(|_| snapshot.is_none()) else {
            continue;
        };
        match Snapshot::parse(bytes) {
            Ok(parsed) => snapshot = Some(parsed),
            Err(_) if is_backup => {}
            Err(why) => remarks.push(Remark::Index(why)),
        }
    }
    if snapshot.as_ref().is_some_and(|snapshot| snapshot.is_cut) {
        remarks.push(Remark::CutIndex);
    }
    let index_id = snapshot.as_ref().map(|snapshot| snapshot.index_id);
    let logs = logs(files, index_id, &mut remarks);
    let state = replay(snapshot, &logs, &mut remarks)?;
    Ok(Reading {
        image: state.image()?,
        remarks,
    })
}

/// The logs that belong to the index, oldest first.
fn logs<'a>(files: &Files<'a>, index_id: Option<u32>, remarks: &mut Vec<Remark>) -> Vec<Log<'a>> {
    let head = files.log.map(Log::parse);
    let mut usable: Vec<Log<'_>> = Vec::new();
    match head {
        Some(Ok(log)) => usable.push(log),
        Some(Err(why)) => remarks.push(Remark::Log(why)),
        None => remarks.push(Remark::Log(Unreadable::Missing)),
    }
    usable.extend(files.log2.and_then(|bytes| Log::parse(bytes).ok()));
    usable.sort_by_key(|log| log.header.seq);
    usable.dedup_by_key(|log| log.header.seq);
    let wanted = index_id.or(usable.last().map(|log| log.header.index_id));
    let is_ours = |log: &Log<'_>| log.header.index_id != 0 && Some(log.header.index_id) == wanted;
    if usable.last().is_some_and(|log| !is_ours(log)) {
        remarks.push(Remark::Log(Unreadable::Damaged(
            "it was found damaged, or belongs to another index",
        )));
    }
    usable.retain(is_ours);
    if usable.last().is_some_and(Log::is_cut) {
        remarks.push(Remark::CutLog);
    }
    usable
}

/// Applies the logs from where the snapshot ends.
fn replay(
    snapshot: Option<Snapshot>,
    logs: &[Log<'_>],
    remarks: &mut Vec<Remark>,
) -> Result<State, Unreadable> {
    let (mut state, seq, offset) = match snapshot {
        Some(snapshot) => (snapshot.state, snapshot.log_seq, snapshot.log_offset),
        None => (State::empty(), 0, 0),
    };
    // A log without one before it begins the mailbox anew, unless it is the one that the snapshot
    // goes into.
    let begins = |log: &Log<'_>| {
        let header = log.header;
        header.previous_seq == 0
            && (header.seq > seq || header.seq == seq && offset as usize <= header.size)
    };
    let first = match logs.iter().rposition(begins) {
        Some(at) => {
            state.reset();
            Some((at, 0))
        }
        None if seq == 0 => return Err(Unreadable::NoBeginning),
        None => join(logs, seq, offset as usize, remarks),
    };
    let Some((first, offset)) = first else {
        return Ok(state);
    };
    let (mut skipped, mut before): (u64, Option<&Log<'_>>) = (0, None);
    for log in logs.get(first..).unwrap_or_default() {
        if before.is_some_and(|before| {
            log.header.previous_seq != before.header.seq
                || log.header.previous_offset as usize != before.end
        }) {
            remarks.push(Remark::Gap);
        }
        let from = if before.is_none() { offset } else { 0 };
        skipped += apply::log(&mut state, log, from)?.skipped;
        before = Some(log);
    }
    if skipped > 0 {
        remarks.push(Remark::Skipped(skipped));
    }
    Ok(state)
}

/// The log, and the place in it, at which a snapshot that goes to (`seq`, `offset`) is joined.
fn join(
    logs: &[Log<'_>],
    seq: u32,
    offset: usize,
    remarks: &mut Vec<Remark>,
) -> Option<(usize, usize)> {
    let follows = |log: &Log<'_>| {
        log.header.previous_seq == seq && log.header.previous_offset as usize == offset
    };
    if let Some(at) = logs.iter().position(follows) {
        return Some((at, 0));
    }
    match logs.iter().position(|log| log.header.seq == seq) {
        Some(at) => {
            // It is shorter than it was: what is lost is in the snapshot.
            let log = logs.get(at)?;
            if offset > log.end {
                remarks.push(Remark::Gap);
            }
            Some((at, offset))
        }
        None => {
            let newer = logs.iter().position(|log| log.header.seq > seq);
            if !logs.is_empty() {
                remarks.push(Remark::Gap);
            }
            newer.map(|at| (at, 0))
        }
    }
}
