//! `[submission]`: mail from our own users.

use crate::section::section;

section! {
    /// Mail from our own users (RFC 6409), on 587 and 465.
    Submission {
        /// Whether the envelope sender must be an address of the account that is logged in: its own
        /// or an alias that leads to it.
        reject_sender_login_mismatch: bool = true,
    }
}
