//! An open index: what it answers.

use std::path::Path;

use facteur_disk::Disk;
use facteur_model::{Guid, ModSeq, Uid, UidSet, UidValidity};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    IndexError, MailboxRow, MessageRow, Parts, Transaction, body, empty, expunged,
    packed::{self, Packed},
    rows::{key, uid_in, unsigned},
    schema,
};

/// The fact that says how far the journal is in here.
pub(crate) const APPLIED: &str = "applied";

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
        let connection = match schema::connect(disk, path)? {
            Some(connection) => connection,
            None => {
                empty::make(disk, path)?;
                let made = schema::connect(disk, path)?;
                made.ok_or_else(|| IndexError::Damaged("it is empty".to_owned()))?
            }
        };
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
        let transaction = Transaction::new(self);
        let result = change(&transaction).and_then(|value| {
            transaction.write()?;
            Ok(value)
        });
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
        let mut messages = Vec::new();
        self.runs(mailbox, &mut |run| messages.extend_from_slice(run))?;
        Ok(messages)
    }

    /// Calls `visit` with every message of a mailbox in UID order, in runs of at most 256 as they are
    /// stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn runs(
        &self,
        mailbox: u32,
        visit: &mut dyn FnMut(&[MessageRow]),
    ) -> Result<(), IndexError> {
        let mut statement = self.connection.prepare_cached(MessageRow::SQL.all)?;
        let mut rows = statement.query([key(mailbox, 0), key(mailbox, u64::MAX)])?;
        let mut messages: Vec<MessageRow> = Vec::new();
        let mut last = None;
        while let Some(row) = rows.next()? {
            packed::decode(
                row.get_ref(1)?.as_blob()?,
                uid_in(row.get(0)?),
                &mut messages,
            )?;
            if messages.first().map(|message| message.uid) <= last {
                return Err(IndexError::Damaged("runs of messages overlap".to_owned()));
            }
            last = messages.last().map(|message| message.uid);
            visit(&messages);
        }
        Ok(())
    }

    /// One message's state.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn message(&self, mailbox: u32, uid: Uid) -> Result<Option<MessageRow>, IndexError> {
        let mut statement = self.connection.prepare_cached(MessageRow::SQL.last)?;
        let mut rows = statement.query([key(mailbox, 0), key(mailbox, uid.value().into())])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let mut messages: Vec<MessageRow> = Vec::new();
        packed::decode(
            row.get_ref(1)?.as_blob()?,
            uid_in(row.get(0)?),
            &mut messages,
        )?;
        let found = messages.binary_search_by_key(&uid, |message| message.uid);
        Ok(found.ok().and_then(|at| messages.get(at).copied()))
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
            "SELECT id, envelope, body_structure, body FROM detail WHERE id BETWEEN ?1 AND ?2
             ORDER BY id",
        )?;
        let mut derived = Vec::new();
        for (low, high) in uids.ranges() {
            let mut rows = statement.query([
                key(mailbox, low.value().into()),
                key(mailbox, high.value().into()),
            ])?;
            while let Some(row) = rows.next()? {
                let Some(uid) = uid_in(row.get(0)?) else {
                    continue;
                };
                let body_structure = blob(row, 2)?;
                let body = match row.get_ref(3)?.as_blob_or_null() {
                    Ok(Some(body)) => body,
                    Ok(None) => body::of_structure(body_structure, &mut derived)
                        .map(|()| derived.as_slice())
                        .ok_or_else(|| {
                            IndexError::Damaged(format!("UID {uid}: BODYSTRUCTURE makes no sense"))
                        })?,
                    Err(error) => return Err(IndexError::Damaged(error.to_string())),
                };
                let parts = Parts {
                    envelope: blob(row, 1)?,
                    body_structure,
                    body,
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

    /// UIDs expunged from a mailbox after `since`, as far as they are remembered.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn expunged(&self, mailbox: u32, since: ModSeq) -> Result<UidSet, IndexError> {
        expunged::after(&self.connection, mailbox, since)
    }

    /// All UIDs expunged from a mailbox after `since`; `None` when that is not known any more
    /// (RFC 7162 §3.2.5.2 says what to answer then).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn vanished(&self, mailbox: u32, since: ModSeq) -> Result<Option<UidSet>, IndexError> {
        if since < expunged::floor(&self.connection, mailbox)? {
            return Ok(None);
        }
        expunged::after(&self.connection, mailbox, since).map(Some)
    }

    /// How far the journal's records are in here: the journal's identity, and the last record of
    /// which this index has what it says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn applied(&self) -> Result<Option<([u8; 16], u64)>, IndexError> {
        let Some(text) = self.fact(APPLIED)? else {
            return Ok(None);
        };
        let parsed = text.split_once(' ').and_then(|(journal, lsn)| {
            Some((*Guid::parse(journal)?.as_bytes(), lsn.parse().ok()?))
        });
        match parsed {
            Some(applied) => Ok(Some(applied)),
            None => Err(IndexError::Damaged(
                "the journal's mark makes no sense".to_owned(),
            )),
        }
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
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], IndexError> {
    row.get_ref(column)?
        .as_blob()
        .map_err(|error| IndexError::Damaged(error.to_string()))
}
