//! A message's file: the message, and nothing else.

use std::{
    io,
    path::{Path, PathBuf},
};

use facteur_compression::Method;
use facteur_disk::{Disk, DiskFile};
use facteur_format::Source;
use facteur_model::{Flags, InternalDate};

use crate::{FileName, Letters, Place};

/// A message about to be written: its bytes, with CRLF line ends.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// Its bytes, in order.
    pub parts: &'a [Source<'a>],
    /// When it was received: the file's mtime.
    pub received: InternalDate,
}

impl NewMessage<'_> {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(Source::size).sum()
    }

    /// Writes it into `tmp`, as `base`. Before it gets its name the caller makes it durable
    /// ([`DiskFile::sync_all`]).
    ///
    /// # Errors
    /// As the calls it makes; the file is removed then.
    pub fn write(&self, disk: &Disk, tmp: &Path, base: &str) -> io::Result<(PathBuf, DiskFile)> {
        let path = tmp.join(base);
        let mut file = disk.create_new(&path)?;
        let written = Source::write_all(self.parts, b"", b"", &mut file)
            .and_then(|()| file.set_modified(self.received.unix()));
        if let Err(error) = written {
            let _ = disk.unlink(&path);
            return Err(error);
        }
        Ok((path, file))
    }

    /// The base of its file's name for good: with its size, which is the same with CRLF line ends.
    pub fn base(&self, base: &str) -> String {
        let size = self.size();
        format!("{base},S={size},W={size}")
    }

    /// Where a new message's file belongs, and its name: one with flags goes to `cur/`, for names in
    /// `new/` have none.
    pub fn place(base: &str, flags: Flags, letters: Letters) -> (Place, Vec<u8>) {
        if flags.is_empty() && letters.is_empty() {
            (Place::New, base.as_bytes().to_vec())
        } else {
            (Place::Cur, FileName::build(base.as_bytes(), flags, letters))
        }
    }
}

/// An open message file.
#[derive(Debug)]
pub struct MessageFile {
    /// The file. The message begins where it does.
    pub file: DiskFile,
    /// How many bytes it takes there: fewer than with CRLF line ends, when it was stored with LF or
    /// compressed.
    pub stored_size: u64,
    /// The compression that its first bytes are a mark of. A compressed message's size is in its
    /// file's name ([`FileName::size`]).
    pub looks: Option<Method>,
}

impl MessageFile {
    /// Opens a message's file.
    ///
    /// # Errors
    /// As `open(2)` and `fstat(2)`; [`io::ErrorKind::NotFound`] when it has another name by now.
    pub fn open(disk: &Disk, path: &Path) -> io::Result<Self> {
        Self::new(disk.open(path)?)
    }

    /// Of an open file.
    ///
    /// # Errors
    /// As `fstat(2)` and `read(2)`.
    pub fn new(file: DiskFile) -> io::Result<Self> {
        let head = file.read_begin(Self::HEAD)?;
        Self::of(file, &head)
    }

    /// So many of a file's first bytes say whether it is compressed.
    pub const HEAD: usize = Method::MAGIC_LEN;

    /// Of an open file whose first bytes are known: [`Self::HEAD`] of them or more, as far as it has
    /// them.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn of(file: DiskFile, head: &[u8]) -> io::Result<Self> {
        Ok(Self {
            stored_size: file.size()?,
            looks: Method::detect(head),
            file,
        })
    }

    /// Its mtime, which is its INTERNALDATE.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn modified(&self) -> io::Result<InternalDate> {
        Ok(InternalDate::from_unix(self.file.modified()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Letter;
    use facteur_model::Flag;

    #[test]
    fn a_message_is_written_and_named_as_dovecot_does() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let message = NewMessage {
            parts: &[
                Source::Memory(b"Subject: x\r\n"),
                Source::Memory(b"\r\nbody\r\n"),
            ],
            received: InternalDate::from_unix(1_234_567_890),
        };
        let (path, file) = message.write(&disk, dir.path(), "1.M2.h").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"Subject: x\r\n\r\nbody\r\n");
        let file = MessageFile::open(&disk, &path).unwrap();
        assert_eq!((file.stored_size, file.looks), (20, None));
        assert_eq!(file.modified().unwrap().unix(), 1_234_567_890);
        let base = message.base("1.M2.h");
        assert_eq!(base, "1.M2.h,S=20,W=20");
        let place = |flags, letters| {
            let (place, name) = NewMessage::place(&base, flags, letters);
            (place, String::from_utf8(name).unwrap())
        };
        let seen = Flags::EMPTY.with(Flag::Seen);
        let letters = Letter::from_byte(b'b').into_iter().collect();
        assert_eq!(
            place(Flags::EMPTY, Letters::EMPTY),
            (Place::New, base.clone())
        );
        assert_eq!(place(seen, letters), (Place::Cur, format!("{base}:2,Sb")));
        assert_eq!(
            place(Flags::EMPTY, letters),
            (Place::Cur, format!("{base}:2,b"))
        );
    }

    #[test]
    fn a_compressed_message_is_told_by_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.h");
        for (bytes, looks) in [
            (&b"\x1f\x8b\x08\0rest"[..], Some(Method::Gzip)),
            (b"Subject: x\r\n\r\n", None),
            (b"", None),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let file = MessageFile::open(&Disk::real(), &path).unwrap();
            assert_eq!(file.looks, looks, "{bytes:?}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let message = NewMessage {
            parts: &[],
            received: InternalDate::from_unix(0),
        };
        message.write(&Disk::real(), dir.path(), "1.h").unwrap();
        let again = message.write(&Disk::real(), dir.path(), "1.h").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }
}
