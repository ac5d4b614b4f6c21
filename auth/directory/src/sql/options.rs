//! What a SQL directory is opened with.

use std::{path::PathBuf, time::Duration};

use super::{
    dialect::Dialect,
    query::{Query, QueryError},
};
use crate::{HomeTemplate, QuotaDefaults, variable::Syntax};

/// How to open a [`super::Sql`].
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// `sqlite:PATH`, `postgres://…`, `mysql://…` or `mariadb://…`.
    pub url: String,
    /// Whether a SQLite file that is missing or empty is made. Where mail was kept before, it is not:
    /// in an empty directory nobody exists, and all mail would be returned.
    pub create: bool,
    /// Most connections at once.
    pub max_connections: u32,
    /// Longest wait for a connection, and for an answer.
    pub timeout: Duration,
    /// Queries in place of the native look-ups.
    pub queries: Queries,
    /// Where mail lies.
    pub home: HomeTemplate,
    /// What accounts may hold, unless the database says otherwise.
    pub quota: QuotaDefaults,
    /// Our own SQLite file for the quota count where quota2 may not be written.
    pub usage_database: Option<PathBuf>,
}

impl SqlOptions {
    /// Defaults for a database.
    #[must_use]
    pub fn new(url: impl Into<String>, home: HomeTemplate) -> Self {
        Self {
            url: url.into(),
            create: true,
            max_connections: 8,
            timeout: Duration::from_secs(10),
            queries: Queries::default(),
            home,
            quota: QuotaDefaults::default(),
            usage_database: None,
        }
    }
}

impl SqlOptions {
    /// Whether a directory can be opened with them, as far as that shows without its database.
    ///
    /// # Errors
    /// When the URL or a query is wrong.
    pub fn check(&self) -> Result<(), OpenError> {
        let dialect = super::pool::Target::parse(&self.url)?.dialect();
        Compiled::new(&self.queries, dialect).map(drop)
    }
}

/// Queries of the configuration; one that is not given is answered from PostfixAdmin's tables.
/// The first six are Postfix's (`%s` the key, `%u` its local part, `%d` its domain; of several
/// the first with an answer wins), the last three Dovecot's (`%u` the user, `%n`, `%d`).
#[derive(Debug, Clone, Default)]
pub struct Queries {
    /// Domains whose mailboxes are here.
    pub virtual_mailbox_domains: Vec<String>,
    /// Domains we relay for.
    pub relay_domains: Vec<String>,
    /// Aliases, and with the key `@domain` catch-alls.
    pub virtual_alias_maps: Vec<String>,
    /// Accounts: any answer means that there is one.
    pub virtual_mailbox_maps: Vec<String>,
    /// The target of an alias domain, by its name.
    pub alias_domain: Vec<String>,
    /// Logins that may send from an address.
    pub smtpd_sender_login_maps: Vec<String>,
    /// `home`, `mail`, `quota_rule`, `quota_rule2` … of a user.
    pub user_query: Option<String>,
    /// `user` and `password`; the columns of a userdb too, with `userdb_` before their names.
    pub password_query: Option<String>,
    /// All users: `user` or `username`, or `username` and `domain`.
    pub iterate_query: Option<String>,
}

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another kind of database.
    #[error("{0:?} is no database we know: use sqlite:, postgres:, mysql: or mariadb:")]
    Scheme(String),
    /// The URL cannot be read. It is not shown, as it may hold a password.
    #[error("the database URL is malformed; special characters in a password are written as %XX")]
    Url,
    /// A query cannot be used.
    #[error("{key}: {error}")]
    Query {
        /// Which one.
        key: &'static str,
        /// Why.
        error: QueryError,
    },
    /// The SQLite file cannot be created.
    #[error("cannot create {path}: {error}")]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: String,
    },
}

/// [`Queries`], read.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) virtual_mailbox_domains: Vec<Query>,
    pub(crate) relay_domains: Vec<Query>,
    pub(crate) virtual_alias_maps: Vec<Query>,
    pub(crate) virtual_mailbox_maps: Vec<Query>,
    pub(crate) alias_domain: Vec<Query>,
    pub(crate) smtpd_sender_login_maps: Vec<Query>,
    pub(crate) user_query: Option<Query>,
    pub(crate) password_query: Option<Query>,
    pub(crate) iterate_query: Option<Query>,
}

impl Compiled {
    pub(crate) fn new(queries: &Queries, dialect: Dialect) -> Result<Self, OpenError> {
        let one = |key, text: &String, syntax| {
            Query::parse(text, syntax, dialect).map_err(|error| OpenError::Query { key, error })
        };
        let maps = |key, texts: &[String]| -> Result<Vec<Query>, OpenError> {
            texts
                .iter()
                .map(|text| one(key, text, Syntax::Postfix))
                .collect()
        };
        let query = |key, text: &Option<String>| -> Result<Option<Query>, OpenError> {
            text.as_ref()
                .map(|text| one(key, text, Syntax::Dovecot))
                .transpose()
        };
        Ok(Self {
            virtual_mailbox_domains: maps(
                "virtual_mailbox_domains",
                &queries.virtual_mailbox_domains,
            )?,
            relay_domains: maps("relay_domains", &queries.relay_domains)?,
            virtual_alias_maps: maps("virtual_alias_maps", &queries.virtual_alias_maps)?,
            virtual_mailbox_maps: maps("virtual_mailbox_maps", &queries.virtual_mailbox_maps)?,
            alias_domain: maps("alias_domain", &queries.alias_domain)?,
            smtpd_sender_login_maps: maps(
                "smtpd_sender_login_maps",
                &queries.smtpd_sender_login_maps,
            )?,
            user_query: query("user_query", &queries.user_query)?,
            password_query: query("password_query", &queries.password_query)?,
            iterate_query: query("iterate_query", &queries.iterate_query)?,
        })
    }
}
