//! LZ4 in Dovecot's frame: its mark, the size of the largest block when plain, then the blocks, each
//! behind its compressed size. Sizes are 32 bits, big-endian.

use std::io::{self, BufRead, Read};

use crate::method::LZ4_MAGIC;

/// The largest block accepted, plain or compressed, as in Dovecot (which writes 64 KiB).
const MAX_BLOCK: usize = 1 << 20;

/// Reads the plain bytes.
#[derive(Debug)]
pub(crate) struct Lz4Reader<R> {
    inner: R,
    /// Of one block; 0 until the header is read.
    max_plain: usize,
    compressed: Vec<u8>,
    /// The plain bytes of a block, from `at` on not handed out yet.
    plain: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Lz4Reader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            max_plain: 0,
            compressed: Vec::new(),
            plain: Vec::new(),
            at: 0,
        }
    }

    pub(crate) fn input(&mut self) -> &mut R {
        &mut self.inner
    }

    fn read_header(&mut self) -> io::Result<()> {
        let mut magic = [0; LZ4_MAGIC.len()];
        self.inner.read_exact(&mut magic)?;
        if magic != *LZ4_MAGIC {
            return Err(damaged("wrong magic"));
        }
        self.max_plain = self.size()?;
        Ok(())
    }

    /// A size that a block can have.
    fn size(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4];
        self.inner.read_exact(&mut bytes)?;
        usize::try_from(u32::from_be_bytes(bytes))
            .ok()
            .filter(|size| (1..=MAX_BLOCK).contains(size))
            .ok_or_else(|| damaged("block size out of range"))
    }

    /// Makes the next block the one that is handed out; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.max_plain == 0 {
            self.read_header()?;
        }
        if self.inner.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let size = self.size()?;
        self.compressed.resize(size, 0);
        self.inner.read_exact(&mut self.compressed)?;
        self.plain.resize(self.max_plain, 0);
        let plain = lz4_flex::block::decompress_into(&self.compressed, &mut self.plain)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.plain.truncate(plain);
        self.at = 0;
        Ok(true)
    }
}

impl<R: BufRead> Read for Lz4Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // A block may be empty when plain.
        while self.at == self.plain.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let given = self.plain.get(self.at..).unwrap_or_default().read(out)?;
        self.at += given;
        Ok(given)
    }
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
