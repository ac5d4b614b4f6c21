//! Reading messages from their files.

mod form;
mod reader;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_compression::{Decompressor, Method};
use facteur_disk::{Disk, DiskFile};
use facteur_message::{Limits, Scanned, Scanner};
use facteur_model::{MailFormat, Uid};
use facteur_sdbox::{CrlfLines, MessageFile, Metadata};

use self::form::{Form, Stored};
pub use self::reader::MessageReader;
use crate::{Mailbox, StoreError};

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// Messages up to this size are read with one call when they are wanted whole.
const AT_ONCE: usize = 64 * 1024;
/// So much is read at once in any case: most headers are shorter.
const FIRST: usize = 8 * 1024;

/// Reads a message's file for a client; `octets` of it are wanted.
pub(crate) fn reader(
    disk: &Disk,
    opened: OpenFile,
    octets: u64,
    staging: &Arc<PathBuf>,
) -> Result<MessageReader, StoreError> {
    let OpenFile { file, size, .. } = opened;
    let wanted = usize::try_from(octets.min(size)).unwrap_or(usize::MAX);
    let first = if wanted > AT_ONCE {
        FIRST
    } else {
        wanted.max(FIRST)
    };
    let first = usize::try_from(size).map_or(first, |size| size.min(first));
    let (file, begin, offset, stored_size, form) = match opened.format {
        MailFormat::Sdbox => {
            let begin = file.read_begin(MessageFile::HEAD.saturating_add(first))?;
            let message = MessageFile::of(file, &begin)?;
            let form = Form::of(&message, size)?;
            (
                message.file,
                begin,
                message.offset,
                message.stored_size,
                form,
            )
        }
        MailFormat::Maildir => {
            let begin = file.read_begin(first.max(facteur_maildir::MessageFile::HEAD))?;
            let message = facteur_maildir::MessageFile::of(file, &begin)?;
            let form = Form::in_maildir(&message, opened.plain_size)?;
            (message.file, begin, 0, message.stored_size, form)
        }
    };
    if form == Form::Plain && stored_size == size {
        let file = file.into_file();
        return Ok(MessageReader::of_begun_file(file, begin, offset, size));
    }
    let stored = Stored::new(file, offset, stored_size);
    let source: Box<dyn io::Read + Send> = match form {
        Form::Plain => Box::new(CrlfLines::new(stored)),
        Form::Compressed(method, plain) if plain == size => {
            Box::new(Decompressor::new(method, stored, plain)?)
        }
        Form::Compressed(method, plain) => {
            Box::new(CrlfLines::new(Decompressor::new(method, stored, plain)?))
        }
    };
    Ok(MessageReader::of_source(source, size, disk, staging)?)
}

/// A message's reader, if it is to be read whole, is stored as clients see it, and its file is in
/// memory; `None` says nothing.
pub(crate) fn reader_at_hand(
    disk: &Disk,
    path: &Path,
    (format, size, octets): (MailFormat, u64, u64),
) -> Option<MessageReader> {
    let whole = usize::try_from(size).ok()?;
    if whole > AT_ONCE || (octets < size && whole > FIRST) {
        return None;
    }
    let bytes = disk.read_at_hand(path, MessageFile::HEAD.saturating_add(whole))?;
    let (offset, stored_size, looks) = match format {
        MailFormat::Sdbox => {
            let head = facteur_sdbox::Head::of(&bytes).ok()?;
            (head.offset, head.stored_size, head.looks)
        }
        MailFormat::Maildir => (0, bytes.len() as u64, Method::detect(&bytes)),
    };
    let there = offset.saturating_add(size) <= bytes.len() as u64;
    (looks.is_none() && stored_size == size && there)
        .then(|| MessageReader::of_memory(bytes, offset, size))
}

/// Files opened ahead of the one that is read.
const AHEAD: usize = 32;

/// A message's open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: DiskFile,
    /// RFC822.SIZE.
    pub(crate) size: u64,
    pub(crate) format: MailFormat,
    /// Its size when not compressed, as a Maildir's name says it.
    pub(crate) plain_size: Option<u64>,
}

/// A file opened ahead.
pub(crate) type Opened = Result<OpenFile, StoreError>;

/// Messages opened in turn. The disk fetches those that come next while one is read, from the first
/// on that is not in memory.
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
        if let Ok(opened) = &opened {
            opened.file.will_need(self.octets.min(opened.size));
        }
        (uid, opened)
    }
}

impl<I: Iterator<Item = Uid>> Iterator for Readers<'_, I> {
    type Item = (Uid, Result<MessageReader, StoreError>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.ahead.is_empty() {
            let uid = self.uids.next()?;
            if let Some(reader) = self.mailbox.reader_at_hand(uid, self.octets) {
                return Some((uid, Ok(reader)));
            }
            let opened = self.open(uid);
            self.ahead.push_back(opened);
        }
        while self.ahead.len() < AHEAD
            && let Some(uid) = self.uids.next()
        {
            let opened = self.open(uid);
            self.ahead.push_back(opened);
        }
        let (uid, opened) = self.ahead.pop_front()?;
        let reader = opened.and_then(|opened| self.mailbox.reader(opened, self.octets));
        Some((uid, reader))
    }
}

/// What the wire needs of a message in its file; of one whose compressed octets are damaged, what
/// the octets before tell.
pub(crate) fn scan_stored(file: &MessageFile, metadata: &Metadata) -> Result<Scanned, StoreError> {
    scan(Form::by(file, metadata), Stored::of(file)).map(|(scanned, _)| scanned)
}

/// The same of a file of a Maildir, whose name says this plain size; and why no more of it can be
/// read, if it is damaged.
pub(crate) fn scan_maildir(
    file: &facteur_maildir::MessageFile,
    plain_size: Option<u64>,
) -> Result<(Scanned, Option<io::Error>), StoreError> {
    let stored = Stored::new(&file.file, 0, file.stored_size);
    scan(Form::in_maildir(file, plain_size), stored)
}

fn scan(
    form: io::Result<Form>,
    mut stored: Stored<&DiskFile>,
) -> Result<(Scanned, Option<io::Error>), StoreError> {
    let mut scanner = Scanner::new(Limits::default());
    let scanned = form.map_err(StoreError::from).and_then(|form| match form {
        Form::Plain => push_all(&mut scanner, &mut stored),
        Form::Compressed(method, plain) => {
            push_all(&mut scanner, &mut Decompressor::new(method, stored, plain)?)
        }
    });
    let damage = match scanned {
        Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::error!(%error, "message is damaged");
            Some(error)
        }
        scanned => scanned.map(|()| None)?,
    };
    Ok((scanner.finish(), damage))
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
