//! What a directory knows.

use std::path::PathBuf;

use facteur_address::{Address, Domain};
use facteur_model::{MailFormat, QuotaLimits};

/// What becomes of mail to a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainKind {
    /// Its mailboxes are here.
    Local,
    /// We relay for it (PostfixAdmin's `backupmx`).
    Relay,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRecord {
    /// Its name.
    pub name: Domain,
    /// What becomes of its mail.
    pub kind: DomainKind,
}

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its address, folded; a login name too.
    pub address: Address,
    /// The stored password with its scheme, if it has one.
    pub password: Option<String>,
    /// Its mail home, from the path template or the directory's own column.
    pub home: PathBuf,
    /// How its mail lies there.
    pub format: MailFormat,
    /// What it may hold.
    pub quota: QuotaLimits,
}

impl std::fmt::Debug for AccountRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountRecord")
            .field("address", &self.address)
            .field("home", &self.home)
            .field("format", &self.format)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
