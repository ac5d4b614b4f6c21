//! `[imap]`: mail to clients.

use crate::{section::section, setting::Period};

section! {
    /// IMAP (RFC 3501 and its extensions), on 143 and 993.
    Imap {
        /// Most connections of one user from one address.
        mail_max_userip_connections: u32 = 10,
        /// Longest command line in bytes, literals not counted.
        imap_max_line_length: u32 = 65536,
        /// How long a client may be silent once it is logged in; RFC 9051 §5.4 asks for at least 30
        /// minutes.
        imap_idle_timeout: Period = Period::minutes(30),
        /// Longest wait before a client in IDLE hears a sign of life, for the sake of the routers
        /// between. As long as it takes them it is not logged out. 0 is never.
        imap_idle_notify_interval: Period = Period::minutes(2),
    }
}
