//! `[storage]`: where mail lies.

use crate::section::section;

section! {
    /// Where mail lies.
    Storage {
        /// Format and place of a user's mail: `sdbox:/path`. `%u` is the user's address, `%n` its local
        /// part, `%d` its domain. Empty is `sdbox:` below `data_directory`.
        mail_location: String = String::new(),
    }
}
