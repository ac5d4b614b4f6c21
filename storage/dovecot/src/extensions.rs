//! Extensions: named additions to the header and to every record.
//!
//! The log speaks of them by their position, so that all are counted; what they hold is kept of
//! those that are understood here.

use crate::{
    Unreadable,
    bytes::{aligned, put, slice_at, u16_at, u32_at},
};

/// Holds the mailbox's GUID.
pub(crate) const DBOX: &[u8] = b"dbox-hdr";
/// Holds HIGHESTMODSEQ, and every message's MODSEQ.
pub(crate) const MODSEQ: &[u8] = b"modseq";
/// Holds the keywords' names, and a bit for each in every record.
pub(crate) const KEYWORDS: &[u8] = b"keywords";

/// Most extensions: Dovecot and its plugins have some twenty.
const MAX_EXTENSIONS: usize = 256;
/// So much is kept of a header; those understood take 24 bytes.
const KEPT: usize = 64;

/// One extension.
#[derive(Debug, Clone)]
pub(crate) struct Extension {
    pub(crate) name: Vec<u8>,
    pub(crate) reset_id: u32,
    pub(crate) header_size: usize,
    /// The beginning of its header.
    header: Vec<u8>,
}

/// A snapshot's extension, with the place of its data.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) reset_id: u32,
    pub(crate) record_offset: usize,
    pub(crate) record_size: usize,
    pub(crate) header: &'a [u8],
}

/// All of a mailbox's extensions, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extensions {
    all: Vec<Extension>,
}

/// Reads a snapshot's extensions: `header` is its whole header, of which `base` bytes are fixed.
pub(crate) fn parse(header: &[u8], base: usize) -> Result<Vec<Placed<'_>>, Unreadable> {
    const DAMAGED: Unreadable = Unreadable::Damaged("an extension goes beyond the header");
    let mut found: Vec<Placed<'_>> = Vec::new();
    let mut at = aligned(base, 8);
    while at < header.len() {
        let number = |offset: usize| u16_at(header, at + offset).map(usize::from).ok_or(DAMAGED);
        let header_size = u32_at(header, at).ok_or(DAMAGED)? as usize;
        let name_size = number(14)?;
        let data = at + aligned(16 + name_size, 8);
        let name = slice_at(header, at + 16, name_size).ok_or(DAMAGED)?;
        if found.len() >= MAX_EXTENSIONS || found.iter().any(|other| other.name == name) {
            return Err(Unreadable::Damaged(
                "it has an extension twice, or too many",
            ));
        }
        found.push(Placed {
            name,
            reset_id: u32_at(header, at + 4).ok_or(DAMAGED)?,
            record_offset: number(8)?,
            record_size: number(10)?,
            header: slice_at(header, data, header_size).ok_or(DAMAGED)?,
        });
        at = data.saturating_add(aligned(header_size, 8));
    }
    Ok(found)
}

impl Extensions {
    pub(crate) fn from_placed(placed: &[Placed<'_>]) -> Self {
        let all = placed.iter().map(|placed| {
            let mut extension = Extension::new(placed.name, placed.reset_id);
            extension.resize(placed.header.len());
            extension.put(0, placed.header);
            extension
        });
        Self { all: all.collect() }
    }

    pub(crate) fn get(&self, id: usize) -> Option<&Extension> {
        self.all.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: usize) -> Option<&mut Extension> {
        self.all.get_mut(id)
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        self.all.iter().position(|extension| extension.name == name)
    }

    /// The header of the one with this name.
    pub(crate) fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let id = self.find(name)?;
        self.get(id).map(|extension| extension.header.as_slice())
    }

    /// Adds one and says its position.
    pub(crate) fn add(&mut self, extension: Extension) -> Result<usize, Unreadable> {
        if self.all.len() >= MAX_EXTENSIONS {
            return Err(Unreadable::Damaged("it has too many extensions"));
        }
        self.all.push(extension);
        Ok(self.all.len() - 1)
    }
}

impl Extension {
    pub(crate) fn new(name: &[u8], reset_id: u32) -> Self {
        Self {
            name: name.to_vec(),
            reset_id,
            header_size: 0,
            header: Vec::new(),
        }
    }

    /// Its header has this size now; what is new is zero.
    pub(crate) fn resize(&mut self, size: usize) {
        self.header_size = size;
        self.header.resize(size.min(KEPT), 0);
    }

    /// Writes into its header; what lies beyond the part that is kept is dropped.
    pub(crate) fn put(&mut self, at: usize, data: &[u8]) {
        let room = self.header.len().saturating_sub(at);
        let kept = data.get(..room.min(data.len())).unwrap_or_default();
        put(&mut self.header, at, kept);
    }

    /// Its header is all zeros again.
    pub(crate) fn clear(&mut self) {
        self.header.fill(0);
    }
}
