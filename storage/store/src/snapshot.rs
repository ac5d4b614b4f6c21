//! A mailbox as it stood at one moment.

use std::sync::Arc;

use facteur_model::{Flags, InternalDate, Keyword, ModSeq, Uid, UidSet};

/// The set of keywords of a message: an index into the mailbox's table of the sets in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeywordSetId(pub(crate) u32);

/// What is kept in memory of every message of an open mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageState {
    /// Its UID.
    pub uid: Uid,
    /// Its last change.
    pub modseq: ModSeq,
    /// When it arrived.
    pub internal_date: InternalDate,
    /// RFC822.SIZE in bytes.
    pub size: u64,
    /// Its keywords.
    pub keywords: KeywordSetId,
    /// Its system flags.
    pub flags: Flags,
}

/// A mailbox as it stood at one moment: immutable, cheap to clone, and sharing what did not change
/// with the snapshots before and after it. A session keeps one and moves to the next when it may
/// tell its client (RFC 9051 §5.5, §7.5.1).
#[derive(Debug, Clone)]
pub struct Snapshot {
    /* chunks of Arc<[MessageState]>; owned by the store */
    _chunks: Arc<()>,
}

impl Snapshot {
    /// How many messages.
    pub fn len(&self) -> u32 {
        todo!()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The message at this sequence number, 1 to [`Snapshot::len`].
    pub fn by_sequence(&self, _sequence: u32) -> Option<&MessageState> {
        todo!()
    }
    /// The sequence number of this UID.
    pub fn sequence_of(&self, _uid: Uid) -> Option<u32> {
        todo!()
    }
    /// The message with this UID.
    pub fn by_uid(&self, uid: Uid) -> Option<&MessageState> {
        self.by_sequence(self.sequence_of(uid)?)
    }
    /// How many messages have a UID below this one.
    pub fn count_below(&self, _uid: Uid) -> u32 {
        todo!()
    }
    /// Every message in order.
    pub fn iter(&self) -> impl Iterator<Item = &MessageState> + '_ {
        std::iter::empty()
    }
    /// The messages of these UIDs with their sequence numbers, in order.
    pub fn select<'a>(
        &'a self,
        _uids: &'a UidSet,
    ) -> impl Iterator<Item = (u32, &'a MessageState)> + 'a {
        std::iter::empty()
    }
    /// The keywords of a set.
    pub fn keywords(&self, _set: KeywordSetId) -> &[Keyword] {
        todo!()
    }
    /// Every keyword the mailbox knows, for `FLAGS`.
    pub fn known_keywords(&self) -> &[Keyword] {
        todo!()
    }
    /// The next UID.
    pub fn uid_next(&self) -> u64 {
        todo!()
    }
    /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1).
    pub fn highest_modseq(&self) -> ModSeq {
        todo!()
    }
    /// What changed from this snapshot to a later one: UIDs gone, messages whose flags or keywords
    /// differ, and how many are new.
    pub fn changes_to(&self, _later: &Snapshot) -> Changes {
        todo!()
    }
}

/// The difference between two snapshots of a mailbox.
#[derive(Debug, Default)]
pub struct Changes {
    /// Gone, as sequence numbers of the earlier snapshot, ascending.
    pub expunged: Vec<u32>,
    /// UIDs whose metadata changed.
    pub changed: UidSet,
    /// How many were added.
    pub added: u32,
}
