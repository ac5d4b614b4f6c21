//! Messages of a mailbox in runs: each run is one blob that fits a page of the database.
//!
//! A blob is a version (1 byte), a checksum of what follows it (4), how many messages (2), and the
//! messages, each told by what differs from the one before: some twelve bytes instead of forty.
//! Integers of fixed size are little-endian.

use facteur_model::{Flags, InternalDate, ModSeq, Uid};

use crate::{IndexError, MessageRow, varint};

/// What the first byte of a blob says.
const VERSION: u8 = 1;
const HEAD: usize = 7;
/// Most bytes of a blob. A page is 4096; a cell that does not fit it whole spills onto further pages
/// that must be read and written too.
pub(crate) const MAX_BYTES: usize = 4040;
/// Most messages of a blob. Twelve bytes each leave some room for MODSEQs to grow apart.
pub(crate) const MAX_MESSAGES: usize = 256;

/// What is kept in runs.
pub(crate) trait Packed: Sized {
    /// The statements of its table.
    const SQL: Sql;
    /// Whose it is; a run is in ascending order.
    fn uid(&self) -> Uid;
    /// Appends all but the UID.
    fn pack(&self, before: Option<&Self>, out: &mut Vec<u8>);
    /// Takes what [`Packed::pack`] appended.
    fn unpack(uid: Uid, before: Option<&Self>, input: &mut &[u8]) -> Option<Self>;
}

/// The statements of a table of runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    /// The last run that begins within two keys.
    pub(crate) last: &'static str,
    /// The first run that begins within two keys.
    pub(crate) first: &'static str,
    /// The key of the first run within two keys.
    pub(crate) next: &'static str,
    /// All runs within two keys, in order.
    pub(crate) all: &'static str,
    /// Writes one.
    pub(crate) put: &'static str,
    /// Removes one.
    pub(crate) remove: &'static str,
    /// Removes those within two keys.
    pub(crate) clear: &'static str,
}

/// The statements for a table with a key and a blob.
macro_rules! sql {
    ($table:literal) => {
        $crate::packed::Sql {
            last: concat!(
                "SELECT id, run FROM ",
                $table,
                " WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1"
            ),
            first: concat!(
                "SELECT id, run FROM ",
                $table,
                " WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1"
            ),
            next: concat!(
                "SELECT id FROM ",
                $table,
                " WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1"
            ),
            all: concat!(
                "SELECT id, run FROM ",
                $table,
                " WHERE id BETWEEN ?1 AND ?2 ORDER BY id"
            ),
            put: concat!("INSERT OR REPLACE INTO ", $table, " VALUES (?1, ?2)"),
            remove: concat!("DELETE FROM ", $table, " WHERE id = ?1"),
            clear: concat!("DELETE FROM ", $table, " WHERE id BETWEEN ?1 AND ?2"),
        }
    };
}
pub(crate) use sql;

impl Packed for MessageRow {
    const SQL: Sql = sql!("run");

    fn uid(&self) -> Uid {
        self.uid
    }

    #[inline]
    fn pack(&self, before: Option<&Self>, out: &mut Vec<u8>) {
        let (modseq, date) = before.map_or((0, 0), |before| {
            (before.modseq.value(), before.internal_date.unix())
        });
        out.push(self.flags.bits());
        varint::put_step(out, modseq, self.modseq.value());
        varint::put_step(
            out,
            date.cast_unsigned(),
            self.internal_date.unix().cast_unsigned(),
        );
        varint::put(out, self.size);
        varint::put(out, self.keywords.into());
    }

    #[inline]
    fn unpack(uid: Uid, before: Option<&Self>, input: &mut &[u8]) -> Option<Self> {
        let (modseq, date) = before.map_or((0, 0), |before| {
            (before.modseq.value(), before.internal_date.unix())
        });
        let (bits, rest) = input.split_first()?;
        *input = rest;
        let modseq = varint::take_step(input, modseq)?;
        let date = varint::take_step(input, date.cast_unsigned())?;
        let message = Self {
            uid,
            modseq: ModSeq::new(modseq),
            internal_date: InternalDate::from_unix(date.cast_signed()),
            size: varint::take(input)?,
            keywords: varint::take(input)?.try_into().ok()?,
            flags: Flags::from_bits(*bits),
        };
        let sound = message.flags.bits() == *bits && message.modseq.value() == modseq;
        sound.then_some(message)
    }
}

/// A blob of the first of `messages`, as many as fit it, at most `most`; and how many those are. One
/// that does not fit by itself is a blob of its own.
pub(crate) fn encode<T: Packed>(messages: &[T], most: usize) -> (Vec<u8>, usize) {
    let mut out = vec![0; HEAD];
    let mut before: Option<&T> = None;
    let mut taken: u16 = 0;
    for message in messages.iter().take(most.min(MAX_MESSAGES)) {
        let end = out.len();
        let uid = before.map_or(0, |before| before.uid().value());
        varint::put(&mut out, (message.uid().value() - uid).into());
        message.pack(before, &mut out);
        if out.len() > MAX_BYTES && before.is_some() {
            out.truncate(end);
            break;
        }
        before = Some(message);
        taken += 1;
    }
    if let Some(count) = out.get_mut(5..HEAD) {
        count.copy_from_slice(&taken.to_le_bytes());
    }
    let checksum = checksum(out.get(5..).unwrap_or_default());
    if let Some((version, rest)) = out.split_first_mut() {
        *version = VERSION;
        if let Some(place) = rest.get_mut(..4) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
    }
    (out, usize::from(taken))
}

/// Replaces `messages` by those of a blob.
///
/// # Errors
/// [`IndexError::Damaged`] when it is not as [`encode`] left it, or does not begin at `first`.
pub(crate) fn decode<T: Packed>(
    blob: &[u8],
    first: Option<Uid>,
    messages: &mut Vec<T>,
) -> Result<(), IndexError> {
    messages.clear();
    decode_all(blob, messages)
        .filter(|()| !messages.is_empty() && messages.first().map(T::uid) == first)
        .ok_or_else(|| {
            let uid = first.map_or(0, Uid::value);
            IndexError::Damaged(format!("the run of messages from UID {uid} makes no sense"))
        })
}

fn decode_all<T: Packed>(blob: &[u8], messages: &mut Vec<T>) -> Option<()> {
    let (head, mut input) = blob.split_at_checked(HEAD)?;
    let [VERSION, a, b, c, d, low, high] = *head else {
        return None;
    };
    if checksum(blob.get(5..)?) != u32::from_le_bytes([a, b, c, d]) {
        return None;
    }
    let count = usize::from(u16::from_le_bytes([low, high]));
    messages.reserve_exact(count.min(MAX_MESSAGES));
    let mut uid: u32 = 0;
    for _ in 0..count {
        let step = u32::try_from(varint::take(&mut input)?).ok()?;
        if step == 0 {
            return None;
        }
        uid = uid.checked_add(step)?;
        let message = T::unpack(Uid::new(uid)?, messages.last(), &mut input)?;
        messages.push(message);
    }
    input.is_empty().then_some(())
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = MessageRow> {
        let small = (1u32..5, 0u64..9, 0i64..9, 0u64..9, 0u32..3, 0u8..32);
        let any = (
            1u32..100_000_000,
            0u64..1 << 63,
            any::<i64>(),
            any::<u64>(),
            any::<u32>(),
            0u8..32,
        );
        prop_oneof![small, any].prop_map(|(step, modseq, date, size, keywords, flags)| MessageRow {
            uid: Uid::new(step).unwrap(),
            modseq: ModSeq::new(modseq),
            internal_date: InternalDate::from_unix(date),
            size,
            keywords,
            flags: Flags::from_bits(flags),
        })
    }

    fn ascending(mut messages: Vec<MessageRow>) -> Vec<MessageRow> {
        let mut last = 0u32;
        messages.retain_mut(|message| {
            let Some(uid) = last.checked_add(message.uid.value()).and_then(Uid::new) else {
                return false;
            };
            last = uid.value();
            message.uid = uid;
            true
        });
        messages
    }

    proptest! {
        #[test]
        fn runs_come_back_and_fit_a_page(messages in prop::collection::vec(message(), 1..600)) {
            let messages = ascending(messages);
            let mut rest = messages.as_slice();
            let mut back = Vec::new();
            while !rest.is_empty() {
                let (blob, taken) = encode(rest, MAX_MESSAGES);
                prop_assert!(taken > 0 && blob.len() <= MAX_BYTES);
                let mut run: Vec<MessageRow> = Vec::new();
                decode(&blob, rest.first().map(|m| m.uid), &mut run).unwrap();
                prop_assert_eq!(run.len(), taken);
                back.extend(run);
                rest = &rest[taken..];
            }
            prop_assert_eq!(back, messages);
        }

        #[test]
        fn a_damaged_run_is_said(
            messages in prop::collection::vec(message(), 1..40), at: prop::sample::Index, bit in 0u8..8, cut: bool,
        ) {
            let messages = ascending(messages);
            let (mut blob, _) = encode(&messages, MAX_MESSAGES);
            let at = at.index(blob.len());
            if cut { blob.truncate(at) } else { blob[at] ^= 1 << bit }
            let mut run: Vec<MessageRow> = Vec::new();
            let decoded = decode(&blob, messages.first().map(|m| m.uid), &mut run);
            prop_assert!(matches!(decoded, Err(IndexError::Damaged(_))));
        }
    }
}
