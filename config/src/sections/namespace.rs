//! `[[namespace]]`: how mailbox names look to clients.

use crate::section::section;

section! {
    /// How mailbox names look to clients. One namespace has the inbox; others are hidden names for the
    /// same mailboxes, such as `INBOX/` for clients that were set up with that prefix.
    Namespace {
        /// What separates the levels of a name: "/" or ".".
        separator: String = "/".to_owned(),
        /// What every name in it begins with, such as `INBOX/`.
        prefix: String = String::new(),
        /// Whether it is the one with the inbox.
        inbox: bool = true,
        /// Whether NAMESPACE and LIST leave it out.
        hidden: bool = false,
    }
}
