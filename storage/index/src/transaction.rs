//! Changes to an index, within one transaction.

use std::cell::RefCell;

use facteur_model::{Guid, ModSeq, Uid, UidSet};
use rusqlite::{Params, params};

use crate::{
    Details, Index, IndexError, MailboxRow, MessageRow, body, expunged,
    headers::HeaderValue,
    index::APPLIED,
    rows::{key, signed},
    runs::Runs,
};

/// An open transaction: [`Index::transaction`].
#[derive(Debug)]
pub struct Transaction<'a> {
    pub(crate) index: &'a Index,
    messages: RefCell<Runs<MessageRow>>,
    pub(crate) headers: RefCell<Runs<HeaderValue>>,
    scratch: RefCell<Vec<u8>>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(index: &'a Index) -> Self {
        Self {
            index,
            messages: RefCell::default(),
            headers: RefCell::default(),
            scratch: RefCell::default(),
        }
    }
}

impl Transaction<'_> {
    /// Writes what is held back.
    pub(crate) fn write(&self) -> Result<(), IndexError> {
        self.messages.borrow_mut().write(&self.index.connection)?;
        self.headers.borrow_mut().write(&self.index.connection)
    }

    pub(crate) fn run(&self, sql: &str, params: impl Params) -> Result<usize, IndexError> {
        Ok(self.index.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// The index as this transaction sees it.
    ///
    /// # Errors
    /// When what was changed so far cannot be written.
    pub fn index(&self) -> Result<&Index, IndexError> {
        self.write()?;
        Ok(self.index)
    }

    /// Notes that all of a journal's records up to `lsn` are in here: with the change itself, so that
    /// neither is there without the other.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_applied(&self, journal: [u8; 16], lsn: u64) -> Result<(), IndexError> {
        self.set_fact(APPLIED, &format!("{} {lsn}", Guid::from_bytes(journal)))
    }

    /// Notes a fact about the account.
    ///
    /// # Errors
    /// When it cannot be written; so below.
    pub fn set_fact(&self, name: &str, value: &str) -> Result<(), IndexError> {
        self.run("INSERT OR REPLACE INTO fact VALUES (?1, ?2)", [name, value])?;
        Ok(())
    }

    /// Adds a mailbox; its `id` is passed over and given.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_mailbox(&self, row: &MailboxRow) -> Result<u32, IndexError> {
        let next: i64 = self
            .index
            .connection
            .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM mailbox")?
            .query_row([], |row| row.get(0))?;
        // Keys shift it by 32 bits into a signed integer.
        let id = u32::try_from(next)
            .ok()
            .filter(|id| *id < 1 << 31)
            .ok_or_else(|| IndexError::Damaged("mailbox numbers are used up".to_owned()))?;
        self.run(
            "INSERT INTO mailbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0)",
            params![
                id,
                row.guid.as_bytes(),
                row.uid_validity.value(),
                signed(row.uid_next),
                signed(row.highest_modseq.value()),
                signed(row.recent_from),
                row.messages,
                row.unseen,
                row.deleted,
                signed(row.bytes)
            ],
        )?;
        Ok(id)
    }

    /// Writes a mailbox's numbers and counts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_mailbox(&self, row: &MailboxRow) -> Result<(), IndexError> {
        self.run(
            "UPDATE mailbox SET uid_next = ?2, highest_modseq = ?3, recent_from = ?4, messages = ?5,
             unseen = ?6, deleted = ?7, bytes = ?8, uid_validity = ?9 WHERE id = ?1",
            params![
                row.id,
                signed(row.uid_next),
                signed(row.highest_modseq.value()),
                signed(row.recent_from),
                row.messages,
                row.unseen,
                row.deleted,
                signed(row.bytes),
                row.uid_validity.value()
            ],
        )?;
        Ok(())
    }

    /// Removes a mailbox and all that is known of its messages, but for their deliveries.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_mailbox(&self, id: u32) -> Result<(), IndexError> {
        for group in self.index.header_groups(id)? {
            self.remove_header_group(group.id)?;
        }
        self.messages
            .borrow_mut()
            .clear(&self.index.connection, id)?;
        let range = [key(id, 0), key(id, u64::MAX)];
        self.run(REMOVE_DETAILS, range)?;
        self.run(REMOVE_NAMES, range)?;
        self.run("DELETE FROM expunged WHERE mailbox = ?1", [id])?;
        self.run("DELETE FROM keyword_set WHERE mailbox = ?1", [id])?;
        self.run("DELETE FROM mailbox WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Adds a message, or replaces it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_message(
        &self,
        mailbox: u32,
        row: &MessageRow,
        details: &Details<'_>,
    ) -> Result<(), IndexError> {
        self.put(mailbox, row)?;
        let mut scratch = self.scratch.borrow_mut();
        let derived = body::of_structure(details.parts.body_structure, &mut scratch).is_some()
            && *scratch == details.parts.body;
        self.run(
            "INSERT OR REPLACE INTO detail VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                key(mailbox, row.uid.value().into()),
                details.guid.as_bytes(),
                details.parts.envelope,
                details.parts.body_structure,
                (!derived).then_some(details.parts.body)
            ],
        )?;
        Ok(())
    }

    /// Adds a copy of a message of this index under another key; its details come from the original.
    /// Says whether it has them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn copy_message(
        &self,
        from: (u32, Uid),
        mailbox: u32,
        row: &MessageRow,
    ) -> Result<bool, IndexError> {
        self.put(mailbox, row)?;
        let there = key(mailbox, row.uid.value().into());
        let copied = self.run(
            "INSERT OR REPLACE INTO detail
             SELECT ?1, guid, envelope, body_structure, body FROM detail WHERE id = ?2",
            [there, key(from.0, from.1.value().into())],
        )?;
        if copied == 1 {
            return Ok(true);
        }
        // It may have been made before, and the original have gone since.
        Ok(self
            .index
            .connection
            .prepare_cached("SELECT 1 FROM detail WHERE id = ?1")?
            .exists([there])?)
    }

    fn put(&self, mailbox: u32, row: &MessageRow) -> Result<(), IndexError> {
        self.messages
            .borrow_mut()
            .put(&self.index.connection, mailbox, *row)
    }

    /// Notes at `now` (Unix seconds) that a delivery made a message; the first note stands.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_delivery(
        &self,
        delivery: Guid,
        mailbox: u32,
        uid: Uid,
        now: i64,
    ) -> Result<(), IndexError> {
        self.run(
            "INSERT OR IGNORE INTO delivery VALUES (?1, ?2, ?3)",
            params![delivery.as_bytes(), key(mailbox, uid.value().into()), now],
        )?;
        Ok(())
    }

    /// Forgets deliveries noted before `then` (Unix seconds); it reads all of them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget_deliveries(&self, then: i64) -> Result<(), IndexError> {
        self.run("DELETE FROM delivery WHERE noted_at < ?1", [then])?;
        Ok(())
    }

    /// Takes the note back: the delivery was undone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_delivery(&self, delivery: Guid) -> Result<(), IndexError> {
        self.run(
            "DELETE FROM delivery WHERE guid = ?1",
            [delivery.as_bytes()],
        )?;
        Ok(())
    }

    /// Gives all messages from `first` to the one of `row` its flags, keywords and MODSEQ.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_flags(&self, mailbox: u32, first: Uid, row: &MessageRow) -> Result<(), IndexError> {
        self.messages.borrow_mut().update(
            &self.index.connection,
            mailbox,
            (first, row.uid),
            |message| {
                message.flags = row.flags;
                message.keywords = row.keywords;
                message.modseq = row.modseq;
            },
        )
    }

    /// Removes messages and remembers that they were expunged at `modseq`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn expunge(&self, mailbox: u32, uids: &UidSet, modseq: ModSeq) -> Result<(), IndexError> {
        let mut gone = UidSet::new();
        self.remove(mailbox, uids, &mut |uid| gone.insert(uid))?;
        expunged::add(&self.index.connection, mailbox, &gone, modseq)
    }

    /// Notes that what was expunged from a mailbox up to `upto` is not known, or not all of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget_expunged(&self, mailbox: u32, upto: ModSeq) -> Result<(), IndexError> {
        self.run(
            "UPDATE mailbox SET expunged_floor = max(expunged_floor, ?2) WHERE id = ?1",
            params![mailbox, signed(upto.value())],
        )?;
        Ok(())
    }

    /// Takes messages back that nobody ever saw: nothing remembers them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget(&self, mailbox: u32, uids: &UidSet) -> Result<(), IndexError> {
        self.remove(mailbox, uids, &mut |_| {})
    }

    fn remove(
        &self,
        mailbox: u32,
        uids: &UidSet,
        removed: &mut dyn FnMut(Uid),
    ) -> Result<(), IndexError> {
        let connection = &self.index.connection;
        let mut messages = self.messages.borrow_mut();
        let named = self.index.has_names(mailbox)?;
        for (low, high) in uids.ranges() {
            messages.remove(connection, mailbox, (low, high), |message| {
                removed(message.uid);
            })?;
            let range = [
                key(mailbox, low.value().into()),
                key(mailbox, high.value().into()),
            ];
            self.run(REMOVE_DETAILS, range)?;
            if named {
                self.run(REMOVE_NAMES, range)?;
            }
        }
        for group in self.index.header_groups(mailbox)? {
            let mut headers = self.headers.borrow_mut();
            for (low, high) in uids.ranges() {
                headers.remove(connection, group.id, (low, high), |_| {})?;
            }
        }
        Ok(())
    }

    /// Names a set of keywords.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_keyword_set(&self, mailbox: u32, id: u32, keywords: &str) -> Result<(), IndexError> {
        self.run(
            "INSERT OR REPLACE INTO keyword_set VALUES (?1, ?2, ?3)",
            params![mailbox, id, keywords],
        )?;
        Ok(())
    }

    /// Remembers `key` for Sieve, and forgets what has expired at `now`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, key: &[u8; 32], expires_at: i64, now: i64) -> Result<(), IndexError> {
        self.run("DELETE FROM memory WHERE expires_at <= ?1", [now])?;
        self.run(
            "INSERT INTO memory VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)",
            params![key, expires_at],
        )?;
        Ok(())
    }
}

const REMOVE_DETAILS: &str = "DELETE FROM detail WHERE id BETWEEN ?1 AND ?2";
const REMOVE_NAMES: &str = "DELETE FROM name WHERE id BETWEEN ?1 AND ?2";
