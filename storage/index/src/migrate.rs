//! From older layouts to this one, within the transaction of the caller.

use facteur_model::{Flags, InternalDate, ModSeq, Uid, UidSet};
use rusqlite::Connection;

use crate::{
    IndexError, MessageRow, expunged,
    rows::{uid_in, unsigned},
    runs::Runs,
    schema,
};

/// Layout 1 had a row for each message and for each expunged UID, and BODY beside BODYSTRUCTURE,
/// which stays for the messages that have it.
pub(crate) fn from_1(connection: &Connection) -> Result<(), IndexError> {
    let old = [
        "fact",
        "mailbox",
        "message",
        "detail",
        "keyword_set",
        "expunged",
        "delivery",
        "memory",
    ];
    for table in old {
        connection.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
    }
    connection.execute_batch("DROP INDEX memory_expiry")?;
    connection.execute_batch(schema::TABLES)?;
    connection.execute_batch(
        "INSERT INTO fact SELECT name, value FROM old_fact;
         INSERT INTO mailbox SELECT id, guid, uid_validity, uid_next, highest_modseq, recent_from,
             messages, unseen, deleted, bytes, 0, 0 FROM old_mailbox;
         INSERT INTO detail SELECT id, guid, envelope, body_structure, body FROM old_detail;
         INSERT INTO keyword_set SELECT mailbox, id, keywords FROM old_keyword_set;
         INSERT INTO delivery SELECT guid, message, noted_at FROM old_delivery;
         INSERT INTO memory SELECT key, expires_at FROM old_memory;",
    )?;
    messages(connection)?;
    expunged_uids(connection)?;
    for table in old {
        connection.execute_batch(&format!("DROP TABLE old_{table}"))?;
    }
    Ok(())
}

fn messages(connection: &Connection) -> Result<(), IndexError> {
    let mut runs = Runs::default();
    let mut statement = connection.prepare(
        "SELECT id, modseq, internal_date, size, keywords, flags FROM old_message ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let message = MessageRow {
            uid: uid_of(id)?,
            modseq: ModSeq::new(unsigned(row.get(1)?)),
            internal_date: InternalDate::from_unix(row.get(2)?),
            size: unsigned(row.get(3)?),
            keywords: row.get(4)?,
            flags: Flags::from_bits(row.get(5)?),
        };
        runs.put(connection, mailbox_of(id)?, message)?;
    }
    runs.write(connection)
}

fn expunged_uids(connection: &Connection) -> Result<(), IndexError> {
    let mut statement = connection
        .prepare("SELECT id >> 32, modseq, id FROM old_expunged ORDER BY id >> 32, modseq, id")?;
    let mut rows = statement.query([])?;
    let mut now: Option<(u32, ModSeq)> = None;
    let mut uids = UidSet::new();
    while let Some(row) = rows.next()? {
        let of = (row.get(0)?, ModSeq::new(unsigned(row.get(1)?)));
        if let Some((mailbox, modseq)) = now.filter(|before| *before != of) {
            expunged::add(connection, mailbox, &uids, modseq)?;
            uids = UidSet::new();
        }
        now = Some(of);
        uids.insert(uid_of(row.get(2)?)?);
    }
    match now {
        Some((mailbox, modseq)) => expunged::add(connection, mailbox, &uids, modseq),
        None => Ok(()),
    }
}

fn uid_of(id: i64) -> Result<Uid, IndexError> {
    uid_in(id).ok_or_else(|| IndexError::Damaged("a UID is 0".to_owned()))
}

fn mailbox_of(id: i64) -> Result<u32, IndexError> {
    u32::try_from(id >> 32).map_err(|_| IndexError::Damaged("a key is negative".to_owned()))
}
