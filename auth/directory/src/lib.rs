//! Who exists: domains, accounts, aliases, quotas. One implementation of [`Directory`] per source.
//!
//! What a recipient finally resolves to is `facteur-intake`'s; whether a password fits is
//! `facteur-login`'s.

mod admin;
mod cached;
mod destinations;
mod home;
mod passwd_file;
mod quota;
mod record;
mod sql;
mod variable;

use facteur_address::{Address, Domain};
use futures_util::future::BoxFuture;

pub use admin::{
    AccountChange, AccountEntry, Admin, AdminError, AliasAddress, AliasEntry, DomainChange,
    DomainEntry, MEGABYTE, NewAccount, NewDomain, RemovedAccount,
};
pub use cached::{CacheOptions, Cached};
pub use facteur_model::{MailFormat, QuotaLimits, QuotaRuleError, QuotaRules};
pub use home::{HomeError, HomeTemplate, MailHome};
pub use passwd_file::{LineError, PasswdFile, PasswdFileOptions};
pub use quota::QuotaDefaults;
pub use record::{AccountRecord, DomainKind, DomainRecord};
pub use sql::{OpenError, Queries, QueryError, Sql, SqlOptions};
pub use variable::VariableError;

/// The directory could not answer. Never "no such user": SMTP says 451 4.3.0, IMAP `[UNAVAILABLE]`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("directory is unavailable: {0}")]
pub struct Unavailable(pub String);

/// What a directory answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Unavailable>>;

/// A source of domains, accounts and aliases. Names are looked up folded (lower case); inactive
/// rows do not exist.
pub trait Directory: Send + Sync + 'static {
    /// A domain we know: ours, or one we relay for.
    fn domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<DomainRecord>>;
    /// Where an alias domain points.
    fn alias_domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Domain>>;
    /// An account by exact address.
    fn account<'a>(
        &'a self,
        address: &'a Address,
    ) -> Answer<'a, Option<std::sync::Arc<AccountRecord>>>;
    /// The destinations of an alias by exact address, as written in the directory.
    fn alias<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>>;
    /// The destinations of a domain's catch-all (`@domain`).
    fn catch_all<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Vec<String>>>;
    /// The logins that may send from an address; `None` when the directory has no say in it, and
    /// an address belongs to the accounts it leads to.
    fn sender_login<'a>(&'a self, _address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { Ok(None) })
    }
    /// What the accounts of a domain may hold together, in bytes; `None` is unlimited.
    fn domain_quota<'a>(&'a self, _domain: &'a Domain) -> Answer<'a, Option<u64>> {
        Box::pin(async { Ok(None) })
    }
    /// Every account's address.
    fn accounts(&self) -> Answer<'_, Vec<Address>>;
    /// Mirrors what an account holds (quota2).
    fn record_usage<'a>(
        &'a self,
        account: &'a Address,
        bytes: u64,
        messages: u64,
    ) -> Answer<'a, ()>;
    /// Forgets what was cached.
    fn forget(&self);
    /// Forgets what was cached about one account.
    fn forget_account<'a>(&'a self, _address: &'a Address) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
