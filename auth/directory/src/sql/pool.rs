//! One bounded pool over one of three databases; results as texts.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _,
    mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions},
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions},
};
use tracing::log::LevelFilter;

use super::{
    OpenError,
    dialect::Dialect,
    row::{self, Row},
};

/// A pool that connects when it is first used, and again after a failure.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// A transaction; dropped without [`Transaction::commit`] it is rolled back.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    MySql(sqlx::Transaction<'static, sqlx::MySql>),
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Which database a URL means, and how to reach it.
pub(crate) enum Target {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
    MySql(MySqlConnectOptions),
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        // The driver's own text may quote the URL, and with it a password.
        let malformed = |_| OpenError::Url;
        Ok(match scheme {
            "sqlite" => Self::Sqlite(
                SqliteConnectOptions::from_str(url)
                    .map_err(malformed)?
                    .busy_timeout(Duration::from_secs(5))
                    .log_slow_statements(LevelFilter::Debug, Duration::from_secs(1)),
            ),
            "postgres" | "postgresql" => Self::Postgres(
                PgConnectOptions::from_str(url)
                    .map_err(malformed)?
                    .application_name("facteur"),
            ),
            // The session is left as the server has it, so that a query of Postfix's or
            // Dovecot's means here what it meant there.
            "mysql" | "mariadb" => Self::MySql(
                MySqlConnectOptions::from_str(&url.replacen("mariadb:", "mysql:", 1))
                    .map_err(malformed)?
                    .pipes_as_concat(false)
                    .no_engine_substitution(false)
                    .timezone(None),
            ),
            _ => return Err(OpenError::Scheme(scheme.chars().take(20).collect())),
        })
    }

    /// What is spoken there.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// A pool over it; nothing connects yet.
    pub(crate) fn pool(self, max_connections: u32, acquire_timeout: Duration) -> Pool {
        match self {
            Self::Sqlite(target) => Pool::Sqlite(
                bounded(SqlitePoolOptions::new(), max_connections, acquire_timeout)
                    .connect_lazy_with(target),
            ),
            Self::Postgres(target) => Pool::Postgres(
                bounded(PgPoolOptions::new(), max_connections, acquire_timeout)
                    .connect_lazy_with(target),
            ),
            Self::MySql(target) => Pool::MySql(
                bounded(MySqlPoolOptions::new(), max_connections, acquire_timeout)
                    .connect_lazy_with(target),
            ),
        }
    }
}

fn bounded<DB: sqlx::Database>(
    options: PoolOptions<DB>,
    max_connections: u32,
    acquire_timeout: Duration,
) -> PoolOptions<DB> {
    options
        .max_connections(max_connections.max(1))
        .acquire_timeout(acquire_timeout)
        .idle_timeout(Duration::from_secs(300))
}

/// The three databases differ in type only; what is done with them is the same.
macro_rules! on_each {
    ($value:expr, $inner:ident => $body:expr, $enum:ident) => {
        match $value {
            $enum::Sqlite($inner) => $body,
            $enum::Postgres($inner) => $body,
            $enum::MySql($inner) => $body,
        }
    };
}

/// Runs `$sql` with text parameters on an executor and collects texts.
macro_rules! rows {
    ($executor:expr, $sql:expr, $parameters:expr, $read:path) => {{
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone($sql)));
        for parameter in $parameters {
            query = query.bind(parameter.as_str());
        }
        query
            .fetch_all($executor)
            .await?
            .iter()
            .map($read)
            .collect()
    }};
}

macro_rules! execute {
    ($executor:expr, $sql:expr, $parameters:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone($sql)));
        for parameter in $parameters {
            query = query.bind(parameter.as_str());
        }
        Ok(query.execute($executor).await?.rows_affected())
    }};
}

impl Pool {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// Where the database is; never who asks, and with what password.
    fn place(&self) -> String {
        let place = |socket: Option<&PathBuf>, host: &str, port| match socket {
            Some(socket) => socket.display().to_string(),
            None => format!("{host}:{port}"),
        };
        match self {
            Self::Sqlite(pool) => pool.connect_options().get_filename().display().to_string(),
            Self::Postgres(pool) => {
                let options = pool.connect_options();
                place(options.get_socket(), options.get_host(), options.get_port())
            }
            Self::MySql(pool) => {
                let options = pool.connect_options();
                place(options.get_socket(), options.get_host(), options.get_port())
            }
        }
    }

    /// What an operator is told of a table that is not there.
    pub(crate) fn without_table(&self, table: &str, key: &str) -> String {
        let place = self.place();
        self.without_file().unwrap_or_else(|| {
            format!("the database at {place} has no table {table:?}, and {key} is not set")
        })
    }

    /// The same of a SQLite file that is not there.
    fn without_file(&self) -> Option<String> {
        let Self::Sqlite(pool) = self else {
            return None;
        };
        let options = pool.connect_options();
        is_nothing(options.get_filename()).then(|| {
            format!(
                "there is nothing at {}: put the directory back from a backup, or make an empty one with `facteur domain add`",
                options.get_filename().display()
            )
        })
    }

    /// What an operator is told of a failure.
    pub(crate) fn describe(&self, error: &sqlx::Error) -> String {
        let place = self.place();
        if let Some(missing) = self.without_file() {
            return missing;
        }
        if is_damaged(error) && matches!(self, Self::Sqlite(_)) {
            return format!(
                "the directory at {place} is damaged: put it back from a backup ({error})"
            );
        }
        match error {
            // The pool tries again until then, and does not say what for.
            sqlx::Error::PoolTimedOut => {
                format!("no connection to the database at {place} in time: does it run there?")
            }
            sqlx::Error::Io(error) => {
                format!("no connection to the database at {place}: {error}")
            }
            error => format!("the database at {place}: {error}"),
        }
    }

    /// All rows of a query.
    pub(crate) async fn rows(
        &self,
        sql: &Arc<str>,
        parameters: &[String],
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => rows!(pool, sql, parameters, row::from_sqlite),
            Self::Postgres(pool) => rows!(pool, sql, parameters, row::from_postgres),
            Self::MySql(pool) => {
                let answer = async { rows!(pool, sql, parameters, row::from_mysql) }.await;
                match answer {
                    Err(error) if cannot_hold(&error, parameters) => Ok(Vec::new()),
                    answer => answer,
                }
            }
        }
    }

    /// How many rows a statement touched.
    pub(crate) async fn execute(
        &self,
        sql: &Arc<str>,
        parameters: &[String],
    ) -> Result<u64, sqlx::Error> {
        on_each!(self, pool => execute!(pool, sql, parameters), Pool)
    }

    pub(crate) async fn begin(&self, access: Access) -> Result<Transaction, sqlx::Error> {
        Ok(match (self, access) {
            // Two writers that both begin by reading would fail each other.
            (Self::Sqlite(pool), Access::Write) => {
                Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)
            }
            (Self::Sqlite(pool), Access::Read) => Transaction::Sqlite(pool.begin().await?),
            (Self::Postgres(pool), _) => Transaction::Postgres(pool.begin().await?),
            (Self::MySql(pool), _) => Transaction::MySql(pool.begin().await?),
        })
    }
}

/// Whether there is no file, or an empty one, as a failed copy leaves it.
fn is_nothing(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(file) => file.len() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// SQLITE_CORRUPT, SQLITE_NOTADB.
fn is_damaged(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let number = code.and_then(|code| code.parse::<u32>().ok());
    // The rest of the number says more of the same.
    matches!(number.map(|number| number & 0xff), Some(11 | 26))
}

/// Whether MySQL only says that a column's character set has no such letters: then nothing in it can
/// be what was asked for. (PostfixAdmin's columns are Latin-1, addresses may be UTF-8.)
fn cannot_hold(error: &sqlx::Error, parameters: &[String]) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let mysql = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>();
    // ER_CANT_AGGREGATE_2COLLATIONS, _3COLLATIONS, _NCOLLATIONS
    mysql.is_some_and(|mysql| matches!(mysql.number(), 1267 | 1270 | 1271))
        && parameters.iter().any(|parameter| !parameter.is_ascii())
}

impl Transaction {
    pub(crate) async fn rows(
        &mut self,
        sql: &Arc<str>,
        parameters: &[String],
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => rows!(&mut **tx, sql, parameters, row::from_sqlite),
            Self::Postgres(tx) => rows!(&mut **tx, sql, parameters, row::from_postgres),
            Self::MySql(tx) => rows!(&mut **tx, sql, parameters, row::from_mysql),
        }
    }

    pub(crate) async fn execute(
        &mut self,
        sql: &Arc<str>,
        parameters: &[String],
    ) -> Result<u64, sqlx::Error> {
        on_each!(self, tx => execute!(&mut **tx, sql, parameters), Transaction)
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        on_each!(self, tx => tx.commit().await, Transaction)
    }
}
