//! The directory in a SQL database: PostfixAdmin's tables, or queries of the configuration.
//!
//! One file per concern: `pool` reaches the database, `schema` looks which tables it has, `query`
//! reads pasted queries, `domain`, `account`, `alias` and `usage` answer.

mod account;
mod alias;
mod create;
pub(crate) mod dialect;
mod domain;
mod options;
pub(crate) mod pool;
mod query;
mod row;
mod schema;
mod usage;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use facteur_address::{Address, Domain};

pub(crate) use self::{dialect::Dialect, pool::Pool, row::Row, schema::Schema, usage::is_refusal};
use self::{options::Compiled, query::Query, usage::Usage};
pub use self::{
    options::{OpenError, Queries, SqlOptions},
    query::QueryError,
};
use crate::{
    AccountRecord, Answer, Directory, DomainRecord, HomeTemplate, QuotaDefaults, Unavailable,
    variable::Key,
};

/// A SQL directory. Look-ups go to the database each time: put a [`crate::Cached`] before it.
pub struct Sql {
    pool: Pool,
    queries: Compiled,
    home: HomeTemplate,
    quota: QuotaDefaults,
    timeout: Duration,
    /// What the database has; read when first needed, again after an error.
    schema: Mutex<Option<Arc<Schema>>>,
    usage: Usage,
}

impl Sql {
    /// Opens a directory. A SQLite file that is not there (or is empty) is created, unless the
    /// options say otherwise; other databases are reached when they are first asked, so that the
    /// server can start without.
    ///
    /// # Errors
    /// When the URL or a query is wrong, or the SQLite file cannot be created.
    pub async fn open(options: SqlOptions) -> Result<Self, OpenError> {
        let target = pool::Target::parse(&options.url)?;
        if let pool::Target::Sqlite(sqlite) = &target
            && options.create
        {
            create::create_if_missing(sqlite).await?;
        }
        let pool = target.pool(options.max_connections, options.timeout);
        let queries = Compiled::new(&options.queries, pool.dialect())?;
        Ok(Self {
            usage: Usage::new(options.usage_database)?,
            pool,
            queries,
            home: options.home,
            quota: options.quota,
            timeout: options.timeout,
            schema: Mutex::new(None),
        })
    }

    /// Whether the database answers and has what is looked up in it: the tables, or queries in
    /// their place.
    ///
    /// # Errors
    /// Says what is wrong, for the log at start.
    pub async fn check(&self) -> Result<(), Unavailable> {
        let schema = self.schema().await?;
        let lookups = [
            (
                "domain",
                "virtual_mailbox_domains",
                self.queries.virtual_mailbox_domains.is_empty(),
            ),
            (
                "alias",
                "virtual_alias_maps",
                self.queries.virtual_alias_maps.is_empty(),
            ),
            (
                "mailbox",
                "user_query or password_query",
                self.queries.user_query.is_none() && self.queries.password_query.is_none(),
            ),
        ];
        for (table, key, native) in lookups {
            if native && !schema.has_table(table) {
                return Err(self.without_table(table, key));
            }
        }
        Ok(())
    }

    /// A table that look-ups need is not there. That is never taken for "nobody of that name": a
    /// database that is only just being restored would have all mail returned.
    fn without_table(&self, table: &str, key: &str) -> Unavailable {
        Unavailable(self.pool.without_table(table, key))
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) async fn schema(&self) -> Result<Arc<Schema>, Unavailable> {
        let known = self
            .schema
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let schema = Arc::new(self.in_time(Schema::read(&self.pool)).await?);
        // An empty database is one that is just being set up: look again next time.
        if schema::TABLES.iter().any(|table| schema.has_table(table)) {
            *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = Some(schema.clone());
        }
        Ok(schema)
    }

    fn forget_schema(&self) {
        *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A native query.
    async fn rows(&self, sql: String, key: String) -> Result<Vec<Row>, Unavailable> {
        let sql: Arc<str> = sql.into();
        let answer = self.in_time(self.pool.rows(&sql, &[key])).await;
        if answer.is_err() {
            self.forget_schema();
        }
        answer
    }

    /// A query of the configuration; no rows when it does not apply to the key.
    async fn query_rows(&self, query: &Query, key: &Key<'_>) -> Result<Vec<Row>, Unavailable> {
        match query.parameters(key) {
            None => Ok(Vec::new()),
            Some(parameters) => self.in_time(self.pool.rows(query.sql(), &parameters)).await,
        }
    }

    /// Several maps, the first with an answer wins; its values as Postfix reads them.
    async fn first_map(
        &self,
        maps: &[Query],
        key: &Key<'_>,
    ) -> Result<Option<Vec<String>>, Unavailable> {
        for map in maps {
            let rows = self.query_rows(map, key).await?;
            let values: Vec<String> = rows
                .iter()
                .flat_map(Row::values)
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .collect();
            if !values.is_empty() {
                return Ok(Some(values));
            }
        }
        Ok(None)
    }

    /// Waits for the directory's database no longer than the time-out, and says "unavailable" for
    /// whatever fails.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Unavailable> {
        let failed = |error: &sqlx::Error| self.pool.describe(error);
        self.in_time_or(failed, work).await
    }

    /// The same of any database; `describe` says what is told of an error.
    async fn in_time_or<T>(
        &self,
        describe: impl Fn(&sqlx::Error) -> String,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Unavailable> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let error = describe(&error);
                tracing::warn!(error, "directory look-up failed");
                Err(Unavailable(error))
            }
            Err(_) => {
                tracing::warn!(timeout = ?self.timeout, "directory look-up timed out");
                Err(Unavailable(describe(&sqlx::Error::PoolTimedOut)))
            }
        }
    }
}

impl Directory for Sql {
    fn domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        Box::pin(self.find_domain(domain))
    }

    fn alias_domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Domain>> {
        Box::pin(self.find_alias_domain(domain))
    }

    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        Box::pin(self.find_account(address))
    }

    fn alias<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(self.find_alias(address))
    }

    fn catch_all<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(self.find_catch_all(domain))
    }

    fn sender_login<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(self.find_sender_login(address))
    }

    fn domain_quota<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<u64>> {
        Box::pin(self.find_domain_quota(domain))
    }

    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        Box::pin(self.all_accounts())
    }

    fn record_usage<'a>(
        &'a self,
        account: &'a Address,
        bytes: u64,
        messages: u64,
    ) -> Answer<'a, ()> {
        Box::pin(self.write_usage(account, bytes, messages))
    }

    fn forget(&self) {
        self.forget_schema();
    }
}

#[cfg(test)]
mod tests;
