//! `dovecot.index.log`: records one after the other, each with its size and kind before it.

use crate::{
    Unreadable,
    bytes::{aligned, slice_at, u16_at, u32_at, u64_at},
    extensions::MODSEQ,
    header::LogHeader,
};

/// Kinds of records, and the bits that go with them.
pub(crate) mod kind {
    pub(crate) const EXPUNGE: u32 = 0x0001;
    pub(crate) const APPEND: u32 = 0x0002;
    pub(crate) const FLAGS: u32 = 0x0004;
    pub(crate) const HEADER: u32 = 0x0020;
    pub(crate) const EXT_INTRO: u32 = 0x0040;
    pub(crate) const EXT_RESET: u32 = 0x0080;
    pub(crate) const EXT_HEADER: u32 = 0x0100;
    pub(crate) const EXT_RECORD: u32 = 0x0200;
    pub(crate) const KEYWORDS: u32 = 0x0400;
    pub(crate) const KEYWORDS_RESET: u32 = 0x0800;
    pub(crate) const EXT_INCREMENT: u32 = 0x1000;
    pub(crate) const EXPUNGE_GUID: u32 = 0x2000;
    pub(crate) const MODSEQ: u32 = 0x8000;
    pub(crate) const EXT_HEADER_LONG: u32 = 0x1_0000;
    pub(crate) const DELETED: u32 = 0x2_0000;
    pub(crate) const UNDELETED: u32 = 0x4_0000;
    pub(crate) const BOUNDARY: u32 = 0x8_0000;
    pub(crate) const ATTRIBUTES: u32 = 0x10_0000;
    /// What the kind itself is made of.
    pub(crate) const MASK: u32 = 0x0fff_ffff;
    /// Set in the kind of every expunge, so that damage does not expunge by chance.
    pub(crate) const EXPUNGE_GUARD: u32 = 0xcd90;
    /// The change has happened; without it, it is asked for only.
    pub(crate) const EXTERNAL: u32 = 0x1000_0000;
}

/// A log as far as it can be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log<'a> {
    pub(crate) header: LogHeader,
    bytes: &'a [u8],
    /// Where the last whole record ends.
    pub(crate) end: usize,
}

/// One record of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Where it begins.
    pub(crate) offset: usize,
    pub(crate) kind: u32,
    pub(crate) external: bool,
    pub(crate) data: &'a [u8],
}

impl<'a> Log<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let header = LogHeader::parse(bytes)?;
        let mut log = Self {
            header,
            bytes,
            end: bytes.len(),
        };
        log.end = log.whole();
        Ok(log)
    }

    /// Whether something lies behind the last whole record.
    pub(crate) fn is_cut(&self) -> bool {
        self.end < self.bytes.len()
    }

    /// Its whole records.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let (bytes, end) = (self.bytes.get(..self.end).unwrap_or_default(), self.end);
        let mut at = self.header.size;
        std::iter::from_fn(move || {
            let record = (at < end).then(|| record_at(bytes, at)).flatten()?;
            at += 8 + record.data.len();
            Some(record)
        })
    }

    /// Where the last record ends that is there whole, with the transaction that it belongs to.
    fn whole(&self) -> usize {
        let mut at = self.header.size;
        while let Some(record) = record_at(self.bytes, at) {
            if record.kind == kind::BOUNDARY {
                let size = u32_at(record.data, 0).unwrap_or(0) as usize;
                if at.saturating_add(size) > self.bytes.len() {
                    break;
                }
            }
            at += 8 + record.data.len();
        }
        at.min(self.bytes.len())
    }
}

/// A record's size is spread over four bytes with their highest bits set: one that is not wholly
/// written has none.
fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    let packed = slice_at(bytes, at, 4)?;
    let size = packed.iter().try_fold(0_usize, |size, byte| {
        (byte & 0x80 != 0).then(|| size << 7 | usize::from(byte & 0x7f))
    })?;
    Some(size * 4)
}

/// As [`size_at`] reads it.
#[cfg(test)]
pub(crate) fn packed_size(size: u32) -> [u8; 4] {
    let words = size / 4;
    [21, 14, 7, 0].map(|shift| u8::try_from(words >> shift & 0x7f).unwrap_or(0) | 0x80)
}

fn record_at(bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let size = size_at(bytes, at)?;
    let data = slice_at(bytes, at + 8, size.checked_sub(8)?)?;
    let kind = u32_at(bytes, at + 4)?;
    Some(Record {
        offset: at,
        kind: kind & kind::MASK,
        external: kind & kind::EXTERNAL != 0,
        data,
    })
}

impl<'a> Record<'a> {
    /// Pieces of one size; bytes that are left over are passed over.
    pub(crate) fn pieces(&self, size: usize) -> std::slice::ChunksExact<'a, u8> {
        self.data.chunks_exact(size)
    }

    /// Its kind without the guard of expunges; `None` when an expunge lacks it.
    pub(crate) fn guarded_kind(&self) -> Option<u32> {
        let expunges = kind::EXPUNGE | kind::EXPUNGE_GUID;
        if self.kind & expunges == 0 {
            return Some(self.kind);
        }
        let plain = self.kind & !kind::EXPUNGE_GUARD;
        let is_one = plain == kind::EXPUNGE || plain == kind::EXPUNGE_GUID;
        (is_one && self.kind == plain | kind::EXPUNGE_GUARD).then_some(plain)
    }

    /// HIGHESTMODSEQ after it, when it was `before`. Dovecot does not write MODSEQs down: it counts
    /// the records that change something a client sees.
    pub(crate) fn modseq_after(&self, before: u64, minor: u8) -> u64 {
        let Some(kind) = self.guarded_kind() else {
            return before;
        };
        if before == 0 {
            let begins =
                kind == kind::EXT_INTRO && Intro::all(self.data).any(|intro| intro.name == MODSEQ);
            return u64::from(begins);
        }
        let counts = match kind {
            kind::EXPUNGE | kind::EXPUNGE_GUID => self.external,
            kind::APPEND | kind::KEYWORDS | kind::KEYWORDS_RESET | kind::ATTRIBUTES => true,
            kind::FLAGS => {
                minor < 3
                    || self
                        .pieces(12)
                        .any(|piece| !FlagChange::new(piece).is_internal())
            }
            _ => false,
        };
        if kind == kind::MODSEQ {
            let set = self.pieces(12).filter_map(|piece| u64_at(piece, 4));
            return set.fold(before, u64::max);
        }
        before.saturating_add(u64::from(counts))
    }
}

/// A change of flags of a range of messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlagChange {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) add: u8,
    pub(crate) remove: u8,
    raises_modseq: bool,
}

impl FlagChange {
    pub(crate) fn new(piece: &[u8]) -> Self {
        let byte = |at: usize| piece.get(at).copied().unwrap_or(0);
        Self {
            first: u32_at(piece, 0).unwrap_or(0),
            last: u32_at(piece, 4).unwrap_or(0),
            add: byte(8),
            remove: byte(9),
            raises_modseq: byte(10) != 0,
        }
    }

    /// Whether no client sees it.
    pub(crate) fn is_internal(&self) -> bool {
        (self.add | self.remove) & 0x1f == 0 && !self.raises_modseq
    }
}

/// The announcement of an extension that later records are about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intro<'a> {
    /// Its position, or `u32::MAX` for one that is named.
    pub(crate) id: u32,
    pub(crate) reset_id: u32,
    pub(crate) header_size: usize,
    pub(crate) may_not_shrink: bool,
    pub(crate) name: &'a [u8],
}

impl<'a> Intro<'a> {
    /// Those of one record.
    pub(crate) fn all(data: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let name_size = usize::from(u16_at(data, at + 18)?);
            let intro = Self {
                id: u32_at(data, at)?,
                reset_id: u32_at(data, at + 4)?,
                header_size: u32_at(data, at + 8)? as usize,
                may_not_shrink: u16_at(data, at + 16)? & 1 != 0,
                name: slice_at(data, at + 20, name_size)?,
            };
            at = aligned(at + 20 + name_size, 4);
            Some(intro)
        })
    }
}
