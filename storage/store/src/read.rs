//! Reading messages from their files.

use std::{collections::VecDeque, fs::File, io, path::Path};

use facteur_disk::{Disk, DiskFile};
use facteur_message::{Limits, Scanned, Scanner};
use facteur_model::Uid;
use facteur_sdbox::{CrlfLines, MessageFile, Metadata};

use crate::{Mailbox, StoreError};

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

/// Reads a message's file for a client. One that another program stored with LF line ends is given
/// as a file without a name, in `staging`, with CRLF.
pub(crate) fn reader(
    disk: &Disk,
    file: DiskFile,
    size: u64,
    staging: &Path,
) -> Result<MessageReader, StoreError> {
    let stored = MessageFile::new(file)?;
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

/// Files opened ahead of the one that is read.
const AHEAD: usize = 32;

/// A file opened ahead, and its message's size.
pub(crate) type Opened = Result<(DiskFile, u64), StoreError>;

/// Messages opened in turn: the disk fetches those that come next while one is read.
#[derive(Debug)]
pub struct Readers<'m, I> {
    mailbox: &'m Mailbox,
    uids: I,
    /// So much of each message is fetched ahead.
    octets: u64,
    ahead: VecDeque<(Uid, Opened)>,
}

impl<'m, I: Iterator<Item = Uid>> Readers<'m, I> {
    pub(crate) fn new(mailbox: &'m Mailbox, uids: I, octets: u64) -> Self {
        Self {
            mailbox,
            uids,
            octets,
            ahead: VecDeque::new(),
        }
    }

    fn open(&mut self, uid: Uid) -> (Uid, Opened) {
        let opened = self.mailbox.open_file(uid);
        if let Ok((file, size)) = &opened {
            file.will_need(self.octets.min(*size));
        }
        (uid, opened)
    }
}

impl<I: Iterator<Item = Uid>> Iterator for Readers<'_, I> {
    type Item = (Uid, Result<MessageReader, StoreError>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.ahead.len() < AHEAD
            && let Some(uid) = self.uids.next()
        {
            let opened = self.open(uid);
            self.ahead.push_back(opened);
        }
        let (uid, opened) = self.ahead.pop_front()?;
        let reader = opened.and_then(|(file, size)| self.mailbox.reader(file, size));
        Some((uid, reader))
    }
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
