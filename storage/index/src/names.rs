//! The names of messages' files, where the format gives them names (Maildir).

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use facteur_model::Uid;
use rusqlite::{OptionalExtension, params};

use crate::{
    Index, IndexError, Transaction,
    rows::{key, uid_in},
};

impl Index {
    /// Calls `visit` with the name of every message's file of a mailbox, in UID order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(
        &self,
        mailbox: u32,
        visit: &mut dyn FnMut(Uid, &OsStr),
    ) -> Result<(), IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, name FROM name WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
        let mut rows = statement.query([key(mailbox, 0), key(mailbox, u64::MAX)])?;
        while let Some(row) = rows.next()? {
            if let Some(uid) = uid_in(row.get(0)?) {
                visit(uid, OsStr::from_bytes(row.get_ref(1)?.as_blob()?));
            }
        }
        Ok(())
    }

    /// The name of one message's file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn name(&self, mailbox: u32, uid: Uid) -> Result<Option<OsString>, IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT name FROM name WHERE id = ?1")?;
        let name: Option<Vec<u8>> = statement
            .query_row([key(mailbox, uid.value().into())], |row| row.get(0))
            .optional()?;
        Ok(name.map(OsString::from_vec))
    }

    pub(crate) fn has_names(&self, mailbox: u32) -> Result<bool, IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM name WHERE id BETWEEN ?1 AND ?2 LIMIT 1")?;
        Ok(statement.exists([key(mailbox, 0), key(mailbox, u64::MAX)])?)
    }
}

impl Transaction<'_> {
    /// Notes or replaces the name of a message's file; it goes with the message.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_name(&self, mailbox: u32, uid: Uid, name: &OsStr) -> Result<(), IndexError> {
        self.run(
            "INSERT OR REPLACE INTO name VALUES (?1, ?2)",
            params![key(mailbox, uid.value().into()), name.as_bytes()],
        )?;
        Ok(())
    }
}
