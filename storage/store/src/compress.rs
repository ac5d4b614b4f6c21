//! New messages compressed before they are written (`zlib_save`).

use std::{
    io::{self, Read, Write},
    path::Path,
    sync::atomic::{AtomicI32, Ordering},
};

use facteur_compression::{Compressor, Method};
use facteur_disk::{Disk, DiskFile};
use facteur_sdbox::Source;

/// Whether new messages are compressed, and how well.
#[derive(Debug, Default)]
pub(crate) struct Compression {
    /// zstd's level; 0 for none.
    level: AtomicI32,
}

impl Compression {
    pub(crate) fn set(&self, level: Option<i32>) {
        self.level.store(level.unwrap_or(0), Ordering::Relaxed);
    }

    /// Compresses `parts`; `None` when they are better left as they are: nothing is compressed, or
    /// they would not get smaller. A message that looks compressed by itself is always compressed, so
    /// that it is read as it came: readers go by the first bytes.
    ///
    /// # Errors
    /// As reading the parts, and writing a file without a name in `staging`.
    pub(crate) fn compress(
        &self,
        parts: &[Source<'_>],
        disk: &Disk,
        staging: &Path,
    ) -> io::Result<Option<Compressed>> {
        let looks = looks_compressed(parts)?;
        let level = match (self.level.load(Ordering::Relaxed), looks) {
            (0, false) => return Ok(None),
            (0, true) => facteur_compression::DEFAULT_LEVEL,
            (level, _) => level,
        };
        let size = parts.iter().map(Source::size).sum();
        let compressed = if parts.iter().all(|part| matches!(part, Source::Memory(_))) {
            Compressed::Memory(write(parts, Vec::new(), level, size)?)
        } else {
            let out = Counted {
                inner: disk.anonymous(staging)?,
                count: 0,
            };
            let Counted { inner, count } = write(parts, out, level, size)?;
            Compressed::File(inner, count)
        };
        let is_smaller = compressed.source().size() < size;
        Ok((looks || is_smaller).then_some(compressed))
    }
}

/// A message's octets, compressed.
#[derive(Debug)]
pub(crate) enum Compressed {
    Memory(Vec<u8>),
    File(DiskFile, u64),
}

impl Compressed {
    /// For writing it.
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::Memory(bytes) => Source::Memory(bytes),
            Self::File(file, size) => Source::File(file, *size),
        }
    }
}

fn write<W: Write>(parts: &[Source<'_>], out: W, level: i32, size: u64) -> io::Result<W> {
    let mut out = Compressor::new(out, level, size)?;
    for part in parts {
        match part {
            Source::Memory(bytes) => out.write_all(bytes)?,
            Source::File(file, size) => {
                let mut chunk = vec![0; 64 * 1024];
                let mut at = 0;
                while at < *size {
                    let most =
                        usize::try_from(size - at).map_or(chunk.len(), |n| n.min(chunk.len()));
                    let space = chunk.get_mut(..most).unwrap_or_default();
                    file.read_exact_at(space, at)?;
                    out.write_all(space)?;
                    at += most as u64;
                }
            }
        }
    }
    out.finish()
}

fn looks_compressed(parts: &[Source<'_>]) -> io::Result<bool> {
    let mut head = [0; Method::MAGIC_LEN];
    let mut known = 0;
    for part in parts {
        let space = head.get_mut(known..).unwrap_or_default();
        known += match part {
            Source::Memory(bytes) => (&**bytes).read(space)?,
            Source::File(file, size) => {
                let most = usize::try_from(*size).map_or(space.len(), |size| size.min(space.len()));
                file.read_at(space.get_mut(..most).unwrap_or_default(), 0)?
            }
        };
    }
    Ok(Method::detect(head.get(..known).unwrap_or_default()).is_some())
}

/// Counts what is written.
struct Counted<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
