//! `[lmtp]`: mail from another server on this machine or network.

use crate::section::section;

section! {
    /// LMTP (RFC 2033), from a mail server in front of this one. Whoever can connect can deliver.
    Lmtp {
        /// Keep mail to `user+detail` in the mailbox `detail` of the user, if there is one.
        lmtp_save_to_detail_mailbox: bool = false,
    }
}
