//! `dovecot.index`: a mailbox as it was when it was written.

use crate::{
    Unreadable,
    bytes::{slice_at, u16_at, u32_at, u64_at},
    extensions::{self, Extensions, KEYWORDS, MODSEQ, Placed},
    header::{INDEX_HEADER, INDEX_MAJOR, LITTLE_ENDIAN, at},
    state::State,
};

/// The part of a record that every snapshot has: UID, flags.
const RECORD: usize = 8;

/// A snapshot, and the place in the log up to which it tells everything.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    pub(crate) index_id: u32,
    pub(crate) log_seq: u32,
    pub(crate) log_offset: u32,
    /// It ends before the last message that it should have.
    pub(crate) is_cut: bool,
}

impl Snapshot {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let base = check(bytes)?;
        let number = |at: usize| u32_at(bytes, at).unwrap_or(0);
        let header_size = number(at::HEADER_SIZE) as usize;
        let record_size = number(at::RECORD_SIZE) as usize;
        let header = bytes.get(..header_size).unwrap_or_default();
        let placed = extensions::parse(header, base)?;
        let mut state = State::empty();
        // Fields that later versions add say nothing that is asked for here.
        state.header = header.get(..INDEX_HEADER).unwrap_or_default().to_vec();
        state.extensions = Extensions::from_placed(&placed);
        let keywords = placed.iter().find(|placed| placed.name == KEYWORDS);
        if let Some(keywords) = keywords {
            read_keyword_names(keywords.header, &mut state)?;
        }
        let modseq = placed
            .iter()
            .find(|p| p.name == MODSEQ && p.record_size == 8);
        let records = bytes.get(header_size..).unwrap_or_default();
        let wanted = number(at::MESSAGES) as usize;
        let mut previous = 0;
        for record in records.chunks_exact(record_size).take(wanted) {
            let uid = u32_at(record, 0).unwrap_or(0);
            if uid <= previous {
                return Err(Unreadable::Damaged("its UIDs do not ascend"));
            }
            previous = uid;
            let modseq = modseq.and_then(|placed| u64_at(record, placed.record_offset));
            state.append(
                uid,
                record.get(4).copied().unwrap_or(0),
                modseq.unwrap_or(0),
            );
            if let Some(keywords) = keywords {
                read_keywords(keywords, record, &mut state);
            }
        }
        state.next_uid = state.next_uid.max(number(at::NEXT_UID).into());
        Ok(Self {
            is_cut: state.uids.len() < wanted,
            state,
            index_id: number(at::INDEX_ID),
            log_seq: number(at::LOG_SEQ),
            log_offset: number(at::LOG_HEAD),
        })
    }
}

/// Whether it is a snapshot of a kind that is understood; says how long its fixed header is.
fn check(bytes: &[u8]) -> Result<usize, Unreadable> {
    match bytes.first() {
        Some(&INDEX_MAJOR) => {}
        Some(version) => {
            return Err(Unreadable::Version {
                what: "index",
                version: *version,
            });
        }
        None => return Err(Unreadable::Damaged("it is empty")),
    }
    if bytes.len() < INDEX_HEADER {
        return Err(Unreadable::Damaged("its header is cut"));
    }
    if bytes.get(at::COMPAT_FLAGS) != Some(&LITTLE_ENDIAN) {
        return Err(Unreadable::Endianness);
    }
    let base = usize::from(u16_at(bytes, at::BASE_SIZE).unwrap_or(0));
    let number = |at: usize| u32_at(bytes, at).unwrap_or(0) as usize;
    let header = number(at::HEADER_SIZE);
    if base < INDEX_HEADER || header < base || header > bytes.len() {
        return Err(Unreadable::Damaged("its header has an impossible size"));
    }
    if !(RECORD..1 << 16).contains(&number(at::RECORD_SIZE)) {
        return Err(Unreadable::Damaged("its records have an impossible size"));
    }
    Ok(base)
}

/// A count, then for each an unused number and the place of its name, then the names, each ended by
/// a NUL.
fn read_keyword_names(header: &[u8], state: &mut State) -> Result<(), Unreadable> {
    const DAMAGED: Unreadable = Unreadable::Damaged("its list of keywords is cut");
    // It was announced, and no keyword followed.
    if header.is_empty() {
        return Ok(());
    }
    let count = u32_at(header, 0).ok_or(DAMAGED)? as usize;
    let names = count.checked_mul(8).and_then(|size| size.checked_add(4));
    let names = names.and_then(|at| header.get(at..)).ok_or(DAMAGED)?;
    for keyword in 0..count {
        let offset = u32_at(header, 8 + keyword * 8).ok_or(DAMAGED)? as usize;
        let name = names.get(offset..).ok_or(DAMAGED)?;
        let end = name.iter().position(|byte| *byte == 0).ok_or(DAMAGED)?;
        let name = name.get(..end).unwrap_or_default();
        if state.add_keyword(&String::from_utf8_lossy(name)).is_none() {
            break;
        }
    }
    Ok(())
}

/// A bit for each keyword, the lowest of the first byte for the first.
fn read_keywords(placed: &Placed<'_>, record: &[u8], state: &mut State) {
    let Some(bytes) = slice_at(record, placed.record_offset, placed.record_size) else {
        return;
    };
    let message = state.uids.len() - 1;
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        let bits = (0..8).filter(|bit| byte >> bit & 1 == 1);
        for keyword in bits.map(|bit| at * 8 + bit) {
            if keyword < state.keywords.len() {
                state.set_keyword(message, keyword, true);
            }
        }
    }
}
