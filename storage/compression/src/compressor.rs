//! Compressed bytes from plain ones.

use std::{
    fmt,
    io::{self, Write},
};

/// The fastest level.
pub const MIN_LEVEL: i32 = 1;
/// Dovecot's level, and zstd's own.
pub const DEFAULT_LEVEL: i32 = 3;
/// The smallest results; readers need 128 MiB for what it makes of messages as large.
pub const MAX_LEVEL: i32 = 22;

/// Writes what it is given as one zstd frame, with a checksum, into another writer.
pub struct Compressor<W: Write> {
    encoder: zstd::stream::write::Encoder<'static, W>,
}

impl<W: Write> Compressor<W> {
    /// Into `out`, of exactly `size` plain bytes: the frame says so, so that readers take no more
    /// memory than they need.
    ///
    /// # Errors
    /// When there is no memory for the encoder; [`io::ErrorKind::InvalidInput`] for a level that
    /// does not exist.
    pub fn new(out: W, level: i32, size: u64) -> io::Result<Self> {
        if !(MIN_LEVEL..=MAX_LEVEL).contains(&level) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(size))?;
        Ok(Self { encoder })
    }

    /// Writes the end.
    ///
    /// # Errors
    /// As the writer below; when it was given another number of bytes than announced.
    pub fn finish(self) -> io::Result<W> {
        self.encoder.finish()
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

impl<W: Write> fmt::Debug for Compressor<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}
