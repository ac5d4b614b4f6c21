//! What an operator can set.

use std::time::Duration;

/// Settings of the ManageSieve service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The `IMPLEMENTATION` capability (Dovecot's `managesieve_implementation_string`).
    pub implementation: String,
    /// Largest script in octets (Pigeonhole's `sieve_max_script_size`).
    pub max_script_size: u64,
    /// Most scripts of one account; 0 is no limit (`sieve_quota_max_scripts`).
    pub max_scripts: usize,
    /// Most octets of all scripts of one account together; 0 is no limit
    /// (`sieve_quota_max_storage`).
    pub max_storage: u64,
    /// The `MAXREDIRECTS` capability (`sieve_max_redirects`).
    pub max_redirects: Option<u32>,
    /// All the time a client has to log in.
    pub login_timeout: Duration,
    /// After so long without a command a client is logged out. RFC 5804 §1.2 asks for at least 30
    /// minutes.
    pub autologout: Duration,
    /// How long a client may leave its responses unread.
    pub write_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            implementation: "Facteur".to_owned(),
            max_script_size: 1024 * 1024,
            max_scripts: 0,
            max_storage: 0,
            max_redirects: None,
            login_timeout: Duration::from_secs(3 * 60),
            autologout: Duration::from_secs(30 * 60),
            write_timeout: Duration::from_secs(5 * 60),
        }
    }
}
