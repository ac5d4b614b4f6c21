//! Looking an index over, and tidying it up.

use facteur_model::{Flag, ModSeq};

use crate::{
    Index, IndexError, MailboxRow, MessageRow,
    headers::HeaderValue,
    packed::{self, Packed},
    rows::{key, uid_in},
};

impl Index {
    /// Whether the database is whole, by SQLite's own check; it reads all of it.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] when it is not.
    pub fn check(&self) -> Result<(), IndexError> {
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        match verdict.as_str() {
            "ok" => Ok(()),
            _ => Err(IndexError::Damaged(verdict)),
        }
    }

    /// Everything in it that contradicts itself, in words for an operator; empty when it is sound.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn problems(&self) -> Result<Vec<String>, IndexError> {
        let mut found = Vec::new();
        let mut statement = self.connection.prepare("PRAGMA integrity_check(20)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                found.push(line);
            }
        }
        let mailboxes = self.mailboxes()?;
        for mailbox in &mailboxes {
            self.mailbox_problems(mailbox, &mut found)?;
            for group in self.header_groups(mailbox.id)? {
                self.run_problems::<HeaderValue>(group.id, &mut found, &mut |_| {})?;
            }
        }
        self.strays(&mut found)?;
        Ok(found)
    }

    fn mailbox_problems(
        &self,
        mailbox: &MailboxRow,
        found: &mut Vec<String>,
    ) -> Result<(), IndexError> {
        let mut counted = MailboxRow {
            messages: 0,
            unseen: 0,
            deleted: 0,
            bytes: 0,
            ..*mailbox
        };
        let mut last = 0;
        let mut highest = ModSeq::default();
        let mut alive = std::collections::BTreeSet::new();
        self.run_problems::<MessageRow>(mailbox.id, found, &mut |message| {
            counted.messages += 1;
            counted.unseen += u32::from(!message.flags.contains(Flag::Seen));
            counted.deleted += u32::from(message.flags.contains(Flag::Deleted));
            counted.bytes = counted.bytes.saturating_add(message.size);
            last = message.uid.value();
            highest = highest.max(message.modseq);
            alive.insert(message.uid);
        })?;
        let guid = mailbox.guid;
        for (what, says, holds) in [
            ("messages", mailbox.messages.into(), counted.messages.into()),
            (
                "unseen messages",
                mailbox.unseen.into(),
                counted.unseen.into(),
            ),
            (
                "deleted messages",
                mailbox.deleted.into(),
                counted.deleted.into(),
            ),
            ("bytes", mailbox.bytes, counted.bytes),
        ] {
            if says != holds {
                found.push(format!(
                    "mailbox {guid} says {says} {what}, but holds {holds}"
                ));
            }
        }
        if u64::from(last) >= mailbox.uid_next {
            let next = mailbox.uid_next;
            found.push(format!(
                "mailbox {guid} has UID {last}, but UIDNEXT is {next}"
            ));
        }
        if highest > mailbox.highest_modseq {
            let says = mailbox.highest_modseq;
            found.push(format!(
                "mailbox {guid} has MODSEQ {highest}, but HIGHESTMODSEQ is {says}"
            ));
        }
        let expunged = self.expunged(mailbox.id, ModSeq::default())?;
        for uid in expunged.iter().filter(|uid| alive.contains(uid)).take(3) {
            found.push(format!("mailbox {guid} has UID {uid}, which was expunged"));
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM detail WHERE id BETWEEN ?1 AND ?2")?;
        let mut rows = statement.query([key(mailbox.id, 0), key(mailbox.id, u64::MAX)])?;
        let mut strays = 0u32;
        while let Some(row) = rows.next()? {
            match uid_in(row.get(0)?) {
                Some(uid) if alive.remove(&uid) => {}
                _ => strays += 1,
            }
        }
        if strays > 0 {
            found.push(format!(
                "mailbox {guid} has details of {strays} messages it has not"
            ));
        }
        if !alive.is_empty() {
            let bare = alive.len();
            found.push(format!(
                "mailbox {guid} has {bare} messages without details"
            ));
        }
        Ok(())
    }

    /// Reads every run of a mailbox or group; says which make no sense, or overlap.
    fn run_problems<T: Packed>(
        &self,
        space: u32,
        found: &mut Vec<String>,
        visit: &mut dyn FnMut(&T),
    ) -> Result<(), IndexError> {
        let mut statement = self.connection.prepare_cached(T::SQL.all)?;
        let mut rows = statement.query([key(space, 0), key(space, u64::MAX)])?;
        let mut messages: Vec<T> = Vec::new();
        let mut last = None;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            match packed::decode(row.get_ref(1)?.as_blob()?, uid_in(id), &mut messages) {
                Ok(()) => {}
                Err(IndexError::Damaged(what)) => {
                    found.push(what);
                    continue;
                }
                Err(error) => return Err(error),
            }
            if last.is_some_and(|last| last >= uid_in(id)) {
                let uid = uid_in(id).map_or(0, facteur_model::Uid::value);
                found.push(format!(
                    "the run of messages from UID {uid} overlaps the one before it"
                ));
            }
            last = messages.last().map(|message| Some(message.uid()));
            messages.iter().for_each(&mut *visit);
        }
        Ok(())
    }

    /// Rows of mailboxes that are not there.
    fn strays(&self, found: &mut Vec<String>) -> Result<(), IndexError> {
        for (table, mailbox) in [
            ("run", "id >> 32"),
            ("detail", "id >> 32"),
            ("name", "id >> 32"),
            ("keyword_set", "mailbox"),
            ("expunged", "mailbox"),
            ("header_group", "mailbox"),
        ] {
            let strays: i64 = self.connection.query_row(
                &format!(
                    "SELECT count(*) FROM {table} WHERE {mailbox} NOT IN (SELECT id FROM mailbox)"
                ),
                [],
                |row| row.get(0),
            )?;
            if strays > 0 {
                found.push(format!("{strays} rows of {table} belong to no mailbox"));
            }
        }
        Ok(())
    }

    /// Makes the database as small and as orderly as it can be: what is read in a row lies in a row.
    /// It is rewritten whole, so it needs as much room again for the time it takes.
    ///
    /// # Errors
    /// When it cannot be written; it is as it was then.
    pub fn optimize(&mut self) -> Result<(), IndexError> {
        self.disk.point("index optimize")?;
        self.connection.execute_batch("VACUUM")?;
        self.checkpoint()
    }
}
