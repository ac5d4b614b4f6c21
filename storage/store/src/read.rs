//! Reading messages from their files.

use std::{fs::File, io, path::Path};

use facteur_disk::{Disk, DiskFile};
use facteur_message::{Limits, Scanned, Scanner};
use facteur_sdbox::{CrlfLines, MessageFile, Metadata};

use crate::StoreError;

/// An open message file.
#[derive(Debug)]
pub struct MessageReader {
    /// The file.
    pub file: File,
    /// Where the message begins in it.
    pub offset: u64,
    /// RFC822.SIZE.
    pub size: u64,
}

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// Opens a message for a client. One that another program stored with LF line ends is given as a
/// file without a name, in `staging`, with CRLF.
pub(crate) fn open(
    disk: &Disk,
    path: &Path,
    size: u64,
    staging: &Path,
) -> Result<MessageReader, StoreError> {
    let stored = MessageFile::open(disk, path)?;
    if stored.stored_size == size {
        return Ok(MessageReader {
            file: stored.file.into_file(),
            offset: stored.offset,
            size,
        });
    }
    refuse_compressed(&stored, &stored.metadata()?)?;
    let mut whole = disk.anonymous(staging)?;
    let size = io::copy(&mut CrlfLines::new(Stored::new(&stored)), &mut whole)?;
    Ok(MessageReader {
        file: whole.into_file(),
        offset: 0,
        size,
    })
}

/// What the wire needs of a message in its file. Of a compressed one nothing is known but its size.
pub(crate) fn scan_stored(file: &MessageFile, metadata: &Metadata) -> Result<Scanned, StoreError> {
    if refuse_compressed(file, metadata).is_err() {
        return Ok(facteur_message::scan(b""));
    }
    let mut scanner = Scanner::new(Limits::default());
    push_all(&mut scanner, &mut Stored::new(file))?;
    Ok(scanner.finish())
}

/// Scans what `reader` gives.
pub(crate) fn push_all(scanner: &mut Scanner, reader: &mut dyn io::Read) -> Result<(), StoreError> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => scanner.push(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn refuse_compressed(file: &MessageFile, metadata: &Metadata) -> Result<(), StoreError> {
    match metadata.plain_size {
        Some(plain) if plain != file.stored_size => Err(StoreError::Cannot(
            "the message is compressed, which this version does not read",
        )),
        _ => Ok(()),
    }
}

/// A message's bytes as its file has them.
struct Stored<'a> {
    file: &'a DiskFile,
    at: u64,
    end: u64,
}

impl<'a> Stored<'a> {
    fn new(message: &'a MessageFile) -> Self {
        Self {
            file: &message.file,
            at: message.offset,
            end: message.offset.saturating_add(message.stored_size),
        }
    }
}

impl io::Read for Stored<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let most = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        let read = self
            .file
            .read_at(out.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
