//! Reading a file from the middle.

use std::io::{self, Read};

use facteur_disk::DiskFile;

use crate::{SpoolError, format::Head};

/// The body of an entry, from its first byte to its last.
#[derive(Debug)]
pub struct BodyReader {
    file: DiskFile,
    offset: u64,
    length: u64,
    left: u64,
}

impl BodyReader {
    /// A reader over body `index` of an open file.
    pub(crate) fn new(file: DiskFile, head: &Head, index: usize) -> Result<Self, SpoolError> {
        let (offset, length) = head
            .body(index)
            .ok_or(SpoolError::Damaged("it lacks a body that it should have"))?;
        Ok(Self {
            file,
            offset,
            length,
            left: length,
        })
    }

    /// Its whole length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// How many bytes were not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether it has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Read for BodyReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buf.len(), |left| left.min(buf.len()));
        let Some(buf) = buf.get_mut(..most).filter(|buf| !buf.is_empty()) else {
            return Ok(0);
        };
        let count = self.file.read_at(buf, self.offset)?;
        if count == 0 {
            // Never taken for the end of the message: a shortened one must not be sent.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Reads a file onwards from an offset.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    file: &'a DiskFile,
    offset: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(file: &'a DiskFile, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buf, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
