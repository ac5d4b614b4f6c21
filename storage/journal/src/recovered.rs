//! What an earlier process left.

use std::{
    io,
    path::{Path, PathBuf},
};

use facteur_disk::Disk;

use crate::{
    JournalError, Lsn,
    record::{Codec, Kind},
    scan::Reader,
};

/// A stretch of the log that had been durable and can no longer be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Its first position.
    pub from: Lsn,
    /// The first position after it.
    pub to: Lsn,
}

/// A stretch of undamaged records in one file.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) path: PathBuf,
    /// Where the segment in that file begins.
    pub(crate) start: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What an earlier process left, until it is cut.
#[derive(Debug)]
pub struct Recovered {
    pub(crate) disk: Disk,
    pub(crate) codec: Codec,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) unreadable: Vec<PathBuf>,
    pub(crate) new: bool,
    pub(crate) clean: bool,
    pub(crate) torn: bool,
}

impl Recovered {
    /// Whether there was no journal: it is new, or somebody removed it.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Whether the journal had been closed in order, or is new.
    pub fn was_clean(&self) -> bool {
        self.clean
    }

    /// What had been durable and is lost, in order. Records after such a place are delivered.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Files that hold no segment although something was written to them. They were set aside.
    pub fn unreadable(&self) -> &[PathBuf] {
        &self.unreadable
    }

    /// Whether the end was cut off because it had been written in part only. That happens when a
    /// machine or process dies; nothing acknowledged is in it.
    pub fn was_torn(&self) -> bool {
        self.torn
    }

    /// The records, in order, read from the files one by one. Read them before they are cut.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.disk, self.codec, &self.pieces)
    }
}

/// Reads records one by one.
#[derive(Debug)]
pub struct Records<'a> {
    disk: &'a Disk,
    codec: Codec,
    pieces: std::slice::Iter<'a, Piece>,
    open: Option<(&'a Path, Reader, u64, u64)>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(disk: &'a Disk, codec: Codec, pieces: &'a [Piece]) -> Self {
        Self {
            disk,
            codec,
            pieces: pieces.iter(),
            open: None,
        }
    }

    /// The next record, with where it begins; `None` after the last.
    ///
    /// # Errors
    /// [`JournalError::Read`].
    pub fn read(&mut self) -> Result<Option<(Lsn, &[u8])>, JournalError> {
        loop {
            let Some((path, reader, at, to)) = self.open.as_mut() else {
                let Some(piece) = self.pieces.next() else {
                    return Ok(None);
                };
                let reader = self.disk.open(&piece.path);
                let reader = reader.and_then(|file| Reader::new(file, piece.start));
                let reader = reader.map_err(|error| JournalError::read(&piece.path, error))?;
                self.open = Some((&piece.path, reader, piece.from, piece.to));
                continue;
            };
            if *at >= *to {
                self.open = None;
                continue;
            }
            let found = reader.record(self.codec, *at);
            let found = found.and_then(|head| {
                head.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has changed"))
            });
            let head = found.map_err(|error| JournalError::read(*path, error))?;
            let start = *at;
            *at += head.total() as u64;
            if head.kind != Kind::Data {
                continue;
            }
            // Borrowed anew: the borrow above may not outlive the loop.
            return match self.open.as_mut() {
                None => Ok(None),
                Some((path, reader, ..)) => match reader.body(&head, start) {
                    Ok(body) => Ok(Some((Lsn(start), body))),
                    Err(error) => Err(JournalError::read(*path, error)),
                },
            };
        }
    }
}
