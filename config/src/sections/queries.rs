//! `[directory.queries]`: other tables than PostfixAdmin's.

use crate::section::section;

section! {
    /// Queries in place of those for PostfixAdmin's tables, as they stand in Postfix's maps and in
    /// dovecot-sql.conf. `%s` is what is looked up, `%u` its local part, `%d` its domain; they become
    /// bound parameters.
    Queries {
        /// Domains whose mailboxes are here.
        virtual_mailbox_domains: Option<String> = None,
    }
}
