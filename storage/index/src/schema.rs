//! The tables.

use std::path::Path;

use facteur_disk::Disk;
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{IndexError, migrate};

/// What `PRAGMA user_version` says of this layout.
pub(crate) const VERSION: i64 = 2;

/// A message's key is its mailbox's number and its UID in one integer (`mailbox << 32 | uid`). What
/// a mailbox needs to be opened (`run`) lies apart from what single messages are asked for
/// (`detail`), so that opening reads little; it lies in runs of messages, so that a million of them
/// is some thousands of rows. `name` is Maildir's alone. A run's key is that of its first message; a
/// run of header lines has the number of its group in the mailbox's place.
pub(crate) const TABLES: &str = "
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY, guid BLOB NOT NULL, uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL, highest_modseq INTEGER NOT NULL, recent_from INTEGER NOT NULL,
    messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL, bytes INTEGER NOT NULL,
    expunged_ranges INTEGER NOT NULL DEFAULT 0, expunged_floor INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE run (id INTEGER PRIMARY KEY, run BLOB NOT NULL) STRICT;
CREATE TABLE detail (
    id INTEGER PRIMARY KEY, guid BLOB NOT NULL, envelope BLOB NOT NULL, body_structure BLOB NOT NULL,
    body BLOB
) STRICT;
CREATE TABLE keyword_set (
    mailbox INTEGER NOT NULL, id INTEGER NOT NULL, keywords TEXT NOT NULL, PRIMARY KEY (mailbox, id)
) WITHOUT ROWID, STRICT;
CREATE TABLE expunged (
    mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, ranges INTEGER NOT NULL, uids BLOB NOT NULL,
    PRIMARY KEY (mailbox, modseq)
) WITHOUT ROWID, STRICT;
CREATE TABLE delivery (
    guid BLOB PRIMARY KEY, message INTEGER NOT NULL, noted_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE memory (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX memory_expiry ON memory (expires_at);
CREATE TABLE name (id INTEGER PRIMARY KEY, name BLOB NOT NULL) STRICT;
CREATE TABLE header_group (
    id INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL, fields TEXT NOT NULL, wanted_at INTEGER NOT NULL
) STRICT;
CREATE TABLE header_run (id INTEGER PRIMARY KEY, run BLOB NOT NULL) STRICT;
";

/// The pages that a handle holds, in KiB (SQLite's sign for that): the system's cache has the rest.
const CACHE: i64 = -128;

/// Opens the database at `path`; `None` when it is missing or nothing was ever in it.
pub(crate) fn connect(disk: &Disk, path: &Path) -> Result<Option<Connection>, IndexError> {
    // One that is missing is not SQLite's to make.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match Connection::open_with_flags(path, flags) {
        Ok(connection) => connection,
        Err(error) => {
            return match disk.kind(path)? {
                None => Ok(None),
                Some(_) => Err(error.into()),
            };
        }
    };
    Ok(prepare(&connection)?.then_some(connection))
}

/// Sets the connection up and makes the tables when there are none. Says whether it could: not in a
/// file of no length.
fn prepare(connection: &Connection) -> Result<bool, IndexError> {
    // Nobody is waited for: who has it open keeps it open.
    connection.busy_timeout(std::time::Duration::ZERO)?;
    // One owner per account: nobody shares the database, so its lock can stay and its shared
    // memory need not exist.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.set_prepared_statement_cache_capacity(32);
    // Handles come and go with the load; the log is checkpointed when it has grown instead.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 && pages(connection)? == 0 {
        return Ok(false);
    }
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    match version {
        VERSION => {}
        0 => atomically(connection, || {
            connection.execute_batch(TABLES)?;
            Ok(())
        })?,
        1 => atomically(connection, || migrate::from_1(connection))?,
        newer if newer > VERSION => return Err(IndexError::TooNew(newer)),
        other => return Err(IndexError::Damaged(format!("version is {other}"))),
    }
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(true)
}

fn pages(connection: &Connection) -> Result<i64, IndexError> {
    Ok(connection.pragma_query_value(None, "page_count", |row| row.get(0))?)
}

/// Does all of `work` and notes the version, or leaves all as it was.
fn atomically(
    connection: &Connection,
    work: impl FnOnce() -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = work().and_then(|()| {
        connection.execute_batch(&format!("PRAGMA user_version = {VERSION}; COMMIT"))?;
        Ok(())
    });
    if done.is_err() && !connection.is_autocommit() {
        // What failed is what is told.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}
