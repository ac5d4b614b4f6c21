//! What can still be read of a damaged index.

use facteur_disk::Disk;

use crate::{
    Index, IndexError, MessageRow,
    packed::{self, Packed},
    rows::{key, uid_in},
};

/// Most attempts at reading a part of a mailbox: what is damaged all over is given up.
const MAX_ATTEMPTS: usize = 10_000;

impl Index {
    /// The messages of a mailbox with UIDs below `uid_next` as far as they can be read, in UID order:
    /// pages and runs that are damaged are passed over.
    pub fn salvage_messages(&self, mailbox: u32, uid_next: u64) -> Vec<MessageRow> {
        let mut found = Vec::new();
        let last = u32::try_from(uid_next)
            .unwrap_or(u32::MAX)
            .saturating_sub(1);
        let mut parts = vec![(1, last)];
        for _ in 0..MAX_ATTEMPTS {
            let Some((low, high)) = parts.pop() else {
                break;
            };
            let before = found.len();
            if self
                .messages_between(mailbox, low, high, &mut found)
                .is_ok()
            {
                continue;
            }
            // One half of it may be whole. The lower is looked at first.
            found.truncate(before);
            if low < high {
                let middle = low + (high - low) / 2;
                parts.push((middle + 1, high));
                parts.push((low, middle));
            }
        }
        found.retain(|message| message.uid.value() <= last);
        found.sort_by_key(|message| message.uid);
        found.dedup_by_key(|message| message.uid);
        found
    }

    /// The facts about the account, as far as they can be read.
    pub fn salvage_facts(&self) -> Vec<(String, String)> {
        let mut facts = Vec::new();
        // What came before a page that is damaged is there.
        let _ = self.read_facts(&mut facts);
        facts
    }

    fn read_facts(&self, facts: &mut Vec<(String, String)>) -> Result<(), IndexError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT name, value FROM fact")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            facts.push((row.get(0)?, row.get(1)?));
        }
        Ok(())
    }

    /// Adds the messages of the runs that begin within these UIDs.
    fn messages_between(
        &self,
        mailbox: u32,
        low: u32,
        high: u32,
        found: &mut Vec<MessageRow>,
    ) -> Result<(), IndexError> {
        let mut statement = self.connection.prepare_cached(MessageRow::SQL.all)?;
        let mut rows = statement.query([key(mailbox, low.into()), key(mailbox, high.into())])?;
        let mut run: Vec<MessageRow> = Vec::new();
        while let Some(row) = rows.next()? {
            packed::decode(row.get_ref(1)?.as_blob()?, uid_in(row.get(0)?), &mut run)?;
            found.append(&mut run);
        }
        Ok(())
    }

    /// Removes the log of the index at `path`, which nobody has open.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn remove_log(disk: &Disk, path: &std::path::Path) -> Result<(), IndexError> {
        for suffix in ["-wal", "-shm", "-journal"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            let log = std::path::Path::new(&name);
            if disk.kind(log)?.is_some() {
                disk.unlink_if_there(log)?;
            }
        }
        Ok(())
    }
}
