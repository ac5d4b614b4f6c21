//! Answers that have a line per message, written as far as there is room for them.

use std::fmt::Write as _;

use bytes::BytesMut;

use crate::Maildrop;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// LIST: sizes.
    Sizes,
    /// UIDL: unique-ids.
    UniqueIds,
}

/// A listing under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) kind: Kind,
    /// The next message to look at.
    pub(crate) next: u32,
}

impl Listing {
    /// Writes lines until `out` holds `enough`; says whether the end is written.
    pub(crate) fn write(&mut self, maildrop: &Maildrop, out: &mut BytesMut, enough: usize) -> bool {
        while out.len() < enough {
            if !write_one(self, maildrop, out) {
                out.extend_from_slice(b".\r\n");
                return true;
            }
        }
        false
    }
}

fn write_one(listing: &mut Listing, maildrop: &Maildrop, out: &mut BytesMut) -> bool {
    let Some((number, message)) = maildrop.from(listing.next) else {
        return false;
    };
    listing.next = number.saturating_add(1);
    // Writing to memory does not fail.
    let _ = match listing.kind {
        Kind::Sizes => write!(out, "{number} {}\r\n", message.size),
        Kind::UniqueIds => write!(out, "{number} {}\r\n", maildrop.unique_id(message)),
    };
    true
}
