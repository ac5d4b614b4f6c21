//! `[storage]`: where mail lies.

use crate::{section::section, setting::choice};

choice! {
    /// How new messages are compressed.
    ZlibSave {
        /// Not at all.
        No = "no",
        /// With zstd.
        Zstd = "zstd",
    }
}

section! {
    /// Where mail lies.
    Storage {
        /// Format and place of a user's mail: `sdbox:/path`. `%u` is the user's address, `%n` its local
        /// part, `%d` its domain. Empty is `sdbox:` below `data_directory`.
        mail_location: String = String::new(),
        /// Compresses new messages as Dovecot does (its `mail_compress_write_method` since 2.4): "zstd",
        /// or "no". A Dovecot that is to read them needs its zlib plugin (`mail_compress`). Whatever
        /// this says, compressed messages that are there are read, gz, bz2, lz4 and xz too; sizes and
        /// quotas are those without compression.
        zlib_save: ZlibSave = ZlibSave::No,
        /// zstd's level, from 1, the fastest, to 22, the smallest.
        zlib_save_level: u32 = 3,
    }
}
