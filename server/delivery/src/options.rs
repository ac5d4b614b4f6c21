//! What the configuration says about delivery.

use std::{path::PathBuf, time::Duration};

use facteur_address::Address;

use crate::sieve::Score;

/// How messages are delivered.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our name, for Message-IDs and Sieve's `environment "host"`.
    pub hostname: String,
    /// Per cent of a quota by which an accepted message may overshoot it.
    pub quota_grace: u8,
    /// Over quota is a temporary failure (Dovecot's `quota_full_tempfail`).
    pub quota_full_tempfail: bool,
    /// What peers are told of a full mailbox (Dovecot's `quota_exceeded_message`).
    pub quota_exceeded_message: String,
    /// `fileinto` makes a missing mailbox without `:create` too (Dovecot's `lda_mailbox_autocreate`).
    pub lda_mailbox_autocreate: bool,
    /// Mail to `user+detail` is kept in the mailbox of that name (Dovecot's
    /// `lmtp_save_to_detail_mailbox`), if there is one or `lda_mailbox_autocreate` allows to make it.
    pub lmtp_save_to_detail_mailbox: bool,
    /// The separator of mailbox names in scripts, as IMAP clients see it.
    pub separator: char,
    /// Prefixes that mean the root, such as `INBOX/` (a hidden namespace with `alias_for`).
    pub alias_prefixes: Vec<String>,
    /// Sieve.
    pub sieve: SieveOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            quota_grace: 10,
            quota_full_tempfail: false,
            quota_exceeded_message: "Mailbox is full".to_owned(),
            lda_mailbox_autocreate: false,
            lmtp_save_to_detail_mailbox: false,
            separator: '/',
            alias_prefixes: Vec::new(),
            sieve: SieveOptions::default(),
        }
    }
}

/// How scripts run.
#[derive(Debug, Clone)]
pub struct SieveOptions {
    /// Scripts, or folders of `*.sieve`, that run before the user's (Pigeonhole's `sieve_before`).
    pub before: Vec<PathBuf>,
    /// Runs when the user has no active script (`sieve_default`).
    pub default: Option<PathBuf>,
    /// Run after the user's (`sieve_after`).
    pub after: Vec<PathBuf>,
    /// Where `include :global` finds its scripts (`sieve_global`).
    pub global: Option<PathBuf>,
    /// Most `redirect`s of one run (`sieve_max_redirects`).
    pub max_redirects: usize,
    /// Most actions of one run (`sieve_max_actions`).
    pub max_actions: usize,
    /// Most Received fields of a message that is still redirected.
    pub hopcount_limit: usize,
    /// Most instructions of one run.
    pub max_instructions: usize,
    /// Longest run of one script.
    pub max_time: Duration,
    /// Longest run of all the scripts of one transaction; who is left over is deferred.
    pub max_transaction_time: Duration,
    /// Memory that all scripts that look into bodies share, in bytes.
    pub memory: usize,
    /// Most scripts that run at once.
    pub threads: usize,
    /// Envelope sender of redirected mail (`sieve_redirect_envelope_from`).
    pub redirect_envelope_from: RedirectSender,
    /// Shortest time between two vacation replies to one sender, in seconds
    /// (`sieve_vacation_min_period`).
    pub vacation_min_period: u64,
    /// The same when the script does not say (`sieve_vacation_default_period`).
    pub vacation_default_period: u64,
    /// Longest, in seconds; 0 is no limit (`sieve_vacation_max_period`).
    pub vacation_max_period: u64,
    /// Longest that `duplicate` remembers, in seconds (`sieve_duplicate_max_period`).
    pub duplicate_max_period: u64,
    /// What `spamtest` reads (`sieve_spamtest_*`).
    pub spamtest: Option<Score>,
    /// What `virustest` reads (`sieve_virustest_*`).
    pub virustest: Option<Score>,
}

/// The envelope sender of redirected mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectSender {
    /// The message's own. Strict SPF checks may refuse it.
    Sender,
    /// The account's address.
    Recipient,
    /// What RCPT said.
    OriginalRecipient,
    /// This one.
    Address(Address),
}

const DAY: u64 = 24 * 60 * 60;

impl Default for SieveOptions {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            default: None,
            after: Vec::new(),
            global: None,
            max_redirects: 4,
            max_actions: 32,
            hopcount_limit: 50,
            max_instructions: 100_000,
            max_time: Duration::from_secs(5),
            max_transaction_time: Duration::from_secs(10),
            memory: 256 * 1024 * 1024,
            threads: 8,
            redirect_envelope_from: RedirectSender::Sender,
            vacation_min_period: DAY,
            vacation_default_period: 7 * DAY,
            vacation_max_period: 0,
            duplicate_max_period: 7 * DAY,
            spamtest: None,
            virustest: None,
        }
    }
}
