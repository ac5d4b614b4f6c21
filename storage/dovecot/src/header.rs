//! The two files' fixed headers.

use crate::{
    Unreadable,
    bytes::{u16_at, u32_at, u64_at},
};

/// Size of the snapshot's fixed header, as all of Dovecot 2 writes it.
pub(crate) const INDEX_HEADER: usize = 120;
/// The snapshot's version.
pub(crate) const INDEX_MAJOR: u8 = 7;
/// Its minor version, as Dovecot 2.2 and later write it.
pub(crate) const INDEX_MINOR: u8 = 3;
/// Size of the log's header.
pub(crate) const LOG_HEADER: usize = 40;
/// The shortest that any version wrote.
const LOG_HEADER_MIN: usize = 24;
/// The log's version.
pub(crate) const LOG_MAJOR: u8 = 1;
/// Its minor version, as Dovecot 2.3 writes it.
pub(crate) const LOG_MINOR: u8 = 3;
/// The flag that says that numbers are little-endian.
pub(crate) const LITTLE_ENDIAN: u8 = 1;

/// Where things stand in the snapshot's header.
pub(crate) mod at {
    pub(crate) const BASE_SIZE: usize = 2;
    pub(crate) const HEADER_SIZE: usize = 4;
    pub(crate) const RECORD_SIZE: usize = 8;
    pub(crate) const COMPAT_FLAGS: usize = 12;
    pub(crate) const INDEX_ID: usize = 16;
    pub(crate) const UID_VALIDITY: usize = 24;
    pub(crate) const NEXT_UID: usize = 28;
    pub(crate) const MESSAGES: usize = 32;
    pub(crate) const SEEN: usize = 40;
    pub(crate) const DELETED: usize = 44;
    pub(crate) const FIRST_RECENT: usize = 48;
    pub(crate) const FIRST_UNSEEN: usize = 52;
    pub(crate) const FIRST_DELETED: usize = 56;
    pub(crate) const LOG_SEQ: usize = 60;
    pub(crate) const LOG_TAIL: usize = 64;
    pub(crate) const LOG_HEAD: usize = 68;
    pub(crate) const LOG2_ROTATED: usize = 76;
}

/// A log's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogHeader {
    pub(crate) minor: u8,
    pub(crate) size: usize,
    /// 0 when Dovecot found the log damaged.
    pub(crate) index_id: u32,
    pub(crate) seq: u32,
    /// 0 when the mailbox begins, or was begun anew, with this log.
    pub(crate) previous_seq: u32,
    pub(crate) previous_offset: u32,
    /// HIGHESTMODSEQ at its beginning; 0 when none was counted.
    pub(crate) initial_modseq: u64,
}

impl LogHeader {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let damaged = Unreadable::Damaged("the log's header is cut");
        let (major, minor) = match bytes {
            [major, minor, ..] => (*major, *minor),
            _ => return Err(damaged),
        };
        if major != LOG_MAJOR {
            return Err(Unreadable::Version {
                what: "log",
                version: major,
            });
        }
        let size = usize::from(u16_at(bytes, 2).ok_or(damaged)?);
        // Two bytes that read as a size beyond any in use are one of the other endianness.
        if !(LOG_HEADER_MIN..4096).contains(&size) {
            return Err(Unreadable::Damaged(
                "the log's header has an impossible size",
            ));
        }
        let header = bytes.get(..size).ok_or(damaged)?;
        if minor >= 2 && header.get(32).is_some_and(|flags| *flags != LITTLE_ENDIAN) {
            return Err(Unreadable::Endianness);
        }
        let number = |at: usize| u32_at(header, at).ok_or(damaged);
        Ok(Self {
            minor,
            size,
            index_id: number(4)?,
            seq: number(8)?,
            previous_seq: number(12)?,
            previous_offset: number(16)?,
            initial_modseq: u64_at(header, 24).unwrap_or(0),
        })
    }

    /// A log of ours.
    pub(crate) fn encode(&self, created: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(LOG_HEADER);
        out.extend_from_slice(&[LOG_MAJOR, LOG_MINOR]);
        out.extend_from_slice(&u16::try_from(LOG_HEADER).unwrap_or(0).to_le_bytes());
        for number in [
            self.index_id,
            self.seq,
            self.previous_seq,
            self.previous_offset,
            created,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.initial_modseq.to_le_bytes());
        out.push(LITTLE_ENDIAN);
        out.resize(LOG_HEADER, 0);
        out
    }
}
