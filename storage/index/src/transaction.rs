//! Changes to an index, within one transaction.

use facteur_model::{Guid, ModSeq, Uid, UidSet};
use rusqlite::{Params, params};

use crate::{
    Details, Index, IndexError, MailboxRow, MessageRow,
    rows::{key, signed},
};

/// An open transaction: [`Index::transaction`].
#[derive(Debug)]
pub struct Transaction<'a> {
    pub(crate) index: &'a Index,
}

impl Transaction<'_> {
    fn run(&self, sql: &str, params: impl Params) -> Result<usize, IndexError> {
        Ok(self.index.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// The index as this transaction sees it.
    pub fn index(&self) -> &Index {
        self.index
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
            "INSERT INTO mailbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
        let range = [key(id, 0), key(id, u64::MAX)];
        self.run("DELETE FROM message WHERE id BETWEEN ?1 AND ?2", range)?;
        self.run("DELETE FROM detail WHERE id BETWEEN ?1 AND ?2", range)?;
        self.run("DELETE FROM expunged WHERE id BETWEEN ?1 AND ?2", range)?;
        self.run("DELETE FROM keyword_set WHERE mailbox = ?1", [id])?;
        self.run("DELETE FROM mailbox WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Adds a message.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_message(
        &self,
        mailbox: u32,
        row: &MessageRow,
        details: &Details<'_>,
    ) -> Result<(), IndexError> {
        let id = key(mailbox, row.uid.value().into());
        self.run(
            "INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                signed(row.modseq.value()),
                row.internal_date.unix(),
                signed(row.size),
                row.keywords,
                row.flags.bits()
            ],
        )?;
        self.run(
            "INSERT OR REPLACE INTO detail VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id,
                details.guid.as_bytes(),
                details.parts.envelope,
                details.parts.body_structure,
                details.parts.body
            ],
        )?;
        Ok(())
    }

    /// Adds a copy of a message of this index under another key; its details come from the original.
    /// Says whether the original was there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn copy_message(
        &self,
        from: (u32, Uid),
        mailbox: u32,
        row: &MessageRow,
    ) -> Result<bool, IndexError> {
        let id = key(mailbox, row.uid.value().into());
        self.run(
            "INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                signed(row.modseq.value()),
                row.internal_date.unix(),
                signed(row.size),
                row.keywords,
                row.flags.bits()
            ],
        )?;
        let copied = self.run(
            "INSERT OR REPLACE INTO detail
             SELECT ?1, guid, envelope, body_structure, body FROM detail WHERE id = ?2",
            [id, key(from.0, from.1.value().into())],
        )?;
        Ok(copied == 1)
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
        self.run(
            "UPDATE message SET flags = ?3, keywords = ?4, modseq = ?5 WHERE id BETWEEN ?1 AND ?2",
            params![
                key(mailbox, first.value().into()),
                key(mailbox, row.uid.value().into()),
                row.flags.bits(),
                row.keywords,
                signed(row.modseq.value())
            ],
        )?;
        Ok(())
    }

    /// Removes messages and remembers that they were expunged at `modseq`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn expunge(&self, mailbox: u32, uids: &UidSet, modseq: ModSeq) -> Result<(), IndexError> {
        for (low, high) in uids.ranges() {
            let (low, high) = (
                key(mailbox, low.value().into()),
                key(mailbox, high.value().into()),
            );
            self.run(
                "INSERT OR REPLACE INTO expunged
                 SELECT id, ?3 FROM message WHERE id BETWEEN ?1 AND ?2",
                [low, high, signed(modseq.value())],
            )?;
            self.run(
                "DELETE FROM message WHERE id BETWEEN ?1 AND ?2",
                [low, high],
            )?;
            self.run("DELETE FROM detail WHERE id BETWEEN ?1 AND ?2", [low, high])?;
        }
        Ok(())
    }

    /// Takes messages back that nobody ever saw: nothing remembers them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget(&self, mailbox: u32, uids: &UidSet) -> Result<(), IndexError> {
        for (low, high) in uids.ranges() {
            let range = [
                key(mailbox, low.value().into()),
                key(mailbox, high.value().into()),
            ];
            self.run("DELETE FROM message WHERE id BETWEEN ?1 AND ?2", range)?;
            self.run("DELETE FROM detail WHERE id BETWEEN ?1 AND ?2", range)?;
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
