//! What an operator can set.

use std::time::Duration;

/// Settings of the POP3 service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the greeting says after `+OK` (Dovecot's `login_greeting`).
    pub greeting: String,
    /// All the time a client has to log in.
    pub login_timeout: Duration,
    /// After so long without a command a client is logged out, and nothing is deleted. RFC 1939
    /// §3 asks for at least 10 minutes.
    pub autologout: Duration,
    /// How long a client may leave its responses unread.
    pub write_timeout: Duration,
    /// Do not set `\Seen` on what was retrieved (Dovecot's `pop3_no_flag_updates`).
    pub no_flag_updates: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            greeting: "Facteur ready".to_owned(),
            login_timeout: Duration::from_secs(3 * 60),
            autologout: Duration::from_secs(10 * 60),
            write_timeout: Duration::from_secs(5 * 60),
            no_flag_updates: false,
        }
    }
}
