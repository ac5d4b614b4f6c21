//! Which account, and where its mail lies.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::QuotaLimits;

/// The name an account is known by: `local@domain`, lower-cased by the directory.
///
/// To the store it is opaque: two equal names are one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// Wraps a name the directory has vouched for.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an account's mail lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MailFormat {
    /// Dovecot's single-dbox.
    #[default]
    Sdbox,
    /// Maildir++.
    Maildir,
}

impl MailFormat {
    /// Its name before the colon of Dovecot's `mail_location`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sdbox => "sdbox",
            Self::Maildir => "maildir",
        }
    }
}

/// What the store needs to know to open an account; the directory supplies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSpec {
    /// The account's name.
    pub id: AccountId,
    /// Its mail home: `index.db`, its mail, `subscriptions`, `sieve/` lie below.
    pub home: PathBuf,
    /// How its mail lies there.
    pub format: MailFormat,
    /// What it may hold.
    pub quota: QuotaLimits,
}
