//! `[pop3]`: mail to clients that fetch it.

use crate::{section::section, setting::Period};

section! {
    /// POP3 (RFC 1939), on 110 and 995.
    Pop3 {
        /// How long a client may be silent; RFC 1939 §3 asks for at least 10 minutes.
        pop3_idle_timeout: Period = Period::minutes(10),
        /// What the greeting says.
        login_greeting: String = "Facteur ready".to_owned(),
        /// Do not mark messages as seen when they are fetched.
        pop3_no_flag_updates: bool = false,
    }
}
