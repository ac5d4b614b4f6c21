//! Which compression it is.

use std::fmt;

/// How a message is compressed.
///
/// Raw deflate, which Dovecot can write too, has no mark by which it could be known: Dovecot cannot
/// read it back either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 1952, `zlib_save = gz`.
    Gzip,
    /// `zlib_save = bz2`.
    Bzip2,
    /// RFC 8878, `zlib_save = zstd`.
    Zstd,
    /// LZ4 blocks in a frame of Dovecot's own, `zlib_save = lz4`.
    Lz4,
    /// Dovecot 2.2 wrote it (`zlib_save = xz`), 2.3 still reads it.
    Xz,
}

/// Dovecot's own mark: LZ4 blocks have none.
pub(crate) const LZ4_MAGIC: &[u8; 15] = b"Dovecot-LZ4\x0d\x2a\x9b\xc5";

impl Method {
    /// So many of the first bytes are enough for [`Self::detect`].
    pub const MAGIC_LEN: usize = LZ4_MAGIC.len();

    /// The compression of which these are the first bytes; `None` for plain ones.
    ///
    /// A header field cannot begin so, but for bzip2's `BZh9…`: there the mark of its first block is
    /// asked for too.
    pub fn detect(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', block @ ..] => {
                let begins = |magic: &[u8; 6]| block.starts_with(magic);
                // A block, or the end of an empty stream.
                let is_bzip2 =
                    begins(b"\x31\x41\x59\x26\x53\x59") || begins(b"\x17\x72\x45\x38\x50\x90");
                is_bzip2.then_some(Self::Bzip2)
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => head.starts_with(LZ4_MAGIC).then_some(Self::Lz4),
        }
    }

    /// As Dovecot's settings name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Bzip2 => "bz2",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
