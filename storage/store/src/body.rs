//! A message's bytes on their way into the store.

use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use facteur_disk::{Disk, DiskFile};

use crate::StoreError;

/// A message's bytes, shared by every copy that is made of it. CRLF line ends.
#[derive(Debug, Clone)]
pub enum Body {
    /// Small enough to be kept in memory.
    Memory(Bytes),
    /// Lies in a staging file, which goes when the last clone is dropped.
    File(Arc<StagedFile>),
}

/// A body that lies in a file of the staging directory. The file has no name: it goes when it is
/// closed, by whatever end of the process.
#[derive(Debug)]
pub struct StagedFile {
    pub(crate) file: DiskFile,
    pub(crate) size: u64,
}

impl StagedFile {
    /// The file, for code that maps it.
    pub fn as_file(&self) -> &std::fs::File {
        self.file.as_file()
    }
}

/// Collects a body as it comes from the wire: in memory up to a limit, then in a file.
///
/// A bare LF is made CRLF on the way, so that all that is stored has CRLF line ends.
#[derive(Debug)]
pub struct Staging {
    disk: Disk,
    dir: Arc<PathBuf>,
    limit: usize,
    memory: BytesMut,
    file: Option<DiskFile>,
    in_file: u64,
    after_cr: bool,
    /// Makes room on a full disk, if it can.
    make_room: Option<MakeRoom>,
}

/// Says whether there may be room now.
pub(crate) struct MakeRoom(pub(crate) Box<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for MakeRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeRoom")
    }
}

/// What is gathered before it is written, once a body lies in a file.
const WRITE: usize = 64 * 1024;

impl Staging {
    pub(crate) fn new(disk: &Disk, dir: &Arc<PathBuf>, limit: usize) -> Self {
        Self {
            disk: disk.clone(),
            dir: Arc::clone(dir),
            limit,
            memory: BytesMut::new(),
            file: None,
            in_file: 0,
            after_cr: false,
            make_room: None,
        }
    }

    pub(crate) fn with_room(self, make_room: MakeRoom) -> Self {
        Self {
            make_room: Some(make_room),
            ..self
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the staging file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            let bare = match line.last() {
                Some(last) => *last != b'\r',
                None => !self.after_cr,
            };
            if bare {
                self.put(line)?;
                self.put(b"\r\n")?;
            } else {
                self.put(line)?;
                self.put(b"\n")?;
            }
            self.after_cr = false;
            rest = after.get(1..).unwrap_or_default();
        }
        if let Some(last) = rest.last() {
            self.after_cr = *last == b'\r';
            self.put(rest)?;
        }
        Ok(())
    }

    /// Whether adding `bytes` more goes to the disk: then [`Staging::write`] belongs on the bridge.
    pub fn would_block(&self, bytes: usize) -> bool {
        self.memory.len() + bytes > self.most_in_memory()
    }

    fn most_in_memory(&self) -> usize {
        match self.file {
            None => self.limit,
            Some(_) => WRITE,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > self.most_in_memory() {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), StoreError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.disk.anonymous(&self.dir)?),
        };
        if let Err(error) = file.write_all_at(&self.memory, self.in_file) {
            let full = facteur_disk::is_no_space(&error);
            match &self.make_room {
                Some(make_room) if full && (make_room.0)() => {
                    file.write_all_at(&self.memory, self.in_file)?;
                }
                _ => return Err(error.into()),
            }
        }
        self.in_file += self.memory.len() as u64;
        if self.memory.capacity() > 2 * WRITE {
            self.memory = BytesMut::with_capacity(WRITE);
        }
        self.memory.clear();
        Ok(())
    }

    /// How many bytes it holds.
    pub fn len(&self) -> u64 {
        self.in_file + self.memory.len() as u64
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the staging file cannot be written.
    pub fn finish(mut self) -> Result<Body, StoreError> {
        if self.file.is_some() {
            self.spill()?;
        }
        Ok(match self.file.take() {
            None => Body::Memory(self.memory.freeze()),
            Some(file) => Body::File(Arc::new(StagedFile {
                file,
                size: self.in_file,
            })),
        })
    }
}

impl Body {
    /// Its size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(staged) => staged.size,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first bytes, at most `limit`: enough for the header.
    ///
    /// # Errors
    /// When the staging file cannot be read.
    pub fn head(&self, limit: usize) -> Result<Bytes, StoreError> {
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(..limit.min(bytes.len()))),
            Self::File(staged) => {
                let size = usize::try_from(staged.size).map_or(limit, |size| size.min(limit));
                let mut head = vec![0; size];
                staged.file.read_exact_at(&mut head, 0)?;
                Ok(head.into())
            }
        }
    }

    /// A reader over the whole of it.
    ///
    /// # Errors
    /// None today; the staging file is open already.
    pub fn reader(&self) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(BodyReader {
            body: self.clone(),
            at: 0,
        }))
    }

    /// Whether the two are the same bytes in the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(a), Self::Memory(b)) => a.as_ptr() == b.as_ptr() && a.len() == b.len(),
            (Self::File(a), Self::File(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

struct BodyReader {
    body: Body,
    at: u64,
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = match &self.body {
            Body::Memory(bytes) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                let mut rest = bytes.get(at..).unwrap_or_default();
                rest.read(out)?
            }
            Body::File(staged) => staged.file.read_at(out, self.at)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(body: &Body) -> Vec<u8> {
        let mut bytes = Vec::new();
        body.reader().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn a_body_is_what_was_written_with_crlf(
            text in "[ab\r\n]{0,60}", step in 1usize..20, limit in 0usize..40
        ) {
            let dir = tempfile::tempdir().unwrap();
            let dir = Arc::new(dir.path().to_owned());
            let mut staging = Staging::new(&Disk::real(), &dir, limit);
            for chunk in text.as_bytes().chunks(step) { staging.write(chunk).unwrap(); }
            let expected = text.replace("\r\n", "\n").replace('\n', "\r\n");
            prop_assert_eq!(staging.len(), expected.len() as u64);
            let body = staging.finish().unwrap();
            prop_assert_eq!(body.len(), expected.len() as u64);
            prop_assert_eq!(matches!(body, Body::Memory(_)), expected.len() <= limit);
            prop_assert_eq!(all(&body), expected.as_bytes());
            prop_assert_eq!(&body.head(7).unwrap()[..], &expected.as_bytes()[..expected.len().min(7)]);
            prop_assert_eq!(std::fs::read_dir(&**dir).unwrap().count(), 0);
        }
    }
}
