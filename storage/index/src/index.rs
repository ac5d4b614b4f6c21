//! An open index: what it answers.

use std::path::Path;

use facteur_disk::Disk;
use facteur_model::{Flags, Guid, InternalDate, ModSeq, Uid, UidSet, UidValidity};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    IndexError, MailboxRow, MessageRow, Parts, Transaction,
    rows::{key, signed, uid_in, unsigned},
    schema,
};

/// An account's open index.
#[derive(Debug)]
pub struct Index {
    pub(crate) connection: Connection,
    pub(crate) disk: Disk,
}

impl Index {
    /// Opens the index at `path`; makes an empty one when it is missing.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] when it must be rebuilt.
    pub fn open(disk: &Disk, path: &Path) -> Result<Self, IndexError> {
        disk.point("index open")?;
        let connection = Connection::open(path)?;
        schema::prepare(&connection)?;
        Ok(Self {
            connection,
            disk: disk.clone(),
        })
    }

    /// Removes the index at `path` with its log.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn remove(disk: &Disk, path: &Path) -> Result<(), IndexError> {
        for suffix in ["-wal", "-shm", "-journal", ""] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            disk.unlink_if_there(Path::new(&name))?;
        }
        Ok(())
    }

    /// Changes it: all that `change` does, or nothing.
    ///
    /// # Errors
    /// Its own, or `change`'s.
    pub fn transaction<T, E: From<IndexError>>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.disk.point("index begin").map_err(IndexError::from)?;
        self.execute("BEGIN IMMEDIATE")?;
        let result = change(&Transaction { index: self });
        let result = match result {
            Ok(value) => self
                .disk
                .point("index commit")
                .map_err(IndexError::from)
                .and_then(|()| self.execute("COMMIT"))
                .map(|()| value)
                .map_err(E::from),
            Err(error) => Err(error),
        };
        if result.is_err() && !self.connection.is_autocommit() {
            // What failed is what is told; a rollback that fails too leaves the connection to its
            // own: the owner drops it.
            let _ = self.execute("ROLLBACK");
        }
        result
    }

    fn execute(&self, sql: &str) -> Result<(), IndexError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// A fact about the account.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn fact(&self, name: &str) -> Result<Option<String>, IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM fact WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Every mailbox it knows.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn mailboxes(&self) -> Result<Vec<MailboxRow>, IndexError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, guid, uid_validity, uid_next, highest_modseq, recent_from, messages, unseen,
             deleted, bytes FROM mailbox",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(MailboxRow {
                id: row.get(0)?,
                guid: Guid::from_bytes(row.get(1)?),
                uid_validity: UidValidity::new(row.get(2)?).unwrap_or(UidValidity::FIRST),
                uid_next: unsigned(row.get(3)?),
                highest_modseq: ModSeq::new(unsigned(row.get(4)?)),
                recent_from: unsigned(row.get(5)?),
                messages: row.get(6)?,
                unseen: row.get(7)?,
                deleted: row.get(8)?,
                bytes: unsigned(row.get(9)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every message of a mailbox, in UID order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn messages(&self, mailbox: u32) -> Result<Vec<MessageRow>, IndexError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, modseq, internal_date, size, keywords, flags FROM message
             WHERE id BETWEEN ?1 AND ?2",
        )?;
        let mut rows = statement.query([key(mailbox, 0), key(mailbox, u64::MAX)])?;
        let mut messages = Vec::new();
        while let Some(row) = rows.next()? {
            messages.push(message(row)?);
        }
        Ok(messages)
    }

    /// One message's state.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn message(&self, mailbox: u32, uid: Uid) -> Result<Option<MessageRow>, IndexError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, modseq, internal_date, size, keywords, flags FROM message WHERE id = ?1",
        )?;
        let mut rows = statement.query([key(mailbox, uid.value().into())])?;
        rows.next()?.map(message).transpose()
    }

    /// The keyword sets of a mailbox: number and keywords, separated by spaces.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn keyword_sets(&self, mailbox: u32) -> Result<Vec<(u32, String)>, IndexError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, keywords FROM keyword_set WHERE mailbox = ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([mailbox], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Calls `visit` with the summary of each message named that is there, in UID order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn summaries(
        &self,
        mailbox: u32,
        uids: &UidSet,
        visit: &mut dyn FnMut(Uid, Parts<'_>),
    ) -> Result<(), IndexError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, envelope, body_structure, body FROM detail WHERE id BETWEEN ?1 AND ?2",
        )?;
        for (low, high) in uids.ranges() {
            let mut rows = statement.query([
                key(mailbox, low.value().into()),
                key(mailbox, high.value().into()),
            ])?;
            while let Some(row) = rows.next()? {
                let Some(uid) = uid_in(row.get(0)?) else {
                    continue;
                };
                let parts = Parts {
                    envelope: blob(row, 1)?,
                    body_structure: blob(row, 2)?,
                    body: blob(row, 3)?,
                };
                visit(uid, parts);
            }
        }
        Ok(())
    }

    /// Where a delivery's message lay first, if it was ever made here: mailbox and UID.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn delivery(&self, delivery: Guid) -> Result<Option<(u32, Uid)>, IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT message FROM delivery WHERE guid = ?1")?;
        let found: Option<i64> = statement
            .query_row([delivery.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(found.and_then(|key| Some((u32::try_from(key >> 32).ok()?, uid_in(key)?))))
    }

    /// UIDs expunged from a mailbox after `since`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn expunged(&self, mailbox: u32, since: ModSeq) -> Result<UidSet, IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM expunged WHERE id BETWEEN ?1 AND ?2 AND modseq > ?3")?;
        let mut rows = statement.query(params![
            key(mailbox, 0),
            key(mailbox, u64::MAX),
            signed(since.value())
        ])?;
        let mut uids = UidSet::new();
        while let Some(row) = rows.next()? {
            if let Some(uid) = uid_in(row.get(0)?) {
                uids.insert(uid);
            }
        }
        Ok(uids)
    }

    /// Whether Sieve's memory has `key`, not expired at `now` (Unix seconds).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn remembers(&self, key: &[u8; 32], now: i64) -> Result<bool, IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM memory WHERE key = ?1 AND expires_at > ?2")?;
        Ok(statement.exists(params![key, now])?)
    }

    /// Moves the log into the database and makes both durable.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn checkpoint(&self) -> Result<(), IndexError> {
        self.disk.point("index checkpoint")?;
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Whether the database is whole; it reads all of it.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] when it is not.
    pub fn check(&self) -> Result<(), IndexError> {
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict == "ok" {
            Ok(())
        } else {
            Err(IndexError::Damaged(verdict))
        }
    }
}

fn message(row: &Row<'_>) -> Result<MessageRow, IndexError> {
    let uid = uid_in(row.get(0)?).ok_or_else(|| IndexError::Damaged("a UID is 0".to_owned()))?;
    Ok(MessageRow {
        uid,
        modseq: ModSeq::new(unsigned(row.get(1)?)),
        internal_date: InternalDate::from_unix(row.get(2)?),
        size: unsigned(row.get(3)?),
        keywords: row.get(4)?,
        flags: Flags::from_bits(row.get(5)?),
    })
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], IndexError> {
    row.get_ref(column)?
        .as_blob()
        .map_err(|error| IndexError::Damaged(error.to_string()))
}
