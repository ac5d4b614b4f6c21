//! `[directory.queries]`: other tables than PostfixAdmin's.

use crate::section::section;

section! {
    /// Queries in place of those for PostfixAdmin's tables, as they stand in Postfix's maps and in
    /// dovecot-sql.conf. `%s` is what is looked up, `%u` its local part, `%d` its domain; they become
    /// bound parameters.
    Queries {
        /// Domains whose mailboxes are here. Of several queries the first with an answer wins.
        virtual_mailbox_domains: Vec<String> = Vec::new(),
        /// Domains that mail is relayed for.
        relay_domains: Vec<String> = Vec::new(),
        /// Aliases by address and, as `@domain`, catch-alls.
        virtual_alias_maps: Vec<String> = Vec::new(),
        /// Accounts by address: any answer means that there is one.
        virtual_mailbox_maps: Vec<String> = Vec::new(),
        /// The domain that an alias domain stands for.
        alias_domain: Vec<String> = Vec::new(),
        /// Logins that may send from an address.
        smtpd_sender_login_maps: Vec<String> = Vec::new(),
        /// Dovecot's: `home`, `mail` and `quota_rule` of a user.
        user_query: Option<String> = None,
        /// Dovecot's: `user` and `password`.
        password_query: Option<String> = None,
        /// Dovecot's: every user.
        iterate_query: Option<String> = None,
    }
}
