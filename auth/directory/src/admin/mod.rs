//! Changes to a SQL directory: what PostfixAdmin's pages do, with the columns it fills.
//!
//! Each change is one transaction. The command line and the admin pages call this.

mod account;
mod alias;
mod domain;
mod statement;

use facteur_address::Domain;

pub use self::{
    account::{AccountChange, AccountEntry, NewAccount, RemovedAccount},
    alias::{AliasAddress, AliasEntry},
    domain::{DomainChange, DomainEntry, NewDomain},
};
use crate::{
    Directory, Unavailable,
    sql::{
        Schema, Sql,
        pool::{Access, Transaction},
    },
};

/// What PostfixAdmin means by MB in `maxquota` and `domain.quota`.
pub const MEGABYTE: u64 = 1 << 20;

/// Changes a directory.
#[derive(Clone, Copy)]
pub struct Admin<'a> {
    sql: &'a Sql,
    cache: Option<&'a dyn Directory>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The database does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It is there already.
    #[error("{0} exists already")]
    Exists(String),
    /// It is not there.
    #[error("there is no {0}")]
    Missing(String),
    /// A limit of the domain (PostfixAdmin's aliases, mailboxes, maxquota, quota).
    #[error("{0}")]
    Limit(String),
    /// It would leave something behind, or take something along.
    #[error("{0}")]
    InUse(String),
    /// The user of the database URL may only read.
    #[error("the database refuses the change: {0}")]
    Refused(String),
    /// Not PostfixAdmin's tables: only whoever made them can change them.
    #[error(
        "the database has no table {0:?} with PostfixAdmin's columns; change it by its own means"
    )]
    NoTable(&'static str),
}

impl<'a> Admin<'a> {
    /// Changes `sql`.
    #[must_use]
    pub fn new(sql: &'a Sql) -> Self {
        Self { sql, cache: None }
    }

    /// Makes `cache` forget after each change.
    #[must_use]
    pub fn forgetting(self, cache: &'a dyn Directory) -> Self {
        Self {
            cache: Some(cache),
            ..self
        }
    }

    /// Begins a change of `table`.
    async fn begin(&self, table: &'static str) -> Result<Change, AdminError> {
        self.transaction(table, Access::Write).await
    }

    /// Begins to read `table`; nothing is to be committed.
    async fn read(&self, table: &'static str) -> Result<Change, AdminError> {
        self.transaction(table, Access::Read).await
    }

    async fn transaction(&self, table: &'static str, access: Access) -> Result<Change, AdminError> {
        let schema = self.table(table).await?;
        let transaction = self.sql.pool().begin(access).await.map_err(failure)?;
        Ok(Change {
            transaction,
            schema,
            dialect: self.sql.pool().dialect(),
        })
    }

    async fn commit(&self, change: Change) -> Result<(), AdminError> {
        change.transaction.commit().await.map_err(failure)?;
        if let Some(cache) = self.cache {
            cache.forget();
        }
        Ok(())
    }

    /// The schema, if it has `table` as PostfixAdmin makes it.
    async fn table(&self, table: &'static str) -> Result<std::sync::Arc<Schema>, AdminError> {
        let schema = self.sql.schema().await?;
        let key = match table {
            "mailbox" => "username",
            "alias" => "goto",
            "alias_domain" => "target_domain",
            _ => "domain",
        };
        if schema.has(table, key) {
            Ok(schema)
        } else {
            Err(AdminError::NoTable(table))
        }
    }
}

/// A change under way; dropped, it is undone.
struct Change {
    transaction: Transaction,
    schema: std::sync::Arc<Schema>,
    dialect: crate::sql::Dialect,
}

/// A database error, told apart as far as the operator can do something about it.
fn failure(error: sqlx::Error) -> AdminError {
    if crate::sql::is_refusal(&error) {
        return AdminError::Refused(error.to_string());
    }
    if let sqlx::Error::Database(database) = &error
        && database.is_unique_violation()
    {
        return AdminError::Exists("an entry of that name".to_owned());
    }
    AdminError::Unavailable(Unavailable(error.to_string()))
}

/// `domain.com/user/`, as PostfixAdmin's defaults (domain_path YES, domain_in_mailbox NO) have it.
fn maildir(domain: &Domain, local_part: &str) -> String {
    format!("{domain}/{local_part}/")
}
