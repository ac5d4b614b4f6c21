//! `[sieve]`: filters.

use std::path::PathBuf;

use crate::{
    section::section,
    setting::{Map, Period, Size, choice},
};

choice! {
    /// How a header field tells a score.
    StatusType {
        /// A number.
        Score = "score",
        /// As many characters as the score.
        Strlen = "strlen",
        /// Words.
        Text = "text",
    }
}

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
        /// Header field that `spamtest` reads, `name` or `name:pattern` whose first group counts.
        /// Not set turns `spamtest` off.
        sieve_spamtest_status_header: Option<String> = None,
        /// What it holds: a number, as many characters as the score, or words.
        sieve_spamtest_status_type: StatusType = StatusType::Score,
        /// The score that certainly means spam.
        sieve_spamtest_max_value: f64 = 10.0,
        /// The value from 0 to 10 that each word stands for, such as { "0" = "No", "10" = "Yes" }.
        sieve_spamtest_text_values: Map = Map::default(),
        /// Header field that `virustest` reads, as above.
        sieve_virustest_status_header: Option<String> = None,
        /// What it holds.
        sieve_virustest_status_type: StatusType = StatusType::Text,
        /// The score that certainly means a virus.
        sieve_virustest_max_value: f64 = 5.0,
        /// The value from 0 to 5 that each word stands for.
        sieve_virustest_text_values: Map = Map::default(),
    }
}
