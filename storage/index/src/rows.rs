//! What the tables hold.

use facteur_model::{Flags, Guid, InternalDate, ModSeq, Uid, UidValidity};

/// A mailbox: its identity, its next numbers, and the counts STATUS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxRow {
    /// Its number in this index.
    pub id: u32,
    /// Its GUID, by which it is known across renames.
    pub guid: Guid,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT.
    pub uid_next: u64,
    /// HIGHESTMODSEQ.
    pub highest_modseq: ModSeq,
    /// Messages from this UID on are `\Recent` to the next session.
    pub recent_from: u64,
    /// How many messages.
    pub messages: u32,
    /// How many without `\Seen`.
    pub unseen: u32,
    /// How many with `\Deleted`.
    pub deleted: u32,
    /// Their size together.
    pub bytes: u64,
}

impl MailboxRow {
    /// The row of a mailbox that never had a message. Its number is the index's to give.
    pub fn new(guid: Guid, uid_validity: UidValidity) -> Self {
        Self {
            id: 0,
            guid,
            uid_validity,
            uid_next: 1,
            highest_modseq: ModSeq::new(1),
            recent_from: 1,
            messages: 0,
            unseen: 0,
            deleted: 0,
            bytes: 0,
        }
    }
}

/// What is kept in memory of a message of an open mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRow {
    /// Its UID.
    pub uid: Uid,
    /// Its last change.
    pub modseq: ModSeq,
    /// INTERNALDATE.
    pub internal_date: InternalDate,
    /// RFC822.SIZE.
    pub size: u64,
    /// Number of its set of keywords in the mailbox; 0 is the empty set.
    pub keywords: u32,
    /// Its system flags.
    pub flags: Flags,
}

/// What is fetched of a message one by one.
#[derive(Debug, Clone, Copy)]
pub struct Details<'a> {
    /// Its GUID.
    pub guid: Guid,
    /// What the wire needs.
    pub parts: Parts<'a>,
}

/// What the wire needs of a message, ready made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts<'a> {
    /// ENVELOPE's value.
    pub envelope: &'a [u8],
    /// BODYSTRUCTURE's value.
    pub body_structure: &'a [u8],
    /// BODY's value.
    pub body: &'a [u8],
}

/// The key of a message: mailbox and UID in one integer, in UID order.
pub(crate) fn key(mailbox: u32, uid: u64) -> i64 {
    // Fits: the mailbox's number is made below 2^31.
    i64::try_from((u64::from(mailbox) << 32) | uid.min(u64::from(u32::MAX))).unwrap_or(i64::MAX)
}

/// The UID in a key.
pub(crate) fn uid_in(key: i64) -> Option<Uid> {
    u32::try_from(key & i64::from(u32::MAX))
        .ok()
        .and_then(Uid::new)
}

/// SQLite's integers are signed; sizes and counters stay far below 2^63.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
