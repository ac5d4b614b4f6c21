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

/// What the store needs to know to open an account; the directory supplies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSpec {
    /// The account's name.
    pub id: AccountId,
    /// Its mail home: `index.db`, `mailboxes/`, `subscriptions`, `sieve/` lie below.
    pub home: PathBuf,
    /// What it may hold.
    pub quota: QuotaLimits,
}
