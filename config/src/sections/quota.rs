//! `[quota]`: how much an account may hold, and what becomes of mail to a full one.

use crate::{section::section, setting::Map};

section! {
    /// How much an account may hold, and what becomes of mail to a full one. What the directory says of
    /// an account (PostfixAdmin's `mailbox.quota`, a query's or a passwd-file's `quota_rule`,
    /// `quota_rule2` …) goes before what is said here.
    Quota {
        /// Limits of every account, and folders for which they are different, as Dovecot writes them:
        /// `*:storage=1G:messages=10000` for the account, `Trash:storage=+100M` or
        /// `Archive/*:storage=+10%` for what is put into a folder, `Spam:ignore` for a folder that is
        /// neither counted nor limited. `*` in a folder's name is any text, `?` any one character; the
        /// first rule that fits a folder counts. An account's own rule replaces the one here that is
        /// for the same folder, each limit by itself.
        quota_rule: Vec<String> = Vec::new(),
        /// Tell the sender of mail to a full mailbox to try again (452 4.2.2), not that it failed
        /// (552 5.2.2).
        quota_full_tempfail: bool = false,
        /// Per cent of the quota by which mail that was accepted may overshoot it.
        quota_grace: u32 = 10,
        /// What senders and mail clients are told of a full mailbox.
        quota_exceeded_message: String = "Mailbox is full".to_owned(),
        /// Warnings as Dovecot writes them: `storage=95%` (or `messages=`) for the moment an account
        /// reaches so much of its limit, `-storage=95%` for when it falls below again. The warning is a
        /// message to the account, which no quota stops; or, with a program after it,
        /// `storage=95% /usr/local/bin/quota-warning.sh 95 %u`, that is run instead, without a shell, as
        /// the server's user (`%u` is the account, `%n` its local part, `%d` its domain). A name without
        /// a `/` is looked up in `quota_warning_programs`. Of several that one change crosses the first
        /// counts: the highest stands first.
        quota_warning: Vec<String> = Vec::new(),
        /// Programs by the names that `quota_warning` has for them, as Dovecot's
        /// `service quota-warning { executable = script … }`:
        /// `{ "quota-warning" = "/usr/local/bin/quota-warning.sh" }`.
        quota_warning_programs: Map = Map::default(),
        /// Subject of the message. `$percent` is the limit that was reached, `$user` the account, `$used`
        /// and `$limit` what it holds and may hold.
        quota_warning_subject: String = "Your mailbox is $percent% full".to_owned(),
        /// Text of the message, with the same variables.
        quota_warning_message: String = "Your mailbox $user holds $used of $limit.\n\nWhen it is full, \
            new mail is turned away. Please delete what you no longer need, and empty the trash.\n".to_owned(),
        /// Limit what the accounts of a domain hold together to PostfixAdmin's `domain.quota` (in MB; 0
        /// is no limit), as it limits a single account. Without this the number means what it means to
        /// PostfixAdmin: how much quota may be given to the domain's accounts. The accounts are counted
        /// when the server starts; a domain is limited from then on.
        domain_quota: bool = false,
    }
}
