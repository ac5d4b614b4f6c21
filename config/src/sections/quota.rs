//! `[quota]`: what becomes of mail to a full mailbox.

use crate::section::section;

section! {
    /// What becomes of mail to a full mailbox. How much an account may hold is in the directory.
    Quota {
        /// Tell the sender of mail to a full mailbox to try again (452 4.2.2), not that it failed
        /// (552 5.2.2).
        quota_full_tempfail: bool = false,
        /// Per cent of the quota by which mail that was accepted may overshoot it.
        quota_grace: u32 = 10,
    }
}
