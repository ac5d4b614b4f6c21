//! The tables.

use rusqlite::{Connection, config::DbConfig};

use crate::IndexError;

/// What `PRAGMA user_version` says of this layout.
const VERSION: i64 = 1;

/// A message's key is its mailbox's number and its UID in one integer (`mailbox << 32 | uid`): one
/// B-tree in UID order for each table. What a mailbox needs to be opened (`message`) lies apart from
/// what single messages are asked for (`detail`), so that opening reads little.
const TABLES: &str = "
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY, guid BLOB NOT NULL UNIQUE, uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL, highest_modseq INTEGER NOT NULL, recent_from INTEGER NOT NULL,
    messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE message (
    id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, internal_date INTEGER NOT NULL,
    size INTEGER NOT NULL, keywords INTEGER NOT NULL, flags INTEGER NOT NULL
) STRICT;
CREATE TABLE detail (
    id INTEGER PRIMARY KEY, guid BLOB NOT NULL, envelope BLOB NOT NULL, body_structure BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE keyword_set (
    mailbox INTEGER NOT NULL, id INTEGER NOT NULL, keywords TEXT NOT NULL, PRIMARY KEY (mailbox, id)
) WITHOUT ROWID, STRICT;
CREATE TABLE expunged (id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL) STRICT;
CREATE TABLE delivery (
    guid BLOB PRIMARY KEY, message INTEGER NOT NULL, noted_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE memory (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX memory_expiry ON memory (expires_at);
";

/// Sets the connection up and makes the tables when there are none.
pub(crate) fn prepare(connection: &Connection) -> Result<(), IndexError> {
    // Nobody is waited for: who has it open keeps it open.
    connection.busy_timeout(std::time::Duration::ZERO)?;
    // One owner per account: nobody shares the database, so its lock can stay and its shared
    // memory need not exist.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -256)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Handles come and go with the load; the log is checkpointed when it has grown instead.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => Ok(()),
        0 => create(connection),
        newer if newer > VERSION => Err(IndexError::TooNew(newer)),
        other => Err(IndexError::Damaged(format!("version is {other}"))),
    }
}

fn create(connection: &Connection) -> Result<(), IndexError> {
    let made = connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
    ));
    if let Err(error) = made {
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        return Err(error.into());
    }
    Ok(())
}
