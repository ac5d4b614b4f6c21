//! Where the bytes of a new message come from.

use std::io::{self, Write};

use facteur_disk::DiskFile;

/// Bytes of a new message.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// From memory.
    Memory(&'a [u8]),
    /// The first bytes of a file: so many.
    File(&'a DiskFile, u64),
}

impl Source<'_> {
    /// How many bytes it gives.
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }

    /// Writes `parts` between `head` and `tail`: with one call when all is in memory.
    ///
    /// # Errors
    /// As `write(2)` and `copy_file_range(2)`.
    pub fn write_all(
        parts: &[Source<'_>],
        head: &[u8],
        tail: &[u8],
        file: &mut DiskFile,
    ) -> io::Result<()> {
        let memory = parts.iter().map(|part| match part {
            Source::Memory(bytes) => bytes.len(),
            Source::File(..) => 0,
        });
        let mut pending = Vec::with_capacity(head.len() + memory.sum::<usize>() + tail.len());
        pending.extend_from_slice(head);
        for part in parts {
            match part {
                Source::Memory(bytes) => pending.extend_from_slice(bytes),
                Source::File(from, size) => {
                    file.write_all(&pending)?;
                    pending.clear();
                    file.copy_range(from, 0, *size)?;
                }
            }
        }
        pending.extend_from_slice(tail);
        file.write_all(&pending)
    }
}
