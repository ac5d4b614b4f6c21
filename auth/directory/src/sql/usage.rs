//! How much an account holds, for PostfixAdmin's pages: quota2, or a file of our own.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use facteur_address::Address;

use super::{OpenError, Pool, Sql, pool::Target};
use crate::{Unavailable, variable::lookup_text};

/// Where the count goes when quota2 may not be written.
pub(crate) struct Usage {
    own: Option<(PathBuf, tokio::sync::OnceCell<Pool>)>,
    /// Once refused, quota2 is not tried again until the next start.
    quota2_refused: AtomicBool,
}

impl Usage {
    pub(crate) fn new(path: Option<PathBuf>) -> Result<Self, OpenError> {
        Ok(Self {
            own: path.map(|path| (path, tokio::sync::OnceCell::new())),
            quota2_refused: AtomicBool::new(false),
        })
    }

    /// Our own file; made when it is first needed.
    async fn own_pool(&self) -> Result<Option<&Pool>, sqlx::Error> {
        let Some((path, cell)) = &self.own else {
            return Ok(None);
        };
        let open = || async {
            let target = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
                .busy_timeout(Duration::from_secs(5));
            let pool = Target::Sqlite(target).pool(1, Duration::from_secs(5));
            let create: Arc<str> = "CREATE TABLE IF NOT EXISTS quota2 (username TEXT PRIMARY KEY, \
                bytes INTEGER NOT NULL, messages INTEGER NOT NULL)"
                .into();
            pool.execute(&create, &[]).await?;
            Ok::<_, sqlx::Error>(pool)
        };
        cell.get_or_try_init(open).await.map(Some)
    }
}

impl Sql {
    pub(super) async fn write_usage(
        &self,
        account: &Address,
        bytes: u64,
        messages: u64,
    ) -> Result<(), Unavailable> {
        let name = lookup_text(&account.folded());
        let may_write = !self.usage.quota2_refused.load(Ordering::Relaxed)
            && self.schema().await?.has_table("quota2");
        if may_write {
            let write = upsert(&self.pool, &name, bytes, messages);
            match tokio::time::timeout(self.timeout, write).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if is_refusal(&error) => {
                    tracing::info!(%error, "quota2 may not be written: the count is kept in our own file");
                    self.usage.quota2_refused.store(true, Ordering::Relaxed);
                }
                Ok(Err(error)) => return Err(Unavailable(self.pool.describe(&error))),
                Err(_) => {
                    let error = sqlx::Error::PoolTimedOut;
                    return Err(Unavailable(self.pool.describe(&error)));
                }
            }
        }
        let own = self.usage.own_pool();
        if let Some(pool) = self.in_time_or(ToString::to_string, own).await? {
            let write = upsert(pool, &name, bytes, messages);
            let failed = |error: &sqlx::Error| pool.describe(error);
            self.in_time_or(failed, write).await?;
        }
        Ok(())
    }
}

/// UPDATE before INSERT: on PostgreSQL PostfixAdmin's trigger adds an inserted count to the one
/// that is there, and ours is absolute.
async fn upsert(pool: &Pool, name: &str, bytes: u64, messages: u64) -> Result<(), sqlx::Error> {
    let name = [name.to_owned()];
    let mut parameter = String::new();
    pool.dialect().push_parameter(&mut parameter, 1);
    let update: Arc<str> = format!(
        "UPDATE quota2 SET bytes = {bytes}, messages = {messages} WHERE username = {parameter}"
    )
    .into();
    if pool.execute(&update, &name).await? > 0 {
        return Ok(());
    }
    let insert: Arc<str> = format!(
        "INSERT INTO quota2 (username, bytes, messages) VALUES ({parameter}, {bytes}, {messages})"
    )
    .into();
    match pool.execute(&insert, &name).await {
        // Somebody else inserted it in between.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            pool.execute(&update, &name).await.map(|_| ())
        }
        result => result.map(|_| ()),
    }
}

/// Whether the database says that we may not write: no rights, or read-only.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        // ER_TABLEACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR,
        // ER_OPTION_PREVENTS_STATEMENT (read_only), ER_NON_UPDATABLE_TABLE (a view)
        return matches!(mysql.number(), 1142 | 1044 | 1143 | 1290 | 1288);
    }
    match error.code().as_deref() {
        // PostgreSQL: insufficient_privilege, read_only_sql_transaction, a view.
        Some("42501" | "25006" | "55000") => true,
        // SQLite: SQLITE_READONLY and its extended codes.
        Some(code) => {
            error
                .try_downcast_ref::<sqlx::sqlite::SqliteError>()
                .is_some()
                && code.parse::<u32>().is_ok_and(|code| code & 0xff == 8)
        }
        None => false,
    }
}
