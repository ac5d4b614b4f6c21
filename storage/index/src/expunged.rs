//! What was expunged and when, within bounds: what QRESYNC's VANISHED (EARLIER) answers from
//! (RFC 7162 §3.2.5.2, §3.2.6).

use facteur_model::{ModSeq, Uid, UidSet};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    IndexError,
    rows::{signed, unsigned},
    varint,
};

/// So many ranges of UIDs are remembered of a mailbox; then the eldest go, down to three quarters.
/// Some 50 KB.
pub(crate) const MAX_RANGES: usize = 10_000;

/// Notes that `uids` were expunged at `modseq`.
pub(crate) fn add(
    connection: &Connection,
    mailbox: u32,
    uids: &UidSet,
    modseq: ModSeq,
) -> Result<(), IndexError> {
    if uids.is_empty() {
        return Ok(());
    }
    let known: Option<Vec<u8>> = connection
        .prepare_cached("SELECT uids FROM expunged WHERE mailbox = ?1 AND modseq = ?2")?
        .query_row(params![mailbox, signed(modseq.value())], |row| row.get(0))
        .optional()?;
    let (all, added) = match known {
        Some(known) => {
            let mut all = uids.clone();
            let before = decode(&known, &mut all)?;
            let added = signed_len(&all).saturating_sub(before);
            (encode(&all), added)
        }
        None => (encode(uids), signed_len(uids)),
    };
    connection
        .prepare_cached(
            "INSERT INTO expunged VALUES (?1, ?2, ?3, ?4) ON CONFLICT (mailbox, modseq)
             DO UPDATE SET ranges = ranges + excluded.ranges, uids = excluded.uids",
        )?
        .execute(params![mailbox, signed(modseq.value()), added, all])?;
    let ranges: Option<i64> = connection
        .prepare_cached(
            "UPDATE mailbox SET expunged_ranges = expunged_ranges + ?2 WHERE id = ?1
             RETURNING expunged_ranges",
        )?
        .query_row(params![mailbox, added], |row| row.get(0))
        .optional()?;
    match ranges.and_then(|ranges| usize::try_from(ranges).ok()) {
        Some(ranges) if ranges > MAX_RANGES => forget_eldest(connection, mailbox, ranges),
        _ => Ok(()),
    }
}

fn forget_eldest(
    connection: &Connection,
    mailbox: u32,
    mut ranges: usize,
) -> Result<(), IndexError> {
    let mut floor = None;
    {
        let mut statement = connection.prepare_cached(
            "SELECT modseq, ranges FROM expunged WHERE mailbox = ?1 ORDER BY modseq",
        )?;
        let mut rows = statement.query([mailbox])?;
        while ranges > MAX_RANGES * 3 / 4
            && let Some(row) = rows.next()?
        {
            floor = Some(row.get::<_, i64>(0)?);
            ranges = ranges.saturating_sub(row.get::<_, u32>(1)? as usize);
        }
    }
    connection
        .prepare_cached("DELETE FROM expunged WHERE mailbox = ?1 AND modseq <= ?2")?
        .execute(params![mailbox, floor])?;
    connection
        .prepare_cached(
            "UPDATE mailbox SET expunged_ranges = ?2,
             expunged_floor = max(expunged_floor, coalesce(?3, 0)) WHERE id = ?1",
        )?
        .execute(params![mailbox, signed(ranges as u64), floor])?;
    Ok(())
}

/// All that is remembered of what was expunged after `since`.
pub(crate) fn after(
    connection: &Connection,
    mailbox: u32,
    since: ModSeq,
) -> Result<UidSet, IndexError> {
    let mut statement = connection
        .prepare_cached("SELECT uids FROM expunged WHERE mailbox = ?1 AND modseq > ?2")?;
    let mut rows = statement.query(params![mailbox, signed(since.value())])?;
    let mut uids = UidSet::new();
    while let Some(row) = rows.next()? {
        decode(row.get_ref(0)?.as_blob()?, &mut uids)?;
    }
    Ok(uids)
}

/// The highest MODSEQ of which something was forgotten.
pub(crate) fn floor(connection: &Connection, mailbox: u32) -> Result<ModSeq, IndexError> {
    let floor: Option<i64> = connection
        .prepare_cached("SELECT expunged_floor FROM mailbox WHERE id = ?1")?
        .query_row([mailbox], |row| row.get(0))
        .optional()?;
    Ok(ModSeq::new(unsigned(floor.unwrap_or(0))))
}

fn signed_len(uids: &UidSet) -> i64 {
    signed(uids.ranges().len() as u64)
}

/// Each range as the distance from the last one's end, and its own length.
fn encode(uids: &UidSet) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before = 0;
    for (low, high) in uids.ranges() {
        varint::put(&mut out, (low.value() - before).into());
        varint::put(&mut out, (high.value() - low.value()).into());
        before = high.value();
    }
    out
}

/// Adds the ranges of a blob to `uids`; says how many there are.
fn decode(mut blob: &[u8], uids: &mut UidSet) -> Result<i64, IndexError> {
    let mut before = 0;
    let mut count = 0;
    while !blob.is_empty() {
        let (low, high) = range(&mut blob, before)
            .ok_or_else(|| IndexError::Damaged("expunged UIDs make no sense".to_owned()))?;
        uids.insert_range(low..=high);
        before = high.value();
        count += 1;
    }
    Ok(count)
}

fn range(input: &mut &[u8], before: u32) -> Option<(Uid, Uid)> {
    let mut next = |before: u32| {
        let step = u32::try_from(varint::take(input)?).ok()?;
        before.checked_add(step)
    };
    let low = next(before)?;
    let high = next(low)?;
    Some((Uid::new(low)?, Uid::new(high)?))
}
