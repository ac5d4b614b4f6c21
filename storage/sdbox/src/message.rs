//! A message's file: a line about the file, a header, the message, its metadata.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use facteur_compression::Method;
use facteur_disk::{Disk, DiskFile};
use facteur_format::Source;
use facteur_model::InternalDate;

use crate::metadata::{MAGIC, Metadata};

/// Length of the header before a message, and what the file's first line says of it.
const HEADER_LEN: usize = 30;
/// No more stands before a message.
const MAX_HEAD: usize = 240;
/// Longest metadata block read.
const MAX_METADATA: u64 = 64 * 1024;

/// A message about to be written: its bytes, with CRLF line ends, and what is said of it.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// Its bytes, in order.
    pub parts: &'a [Source<'a>],
    /// Its metadata; a missing virtual size is filled in.
    pub metadata: Metadata,
    /// When the file is made, in seconds since the Unix epoch.
    pub created: i64,
}

impl NewMessage<'_> {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(Source::size).sum()
    }

    /// Writes it into `dir` under a temporary name. The file's mtime is the time it was received.
    /// Before it gets its name the caller makes it durable ([`DiskFile::sync_all`]).
    ///
    /// # Errors
    /// As the calls it makes; the temporary file is removed.
    pub fn write(&self, disk: &Disk, dir: &Path) -> io::Result<(PathBuf, DiskFile)> {
        let path = Disk::temporary_path(dir);
        let mut file = disk.create_new(&path)?;
        if let Err(error) = self.fill(&mut file) {
            let _ = disk.unlink(&path);
            return Err(error);
        }
        Ok((path, file))
    }

    fn fill(&self, file: &mut DiskFile) -> io::Result<()> {
        let size = self.size();
        let mut head = Vec::with_capacity(64);
        writeln!(head, "2 M{HEADER_LEN:x} C{:x}", self.created)?;
        writeln!(head, "\x01\x02N          {size:016X}")?;
        let metadata = Metadata {
            virtual_size: self.metadata.virtual_size.or(Some(size)),
            ..self.metadata.clone()
        };
        Source::write_all(self.parts, &head, &metadata.encode(), file)?;
        if let Some(received) = self.metadata.received {
            file.set_modified(received.unix())?;
        }
        Ok(())
    }
}

/// An open message file.
#[derive(Debug)]
pub struct MessageFile {
    /// The file.
    pub file: DiskFile,
    /// Where the message begins in it.
    pub offset: u64,
    /// How many bytes it takes there.
    pub stored_size: u64,
    /// The compression that its first bytes are a mark of.
    pub looks: Option<Method>,
}

impl MessageFile {
    /// Opens a message's file.
    ///
    /// # Errors
    /// As `open(2)` and `read(2)`; [`io::ErrorKind::InvalidData`] when it is no dbox file.
    pub fn open(disk: &Disk, path: &Path) -> io::Result<Self> {
        Self::new(disk.open(path)?)
    }

    /// Of an open file.
    ///
    /// # Errors
    /// As `read(2)`; [`io::ErrorKind::InvalidData`] when it is no dbox file.
    pub fn new(file: DiskFile) -> io::Result<Self> {
        let head = file.read_begin(Self::HEAD)?;
        Self::of(file, &head)
    }

    /// So many of a file's first bytes say where the message lies in it.
    pub const HEAD: usize = MAX_HEAD + Method::MAGIC_LEN;

    /// Of an open file whose first bytes are known: [`Self::HEAD`] of them or more, as far as it has
    /// them.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is no dbox file.
    pub fn of(file: DiskFile, head: &[u8]) -> io::Result<Self> {
        let Head {
            offset,
            stored_size,
            looks,
        } = Head::of(head)?;
        Ok(Self {
            file,
            offset,
            stored_size,
            looks,
        })
    }

    /// Reads the metadata behind the message.
    ///
    /// # Errors
    /// As `read(2)`; [`io::ErrorKind::InvalidData`] when it is damaged.
    pub fn metadata(&self) -> io::Result<Metadata> {
        let size = self.file.size()?;
        let at = self.offset.saturating_add(self.stored_size);
        let left = size
            .checked_sub(at)
            .filter(|left| *left <= MAX_METADATA)
            .and_then(|left| usize::try_from(left).ok())
            .ok_or_else(|| damaged("size"))?;
        let mut block = vec![0; left];
        self.file.read_exact_at(&mut block, at)?;
        block
            .strip_prefix(MAGIC)
            .and_then(Metadata::decode)
            .ok_or_else(|| damaged("metadata"))
    }

    /// Its mtime, which is its INTERNALDATE.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn modified(&self) -> io::Result<InternalDate> {
        Ok(InternalDate::from_unix(self.file.modified()?))
    }
}

/// What a file's first bytes say.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// As [`MessageFile::offset`].
    pub offset: u64,
    /// As [`MessageFile::stored_size`].
    pub stored_size: u64,
    /// As [`MessageFile::looks`].
    pub looks: Option<Method>,
}

impl Head {
    /// Of a file's first bytes: [`MessageFile::HEAD`] of them or more, as far as it has them.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is no dbox file.
    pub fn of(head: &[u8]) -> io::Result<Self> {
        let (offset, stored_size) =
            parse_head(head.get(..MAX_HEAD).unwrap_or(head)).ok_or_else(|| damaged("header"))?;
        let begin = usize::try_from(offset).ok().and_then(|at| head.get(at..));
        Ok(Self {
            offset,
            stored_size,
            looks: Method::detect(begin.unwrap_or_default()),
        })
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("message file's {what} is damaged"),
    )
}

/// Offset and stored size of the message, from the beginning of its file.
fn parse_head(head: &[u8]) -> Option<(u64, u64)> {
    let end = head.iter().position(|b| *b == b'\n')?;
    let (line, rest) = head.split_at_checked(end)?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    if words.next()? != "2" {
        return None;
    }
    let header_len = words
        .find_map(|word| word.strip_prefix('M'))
        .and_then(|hex| usize::from_str_radix(hex, 16).ok())
        .filter(|len| *len >= HEADER_LEN)?;
    let header = rest.get(1..)?.get(..header_len)?;
    if !header.starts_with(b"\x01\x02") || header.last() != Some(&b'\n') {
        return None;
    }
    let digits = std::str::from_utf8(header.get(13..29)?).ok()?;
    let size = u64::from_str_radix(digits.trim_start(), 16).ok()?;
    Some(((end + 1 + header_len) as u64, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_model::Guid;
    use proptest::prelude::*;

    /// What Dovecot 2.3.19 wrote for a message saved with `mail_save_crlf=no`.
    const DOVECOT: &[u8] = b"2 M1e C6b00c19e\n\x01\x02N          000000000000001A\nFrom: a\nSubject: hi\n\nbody\n\n\x01\x03\nR6b00c19e\nV1e\nG51e4ba119ec1006b706e00083ecc375f\n\n";

    #[test]
    fn a_file_that_dovecot_wrote_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("u.1");
        std::fs::write(&path, DOVECOT).unwrap();
        let file = MessageFile::open(&Disk::real(), &path).unwrap();
        assert_eq!((file.offset, file.stored_size), (46, 26));
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.virtual_size, Some(30));
        assert_eq!(
            metadata.received,
            Some(InternalDate::from_unix(0x6b00_c19e))
        );
        assert_eq!(
            metadata.guid,
            Guid::parse("51e4ba119ec1006b706e00083ecc375f")
        );
        assert_eq!(metadata.delivery, None);
    }

    #[test]
    fn a_file_is_written_as_dovecot_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let body = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(body.path(), "body\r\n").unwrap();
        let disk = Disk::real();
        let body = disk.open(body.path()).unwrap();
        let message = NewMessage {
            parts: &[Source::Memory(b"From: a\r\n\r\n"), Source::File(&body, 6)],
            metadata: Metadata {
                guid: Guid::parse("51e4ba119ec1006b706e00083ecc375f"),
                received: Some(InternalDate::from_unix(0x6b00_c19e)),
                ..Metadata::default()
            },
            created: 0x6b00_c19f,
        };
        let (path, _) = message.write(&disk, dir.path()).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"2 M1e C6b00c19f\n\x01\x02N          0000000000000011\nFrom: a\r\n\r\nbody\r\n\n\x01\x03\nR6b00c19e\nV11\nG51e4ba119ec1006b706e00083ecc375f\n\n"
        );
        let read = MessageFile::open(&disk, &path).unwrap();
        assert_eq!(
            read.modified().unwrap(),
            InternalDate::from_unix(0x6b00_c19e)
        );
        assert_eq!(read.metadata().unwrap().virtual_size, Some(17));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("u.1");
        for cut in 0..DOVECOT.len() {
            std::fs::write(&path, &DOVECOT[..cut]).unwrap();
            let read = MessageFile::open(&Disk::real(), &path).and_then(|f| f.metadata());
            assert_eq!(
                read.unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "cut at {cut}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_head(&bytes);
            let _ = Metadata::decode(&bytes);
        }
    }
}
