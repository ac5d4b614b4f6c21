//! Segment files: the header block, and writing with the blocks after the end already there.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use facteur_disk::{Disk, DiskFile, is_no_space};

use crate::record::{u32_at, u64_at};

/// Bytes before a segment's first record: the header, twice.
pub(crate) const BLOCK: u64 = 4096;
const COPY: usize = 2048;
const MAGIC: &[u8; 8] = b"FcteurJl";
const VERSION: u32 = 1;
const FIELDS: usize = 84;

/// What a segment says of itself and of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: [u8; 16],
    /// Grows with every segment that is begun, given up or not.
    pub(crate) generation: u64,
    pub(crate) start: u64,
    /// The generation of the one before; 0 when there is none.
    pub(crate) previous: u64,
    pub(crate) previous_start: u64,
    /// Up to where the one before counts. All before it is durable.
    pub(crate) previous_end: u64,
    /// Everything before it is no longer needed.
    pub(crate) cut: u64,
}

/// What the header block of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Valid(Header),
    /// Nothing was ever written there.
    Blank,
    /// A later program's.
    Version(u32),
    Damaged,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY * 2);
        copy.extend_from_slice(MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        copy.extend_from_slice(&self.id);
        for field in [
            self.generation,
            self.start,
            self.previous,
            self.previous_start,
            self.previous_end,
            self.cut,
        ] {
            copy.extend_from_slice(&field.to_le_bytes());
        }
        copy.resize(FIELDS, 0);
        let sum = crc32fast::hash(&copy);
        copy.extend_from_slice(&sum.to_le_bytes());
        copy.resize(COPY, 0);
        copy.extend_from_within(..);
        copy
    }

    pub(crate) fn decode(block: &[u8]) -> Found {
        if block.iter().all(|byte| *byte == 0) {
            return Found::Blank;
        }
        // A header that was being overwritten when the power went may be half old: the newer counts.
        let newest =
            block
                .chunks(COPY)
                .filter_map(Self::decode_copy)
                .max_by_key(|found| match found {
                    Found::Valid(header) => header.generation,
                    _ => u64::MAX,
                });
        newest.unwrap_or(Found::Damaged)
    }

    fn decode_copy(copy: &[u8]) -> Option<Found> {
        let fields = copy.get(..FIELDS)?;
        if !fields.starts_with(MAGIC) || u32_at(copy, FIELDS)? != crc32fast::hash(fields) {
            return None;
        }
        let version = u32_at(fields, 8)?;
        if version != VERSION {
            return Some(Found::Version(version));
        }
        Some(Found::Valid(Self {
            id: *fields.get(12..)?.first_chunk()?,
            generation: u64_at(fields, 28)?,
            start: u64_at(fields, 36)?,
            previous: u64_at(fields, 44)?,
            previous_start: u64_at(fields, 52)?,
            previous_end: u64_at(fields, 60)?,
            cut: u64_at(fields, 68)?,
        }))
    }
}

/// The name of segment file `number`. Which segment it holds stands in its header only.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segment.{number:08}"))
}

/// The number in such a name.
pub(crate) fn number(name: &std::ffi::OsStr) -> Option<u64> {
    name.to_str()?.strip_prefix("segment.")?.parse().ok()
}

/// A segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) number: u64,
    pub(crate) header: Header,
    file: DiskFile,
    /// Length of the file: blocks up to here have been written once.
    allocated: AtomicU64,
}

impl Active {
    /// Opens the file for a segment: an old one is overwritten, a new one gets a durable name.
    pub(crate) fn open(
        disk: &Disk,
        dir: &Path,
        number: u64,
        header: Header,
        (old, sync): (bool, bool),
    ) -> io::Result<Self> {
        let path = path(dir, number);
        let file = if old {
            disk.open_to_change(&path)?
        } else {
            let file = disk.create_new(&path)?;
            if sync {
                disk.sync_dir(dir)?;
            }
            file
        };
        let allocated = AtomicU64::new(file.size()?);
        Ok(Self {
            number,
            header,
            file,
            allocated,
        })
    }

    pub(crate) fn write_header(&self) -> io::Result<()> {
        self.file.write_all_at(&self.header.encode(), 0)
    }

    /// Writes `bytes` at position `at` of the log, and zeros after them when the file ends there,
    /// so that the next writes meet blocks that exist. `most` is where zeros end.
    pub(crate) fn write(&self, bytes: &[u8], at: u64, most: u64) -> io::Result<()> {
        let offset = BLOCK + at.saturating_sub(self.header.start);
        self.file.write_all_at(bytes, offset)?;
        let end = offset.saturating_add(bytes.len() as u64);
        let allocated = self.allocated.load(Ordering::Relaxed);
        if end <= allocated {
            return Ok(());
        }
        let ahead = end.saturating_add(allocated.clamp(64 << 10, 4 << 20));
        let until = ahead.min(most.saturating_add(BLOCK)).max(end);
        match self.write_zeros(end, until) {
            // The records themselves had room.
            Err(error) if is_no_space(&error) => self.allocated.store(end, Ordering::Relaxed),
            Err(error) => return Err(error),
            Ok(()) => self.allocated.store(until, Ordering::Relaxed),
        }
        Ok(())
    }

    fn write_zeros(&self, mut from: u64, to: u64) -> io::Result<()> {
        static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
        while from < to {
            let most = usize::try_from(to - from).map_or(ZEROS.len(), |n| n.min(ZEROS.len()));
            let zeros = ZEROS.get(..most).unwrap_or_default();
            self.file.write_all_at(zeros, from)?;
            from += zeros.len() as u64;
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Length of the file.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }
}
