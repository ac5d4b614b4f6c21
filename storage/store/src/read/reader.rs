//! A message's octets, however they are stored.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use facteur_disk::Disk;

/// Messages up to this size that are not stored as clients see them are held in memory; larger ones
/// become a file without a name as soon as more of them is read.
const IN_MEMORY: usize = 256 * 1024;

/// An open message, as clients see it: with CRLF, and not compressed.
#[derive(Debug)]
pub struct MessageReader {
    octets: Octets,
    size: u64,
}

enum Octets {
    /// They lie in the file like that, from `offset` on; what it begins with is read already.
    File {
        file: File,
        begin: Vec<u8>,
        offset: u64,
    },
    /// All of them, from `offset` on.
    Memory { octets: Vec<u8>, offset: u64 },
    /// They are too many for memory.
    Large(Mutex<Large>),
}

enum Large {
    /// The beginning, and where the rest comes from.
    Begun(Vec<u8>, Rest),
    /// All of them, in a file without a name.
    Whole(File),
    /// They cannot be had.
    Damaged,
}

struct Rest {
    source: Box<dyn Read + Send>,
    disk: Disk,
    staging: Arc<PathBuf>,
}

impl MessageReader {
    /// Of `size` octets that lie in `file` as they are, from `offset` on.
    pub fn of_file(file: File, offset: u64, size: u64) -> Self {
        Self::of_begun_file(file, Vec::new(), offset, size)
    }

    /// The same; `begin` are the first bytes of the file.
    pub(super) fn of_begun_file(file: File, begin: Vec<u8>, offset: u64, size: u64) -> Self {
        let octets = Octets::File {
            file,
            begin,
            offset,
        };
        Self { octets, size }
    }

    /// Of `size` octets in memory, from `offset` on.
    pub(super) fn of_memory(octets: Vec<u8>, offset: u64, size: u64) -> Self {
        let octets = Octets::Memory { octets, offset };
        Self { octets, size }
    }

    /// Of what `source` gives, which should be `size` octets. A small message is read here, and its
    /// size is what was read.
    pub(super) fn of_source(
        mut source: Box<dyn Read + Send>,
        size: u64,
        disk: &Disk,
        staging: &Arc<PathBuf>,
    ) -> io::Result<Self> {
        let expected = usize::try_from(size).map_or(IN_MEMORY, |size| size.min(IN_MEMORY));
        // One more tells whether there is more.
        let mut begun = Vec::with_capacity(expected + 1);
        let most = IN_MEMORY as u64 + 1;
        source.by_ref().take(most).read_to_end(&mut begun)?;
        if begun.len() <= IN_MEMORY {
            let size = begun.len() as u64;
            return Ok(Self::of_memory(begun, 0, size));
        }
        let rest = Rest {
            source,
            disk: disk.clone(),
            staging: Arc::clone(staging),
        };
        let octets = Octets::Large(Mutex::new(Large::Begun(begun, rest)));
        Ok(Self { octets, size })
    }

    /// RFC822.SIZE.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// So many octets from `at` on, if they are in memory.
    pub fn at_hand(&self, at: u64, count: usize) -> Option<&[u8]> {
        let (octets, from) = match &self.octets {
            Octets::File { begin, offset, .. } => (begin, offset.saturating_add(at)),
            Octets::Memory { octets, offset } => (octets, offset.saturating_add(at)),
            Octets::Large(_) => return None,
        };
        octets.get(usize::try_from(from).ok()?..)?.get(..count)
    }

    /// Fills `out` with the octets from `at` on.
    ///
    /// # Errors
    /// As `read(2)`; [`io::ErrorKind::UnexpectedEof`] when there are fewer,
    /// [`io::ErrorKind::InvalidData`] when they are damaged.
    pub fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        if at.saturating_add(out.len() as u64) > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(octets) = self.at_hand(at, out.len()) {
            out.copy_from_slice(octets);
            return Ok(());
        }
        match &self.octets {
            Octets::File { file, offset, .. } => file.read_exact_at(out, offset.saturating_add(at)),
            Octets::Memory { .. } => Err(io::ErrorKind::UnexpectedEof.into()),
            Octets::Large(large) => {
                let mut large = large.lock().unwrap_or_else(PoisonError::into_inner);
                match &*large {
                    Large::Begun(begun, _) if copy(begun, out, at).is_ok() => Ok(()),
                    _ => large.whole(self.size)?.read_exact_at(out, at),
                }
            }
        }
    }

    /// Fails when the first `size` octets cannot all be had, as far as that is known without reading
    /// plain ones.
    ///
    /// # Errors
    /// As [`Self::read_exact_at`].
    pub fn check(&self, size: u64) -> io::Result<()> {
        let has = match &self.octets {
            // No call for what is in memory.
            _ if self
                .at_hand(0, usize::try_from(size).unwrap_or(usize::MAX))
                .is_some() =>
            {
                size
            }
            Octets::File { file, offset, .. } => file.metadata()?.len().saturating_sub(*offset),
            Octets::Memory { octets, offset } => (octets.len() as u64).saturating_sub(*offset),
            Octets::Large(large) => {
                let mut large = large.lock().unwrap_or_else(PoisonError::into_inner);
                large.whole(self.size)?;
                self.size
            }
        };
        match has < size {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(()),
        }
    }
}

fn copy(octets: &[u8], out: &mut [u8], at: u64) -> io::Result<()> {
    let from = usize::try_from(at).ok();
    from.and_then(|from| octets.get(from..)?.get(..out.len()))
        .map(|octets| out.copy_from_slice(octets))
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl Large {
    /// All of them, which must be `size`.
    fn whole(&mut self, size: u64) -> io::Result<&File> {
        if let Self::Begun(..) = self
            && let Self::Begun(begun, rest) = std::mem::replace(self, Self::Damaged)
        {
            *self = Self::Whole(rest.write(&begun, size)?);
        }
        match self {
            Self::Whole(file) => Ok(file),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the message is damaged",
            )),
        }
    }
}

impl Rest {
    fn write(mut self, begun: &[u8], size: u64) -> io::Result<File> {
        let mut whole = self.disk.anonymous(&self.staging)?;
        whole.write_all(begun)?;
        let written = begun.len() as u64 + io::copy(&mut self.source, &mut whole)?;
        if written != size {
            let what = format!("the message is damaged: it has {written} octets, not {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(whole.into_file())
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File { .. } => "File",
            Self::Memory { .. } => "Memory",
            Self::Large(_) => "Large",
        })
    }
}
