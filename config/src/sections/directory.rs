//! `[directory]`: who exists.

use crate::section::section;

section! {
    /// Who exists: domains, accounts, aliases and quotas, in PostfixAdmin's tables or in a file.
    Directory {
        /// Where the directory is: `sqlite:/path`, `postgres://user:password@host/database`,
        /// `mysql://user:password@host/database`, or `passwd-file:/path`. Empty is SQLite in
        /// `data_directory`, made at the first start. A database that Facteur did not make is never
        /// altered.
        url: String = String::new(),
    }
}
