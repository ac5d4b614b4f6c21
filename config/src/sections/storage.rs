//! `[storage]`: where mail lies.

use crate::{
    section::section,
    setting::{Period, Size, choice},
};

choice! {
    /// How new messages are compressed.
    ZlibSave {
        /// Not at all.
        No = "no",
        /// With zstd.
        Zstd = "zstd",
    }
}

choice! {
    /// What is synced to the disk before it is acknowledged.
    MailFsync {
        /// Everything, changes of flags too.
        Always = "always",
        /// Everything whose loss would be noticed: messages, folders, scripts, expunges. Flags follow
        /// within a second.
        Optimized = "optimized",
        /// Nothing: a power loss may lose any mail that was accepted. For tests and imports.
        Never = "never",
    }
}

section! {
    /// Where mail lies, and how it is kept.
    Storage {
        /// Format and place of a user's mail: `sdbox:/path` or `maildir:/path`. `%u` is the user's
        /// address, `%n` its local part, `%d` its domain, `~` the home that the directory gives. Empty
        /// is `sdbox:` below `data_directory`. Into a Maildir other programs may put mail, and change
        /// and remove it there.
        mail_location: String = String::new(),
        /// What is synced before it is acknowledged. "always": everything. "optimized": everything but
        /// changes of flags, which follow within a second. "never": nothing, so that a power loss may lose
        /// any mail that was accepted; for tests and imports. A change takes effect at the next start, as
        /// with the four keys below.
        mail_fsync: MailFsync = MailFsync::Optimized,
        /// Most octets in the journal, which has every change until it is in its place. A checkpoint
        /// brings it there when half of this is used; a start after a crash does the rest again. Less
        /// than 4M counts as 4M.
        journal_size: Size = Size(64 << 20),
        /// Longest time between a change and the checkpoint that brings it into its place.
        checkpoint_interval: Period = Period::seconds(30),
        /// Accounts that nobody uses are forgotten, eldest first, while all in memory take more than
        /// this, and in any case after `account_idle_time`. Folders, keywords and active scripts count;
        /// messages of an open mailbox (40 octets each) do not, and neither do open index databases, of
        /// which there are at most 128.
        account_cache_size: Size = Size(32 << 20),
        /// How long an account that nobody uses stays in memory.
        account_idle_time: Period = Period::minutes(5),
        /// Compresses new messages as Dovecot does (its `mail_compress_write_method` since 2.4): "zstd",
        /// or "no". A Dovecot that is to read them needs its zlib plugin (`mail_compress`). Whatever
        /// this says, compressed messages that are there are read, gz, bz2, lz4 and xz too; sizes and
        /// quotas are those without compression.
        zlib_save: ZlibSave = ZlibSave::No,
        /// zstd's level, from 1, the fastest, to 22, the smallest.
        zlib_save_level: u32 = 3,
    }
}
