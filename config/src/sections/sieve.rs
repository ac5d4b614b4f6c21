//! `[sieve]`: filters.

use std::path::PathBuf;

use crate::{
    section::section,
    setting::{Period, Size},
};

section! {
    /// Sieve (RFC 5228): filters that run when mail is delivered.
    Sieve {
        /// Scripts, or folders of `*.sieve`, that run before the user's.
        sieve_before: Vec<PathBuf> = Vec::new(),
        /// Script that runs when the user has no active one.
        sieve_default: Option<PathBuf> = None,
        /// Scripts, or folders of `*.sieve`, that run after the user's.
        sieve_after: Vec<PathBuf> = Vec::new(),
        /// Folder of the scripts that `include :global` names.
        sieve_global: Option<PathBuf> = None,
        /// Most `redirect`s of one message.
        sieve_max_redirects: usize = 4,
        /// Most actions on one message.
        sieve_max_actions: usize = 32,
        /// Longest run of one script; a longer one is suspended until it is edited.
        sieve_max_cpu_time: Period = Period::seconds(5),
        /// Memory that all scripts that look into bodies share.
        sieve_memory: Size = Size::mib(256),
        /// Most scripts that run at once.
        sieve_threads: usize = 8,
        /// Whether `fileinto` makes a missing mailbox without `:create` too.
        lda_mailbox_autocreate: bool = false,
        /// Envelope sender of redirected mail: `sender`, `recipient`, `orig_recipient` or an address.
        sieve_redirect_envelope_from: String = "sender".to_owned(),
        /// Shortest time between two vacation replies to one sender.
        sieve_vacation_min_period: Period = Period::days(1),
        /// The same when the script does not say.
        sieve_vacation_default_period: Period = Period::days(7),
        /// Longest time between two vacation replies to one sender; 0 is no limit.
        sieve_vacation_max_period: Period = Period::seconds(0),
        /// Longest that `duplicate` remembers.
        sieve_duplicate_max_period: Period = Period::days(7),
    }
}
