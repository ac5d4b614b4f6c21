//! `[auth]`: logins.

use crate::section::section;

section! {
    /// Logins, in every protocol.
    Auth {
        /// Whether a password may cross without TLS when the client is on this machine. From elsewhere
        /// it never may.
        plaintext_auth_on_loopback: bool = false,
    }
}
