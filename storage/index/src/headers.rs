//! Lines of messages' headers that clients have asked for: kept so that the next one who asks need
//! not wait for the messages' files.
//!
//! Fields that are asked for together form a group of a mailbox; a group keeps what its fields have
//! in each message in one value, whose form is the caller's. Groups that nobody has wanted for long
//! make room for new ones.

use facteur_model::{Uid, UidSet};
use rusqlite::{OptionalExtension, params};

use crate::{
    Index, IndexError, Transaction,
    packed::{self, Packed, Sql, sql},
    rows::{key, uid_in},
    varint,
};

/// So many fields are kept of a mailbox's messages.
const MAX_FIELDS: usize = 48;
/// A longer value is not kept.
const MAX_VALUE: usize = 16 * 1024;

/// Fields that are kept together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderGroup {
    /// Its number.
    pub id: u32,
    /// The fields' names, as they were given.
    pub fields: Vec<String>,
    /// When somebody wanted it last, in Unix seconds.
    pub wanted_at: i64,
}

/// What a group keeps of one message.
#[derive(Debug)]
pub(crate) struct HeaderValue {
    uid: Uid,
    value: Vec<u8>,
}

impl Packed for HeaderValue {
    const SQL: Sql = sql!("header_run");

    fn uid(&self) -> Uid {
        self.uid
    }

    fn pack(&self, _: Option<&Self>, out: &mut Vec<u8>) {
        varint::put(out, self.value.len() as u64);
        out.extend_from_slice(&self.value);
    }

    fn unpack(uid: Uid, _: Option<&Self>, input: &mut &[u8]) -> Option<Self> {
        let len = usize::try_from(varint::take(input)?).ok()?;
        let (value, rest) = input.split_at_checked(len)?;
        *input = rest;
        Some(Self {
            uid,
            value: value.to_vec(),
        })
    }
}

impl Index {
    /// The groups of fields that are kept of a mailbox's messages.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn header_groups(&self, mailbox: u32) -> Result<Vec<HeaderGroup>, IndexError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, fields, wanted_at FROM header_group WHERE mailbox = ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([mailbox], |row| {
            let fields: String = row.get(1)?;
            Ok(HeaderGroup {
                id: row.get(0)?,
                fields: fields.split(' ').map(str::to_owned).collect(),
                wanted_at: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Calls `visit` with what a group keeps of each message named of which it keeps something, in
    /// UID order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn header_values(
        &self,
        group: u32,
        uids: &UidSet,
        visit: &mut dyn FnMut(Uid, &[u8]),
    ) -> Result<(), IndexError> {
        let mut first = self.connection.prepare_cached(
            "SELECT id FROM header_run WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1",
        )?;
        let mut all = self.connection.prepare_cached(HeaderValue::SQL.all)?;
        // Ranges may lie in one run: it is decoded once.
        let mut held: Option<i64> = None;
        let mut values: Vec<HeaderValue> = Vec::new();
        for (low, high) in uids.ranges() {
            let (low_key, high_key) = (
                key(group, low.value().into()),
                key(group, high.value().into()),
            );
            let from: Option<i64> = first
                .query_row([key(group, 0), low_key], |row| row.get(0))
                .optional()?;
            let mut rows = all.query([from.unwrap_or(low_key), high_key])?;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                if held != Some(id) {
                    packed::decode(row.get_ref(1)?.as_blob()?, uid_in(id), &mut values)?;
                    held = Some(id);
                }
                let start = values.partition_point(|value| value.uid < low);
                let wanted = values.iter().skip(start);
                wanted
                    .take_while(|value| value.uid <= high)
                    .for_each(|value| visit(value.uid, &value.value));
            }
        }
        Ok(())
    }
}

impl Transaction<'_> {
    /// Makes a group of fields at `now` (Unix seconds); those that nobody has wanted for longest make
    /// room. `None` when so many fields are not kept. A name has neither spaces nor control characters.
    ///
    /// # Errors
    /// When it cannot be written; so below.
    pub fn add_header_group(
        &self,
        mailbox: u32,
        fields: &[String],
        now: i64,
    ) -> Result<Option<u32>, IndexError> {
        let sound = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        if fields.is_empty() || fields.len() > MAX_FIELDS || !fields.iter().all(sound) {
            return Ok(None);
        }
        let mut groups = self.index.header_groups(mailbox)?;
        groups.sort_unstable_by_key(|group| std::cmp::Reverse(group.wanted_at));
        let mut kept: usize = groups.iter().map(|group| group.fields.len()).sum();
        while kept + fields.len() > MAX_FIELDS
            && let Some(eldest) = groups.pop()
        {
            kept -= eldest.fields.len();
            self.remove_header_group(eldest.id)?;
        }
        let id: i64 = self
            .index
            .connection
            .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM header_group")?
            .query_row([], |row| row.get(0))?;
        let Some(id) = u32::try_from(id).ok().filter(|id| *id < 1 << 31) else {
            return Ok(None);
        };
        self.run(
            "INSERT INTO header_group VALUES (?1, ?2, ?3, ?4)",
            params![id, mailbox, fields.join(" "), now],
        )?;
        Ok(Some(id))
    }

    /// Notes that a group was wanted at `now`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn want_header_group(&self, group: u32, now: i64) -> Result<(), IndexError> {
        self.run(
            "UPDATE header_group SET wanted_at = ?2 WHERE id = ?1",
            params![group, now],
        )?;
        Ok(())
    }

    /// Notes what a group's fields have in a message of its mailbox. Says whether it is kept: what is
    /// very long is not.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_header_value(&self, group: u32, uid: Uid, value: &[u8]) -> Result<bool, IndexError> {
        if value.len() > MAX_VALUE {
            return Ok(false);
        }
        let value = HeaderValue {
            uid,
            value: value.to_vec(),
        };
        let mut headers = self.headers.borrow_mut();
        headers.put(&self.index.connection, group, value)?;
        Ok(true)
    }

    pub(crate) fn remove_header_group(&self, group: u32) -> Result<(), IndexError> {
        self.headers
            .borrow_mut()
            .clear(&self.index.connection, group)?;
        self.run("DELETE FROM header_group WHERE id = ?1", [group])?;
        Ok(())
    }
}
