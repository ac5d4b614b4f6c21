//! `[directory]`: who exists.

use crate::{section::section, setting::Period};

section! {
    /// Who exists: domains, accounts, aliases and quotas, in PostfixAdmin's tables or in a file.
    Directory {
        /// Where the directory is: `sqlite:/path`, `postgres://user:password@host/database`,
        /// `mysql://user:password@host/database`, or `passwd-file:/path`. Empty is SQLite in
        /// `data_directory`, made at the first start. A database that Facteur did not make is never
        /// altered.
        url: String = String::new(),
        /// Most connections to the database at once.
        max_connections: u32 = 8,
        /// Longest wait for the database.
        timeout: Period = Period::seconds(10),
        /// How long an answer is remembered: a change is seen after this time at the latest, or on
        /// SIGHUP.
        cache_ttl: Period = Period::seconds(30),
        /// How long it is remembered that nothing was found.
        cache_negative_ttl: Period = Period::seconds(10),
        /// With `passwd-file:`, the domains whose users are in it.
        passwd_file_domains: Vec<String> = Vec::new(),
    }
}
