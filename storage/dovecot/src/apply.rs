//! What the log's records do to a mailbox.

use crate::{
    Unreadable,
    bytes::{aligned, put, slice_at, u16_at, u32_at, u64_at},
    extensions::{Extension, KEYWORDS},
    header::at,
    log::{FlagChange, Intro, Log, Record, kind},
    state::State,
};

/// The extension that records are about.
#[derive(Debug, Clone, Copy, Default)]
enum Current {
    /// None was announced.
    #[default]
    None,
    /// This one.
    Of(usize),
    /// This one, but as it was before it was reset: only another reset counts.
    Old(usize),
}

/// What applying a log came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Records that made no sense and were passed over, as Dovecot does.
    pub(crate) skipped: u64,
}

/// Applies the records of `log` from `offset` on.
pub(crate) fn log(state: &mut State, log: &Log<'_>, offset: usize) -> Result<Outcome, Unreadable> {
    let mut current = Current::None;
    let mut outcome = Outcome::default();
    let mut modseq = log.header.initial_modseq;
    for record in log.records() {
        modseq = record.modseq_after(modseq, log.header.minor);
        if record.offset < offset {
            continue;
        }
        state.modseq = modseq;
        if one(state, &record, &mut current)?.is_none() {
            outcome.skipped += 1;
        }
    }
    state.modseq = modseq;
    Ok(outcome)
}

/// Applies one record; `None` when it makes no sense.
fn one(
    state: &mut State,
    record: &Record<'_>,
    current: &mut Current,
) -> Result<Option<()>, Unreadable> {
    state.spend(0)?;
    let Some(kind) = record.guarded_kind() else {
        return Ok(None);
    };
    Ok(match kind {
        kind::APPEND => append(state, record),
        // Without the mark it is a wish; the message is still there.
        kind::EXPUNGE | kind::EXPUNGE_GUID if !record.external => Some(()),
        kind::EXPUNGE => expunge(state, record, 8, 4)?,
        kind::EXPUNGE_GUID => expunge(state, record, 20, 0)?,
        kind::FLAGS => flags(state, record)?,
        kind::KEYWORDS => keywords(state, record)?,
        kind::KEYWORDS_RESET => keywords_reset(state, record)?,
        kind::MODSEQ => modseqs(state, record)?,
        kind::HEADER => header(state, record),
        kind::EXT_INTRO => intros(state, record, current)?,
        kind::EXT_RESET => extension_reset(state, record, *current),
        kind::EXT_HEADER => extension_header(state, record, *current, 4),
        kind::EXT_HEADER_LONG => extension_header(state, record, *current, 8),
        // What extensions keep of messages (places in the cache) and what users keep of mailboxes is
        // not asked for; nor is that a folder was being deleted: while it is there, it is kept.
        kind::EXT_RECORD
        | kind::EXT_INCREMENT
        | kind::DELETED
        | kind::UNDELETED
        | kind::BOUNDARY
        | kind::ATTRIBUTES => Some(()),
        _ => None,
    })
}

fn append(state: &mut State, record: &Record<'_>) -> Option<()> {
    for piece in record.pieces(8) {
        let uid = u32_at(piece, 0)?;
        // It is there already when the log goes further back than the snapshot.
        if uid == 0 || u64::from(uid) < state.next_uid {
            return None;
        }
        state.append(uid, piece.get(4).copied()?, state.modseq);
    }
    Some(())
}

/// Pieces of `size` bytes; a range's last UID stands at `last` of each.
fn expunge(
    state: &mut State,
    record: &Record<'_>,
    size: usize,
    last: usize,
) -> Result<Option<()>, Unreadable> {
    let mut gone = Vec::new();
    for piece in record.pieces(size) {
        let (first, last) = (u32_at(piece, 0), u32_at(piece, last));
        let range = state.range(first.unwrap_or(0), last.unwrap_or(0));
        if !range.is_empty() {
            gone.push(range);
        }
    }
    if gone.is_empty() {
        return Ok(Some(()));
    }
    gone.sort_unstable_by_key(|range| range.start);
    let mut apart: Vec<std::ops::Range<usize>> = Vec::with_capacity(gone.len());
    for range in gone {
        match apart.last_mut() {
            Some(before) if range.start <= before.end => before.end = before.end.max(range.end),
            _ => apart.push(range),
        }
    }
    state.spend(state.uids.len())?;
    state.remove(&apart);
    Ok(Some(()))
}

fn flags(state: &mut State, record: &Record<'_>) -> Result<Option<()>, Unreadable> {
    for piece in record.pieces(12) {
        let change = FlagChange::new(piece);
        let range = state.range(change.first, change.last);
        state.spend(range.len())?;
        for flags in state.flags.get_mut(range.clone()).unwrap_or_default() {
            *flags = *flags & !change.remove | change.add;
        }
        if !change.is_internal() {
            touch(state, range);
        }
    }
    Ok(Some(()))
}

/// The messages change now. Dovecot notes this only once a client asked for MODSEQs, and then goes
/// through the log that it has; this is what it would find.
fn touch(state: &mut State, range: std::ops::Range<usize>) {
    let now = state.modseq;
    let touched = state.modseqs.get_mut(range).unwrap_or_default();
    touched
        .iter_mut()
        .for_each(|modseq| *modseq = now.max(*modseq));
}

fn keywords(state: &mut State, record: &Record<'_>) -> Result<Option<()>, Unreadable> {
    let data = record.data;
    let Some((add, name_size)) = data.first().zip(u16_at(data, 2)) else {
        return Ok(None);
    };
    let name_size = usize::from(name_size);
    let Some(name) = slice_at(data, 4, name_size).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    // 0 adds, 1 removes; nothing else is written.
    let add = *add == 0;
    // The first keyword of a mailbox makes the extension, and that has a position then.
    if state.extensions.find(KEYWORDS).is_none() {
        state.extensions.add(Extension::new(KEYWORDS, 0))?;
    }
    state.spend(state.keywords.len())?;
    let keyword = state.keyword(&String::from_utf8_lossy(name));
    let ranges = data.get(aligned(4 + name_size, 4)..).unwrap_or_default();
    for piece in ranges.chunks_exact(8) {
        let (first, last) = (u32_at(piece, 0), u32_at(piece, 4));
        let range = state.range(first.unwrap_or(0), last.unwrap_or(0));
        state.spend(range.len())?;
        if let Some(keyword) = keyword {
            for message in range.clone() {
                state.set_keyword(message, keyword, add);
            }
        }
        touch(state, range);
    }
    Ok(keyword.map(|_| ()))
}

fn keywords_reset(state: &mut State, record: &Record<'_>) -> Result<Option<()>, Unreadable> {
    for piece in record.pieces(8) {
        let (first, last) = (u32_at(piece, 0), u32_at(piece, 4));
        let range = state.range(first.unwrap_or(0), last.unwrap_or(0));
        state.spend(range.len().saturating_mul(state.stride))?;
        state.clear_keywords(range.clone());
        touch(state, range);
    }
    Ok(Some(()))
}

/// MODSEQs that messages have at least.
fn modseqs(state: &mut State, record: &Record<'_>) -> Result<Option<()>, Unreadable> {
    for piece in record.pieces(12) {
        let (Some(uid), Some(modseq)) = (u32_at(piece, 0), u64_at(piece, 4)) else {
            return Ok(None);
        };
        let range = state.range(uid, uid);
        state.spend(1)?;
        for held in state.modseqs.get_mut(range).unwrap_or_default() {
            *held = modseq.max(*held);
        }
    }
    Ok(Some(()))
}

/// New values in the snapshot's fixed header.
fn header(state: &mut State, record: &Record<'_>) -> Option<()> {
    let mut at = 0;
    while let (Some(offset), Some(size)) = (u16_at(record.data, at), u16_at(record.data, at + 2)) {
        let size = usize::from(size);
        let data = slice_at(record.data, at + 4, size)?;
        let offset = usize::from(offset);
        let room = state.header.len().saturating_sub(offset);
        let known = data.get(..room.min(size)).unwrap_or_default();
        put(&mut state.header, offset, known);
        at = aligned(at + 4 + size, 4);
    }
    // It never goes back.
    let said = u32_at(&state.header, at::NEXT_UID).unwrap_or(0);
    state.next_uid = state.next_uid.max(said.into());
    Some(())
}

fn intros(
    state: &mut State,
    record: &Record<'_>,
    current: &mut Current,
) -> Result<Option<()>, Unreadable> {
    for intro in Intro::all(record.data) {
        *current = Current::None;
        let id = if intro.id == u32::MAX {
            state.extensions.find(intro.name)
        } else {
            Some(intro.id as usize)
        };
        let Some(id) = id else {
            if intro.name.is_empty() {
                return Ok(None);
            }
            let mut extension = Extension::new(intro.name, intro.reset_id);
            extension.resize(intro.header_size);
            *current = Current::Of(state.extensions.add(extension)?);
            continue;
        };
        let Some(extension) = state.extensions.get_mut(id) else {
            return Ok(None);
        };
        if extension.reset_id != intro.reset_id {
            *current = Current::Old(id);
            continue;
        }
        if !intro.may_not_shrink || intro.header_size > extension.header_size {
            extension.resize(intro.header_size);
        }
        *current = Current::Of(id);
    }
    Ok(Some(()))
}

fn extension_reset(state: &mut State, record: &Record<'_>, current: Current) -> Option<()> {
    let (Current::Of(id) | Current::Old(id)) = current else {
        return None;
    };
    let extension = state.extensions.get_mut(id)?;
    extension.reset_id = u32_at(record.data, 0)?;
    if record.data.get(4).is_none_or(|keeps| *keeps == 0) {
        extension.clear();
        if extension.name == KEYWORDS {
            state.clear_keywords(0..state.uids.len());
        }
    }
    Some(())
}

/// New values in an extension's header; places and sizes are `wide / 2` bytes each.
fn extension_header(
    state: &mut State,
    record: &Record<'_>,
    current: Current,
    wide: usize,
) -> Option<()> {
    let id = match current {
        Current::None => return None,
        Current::Old(_) => return Some(()),
        Current::Of(id) => id,
    };
    let number = |at: usize| match wide {
        4 => u16_at(record.data, at).map(usize::from),
        _ => u32_at(record.data, at).map(|number| number as usize),
    };
    let extension = state.extensions.get_mut(id)?;
    let mut at = 0;
    while let (Some(offset), Some(size)) = (number(at), number(at + wide / 2)) {
        let data = slice_at(record.data, at + wide, size)?;
        if offset.saturating_add(size) > extension.header_size {
            return None;
        }
        extension.put(offset, data);
        at = aligned(at + wide + size, 4);
    }
    Some(())
}
