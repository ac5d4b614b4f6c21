//! A mailbox as it stood at one moment.

use std::sync::Arc;

use facteur_model::{Flags, InternalDate, Keyword, ModSeq, Uid, UidSet};

use crate::keywords::KeywordTable;

/// Most messages in a chunk. A change copies the chunks it touches, and no more.
const CHUNK: usize = 256;

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

// A mailbox of a million messages is kept in 40 MB.
const _: () = assert!(size_of::<MessageState>() == 40);

/// Some messages in a row, never none, and how many come before them.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) before: u32,
    pub(crate) messages: Arc<[MessageState]>,
}

/// A mailbox as it stood at one moment: immutable, cheap to clone, and sharing what did not change
/// with the snapshots before and after it. A session keeps one and moves to the next when it may
/// tell its client (RFC 9051 §5.5, §7.5.1).
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) chunks: Arc<[Chunk]>,
    keywords: Arc<KeywordTable>,
    uid_next: u64,
    highest_modseq: ModSeq,
}

impl Snapshot {
    /// Of chunks of messages in UID order, none of them empty.
    pub(crate) fn new(
        chunks: Vec<Arc<[MessageState]>>,
        keywords: Arc<KeywordTable>,
        uid_next: u64,
        highest_modseq: ModSeq,
    ) -> Self {
        Self {
            chunks: number(chunks),
            keywords,
            uid_next,
            highest_modseq,
        }
    }

    /// How many messages.
    pub fn len(&self) -> u32 {
        self.chunks
            .last()
            .map_or(0, |last| last.before + count(&last.messages))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The message at this sequence number, 1 to [`Snapshot::len`].
    pub fn by_sequence(&self, sequence: u32) -> Option<&MessageState> {
        let index = sequence.checked_sub(1)?;
        let after = self.chunks.partition_point(|chunk| chunk.before <= index);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        chunk.messages.get((index - chunk.before) as usize)
    }

    /// The sequence number of this UID.
    pub fn sequence_of(&self, uid: Uid) -> Option<u32> {
        let below = self.count_below(uid);
        let found = self.by_sequence(below + 1)?;
        (found.uid == uid).then_some(below + 1)
    }

    /// The message with this UID.
    pub fn by_uid(&self, uid: Uid) -> Option<&MessageState> {
        self.by_sequence(self.sequence_of(uid)?)
    }

    /// How many messages have a UID below this one.
    pub fn count_below(&self, uid: Uid) -> u32 {
        let after = self
            .chunks
            .partition_point(|chunk| chunk.messages.first().is_some_and(|first| first.uid < uid));
        let Some(chunk) = after.checked_sub(1).and_then(|at| self.chunks.get(at)) else {
            return 0;
        };
        let within = chunk.messages.partition_point(|message| message.uid < uid);
        chunk.before + u32::try_from(within).unwrap_or(u32::MAX)
    }

    /// Every message in order.
    pub fn iter(&self) -> impl Iterator<Item = &MessageState> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.messages.iter())
    }

    /// The messages of these UIDs with their sequence numbers, in order.
    pub fn select<'a, 'u>(
        &'a self,
        uids: &'u UidSet,
    ) -> impl Iterator<Item = (u32, &'a MessageState)> + use<'a, 'u> {
        uids.ranges().flat_map(move |(low, high)| {
            let first = self.count_below(low) + 1;
            self.starting_at(first)
                .take_while(move |(_, message)| message.uid <= high)
        })
    }

    /// The messages from a sequence number on, with their sequence numbers.
    fn starting_at(&self, first: u32) -> impl Iterator<Item = (u32, &MessageState)> + '_ {
        let index = first.saturating_sub(1);
        let after = self.chunks.partition_point(|chunk| chunk.before <= index);
        let at = after.saturating_sub(1);
        let rest = self.chunks.get(at..).unwrap_or_default();
        let skip = rest
            .first()
            .map_or(0, |chunk| index.saturating_sub(chunk.before));
        rest.iter()
            .flat_map(|chunk| chunk.messages.iter())
            .skip(skip as usize)
            .zip(first.max(1)..)
            .map(|(message, sequence)| (sequence, message))
    }

    /// The keywords of a set.
    pub fn keywords(&self, set: KeywordSetId) -> &[Keyword] {
        self.keywords.set(set)
    }

    /// Every keyword the mailbox knows, for `FLAGS`.
    pub fn known_keywords(&self) -> &[Keyword] {
        self.keywords.known()
    }

    /// The next UID.
    pub fn uid_next(&self) -> u64 {
        self.uid_next
    }

    /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1).
    pub fn highest_modseq(&self) -> ModSeq {
        self.highest_modseq
    }

    /// With messages added behind the last.
    pub(crate) fn with_added(&self, added: &[MessageState]) -> Self {
        let mut chunks: Vec<_> = self.shared_chunks().collect();
        let mut tail = match chunks.pop() {
            Some(last) if last.len() < CHUNK => last.to_vec(),
            Some(full) => {
                chunks.push(full);
                Vec::new()
            }
            None => Vec::new(),
        };
        tail.extend_from_slice(added);
        chunks.extend(tail.chunks(CHUNK).map(Arc::from));
        self.with_chunks(chunks)
    }

    /// With some messages' states replaced; `changed` is in UID order.
    pub(crate) fn with_changed(&self, changed: &[MessageState]) -> Self {
        let mut rest = changed.iter().peekable();
        let chunks = self.shared_chunks().map(|chunk| {
            let last = chunk.last().map(|message| message.uid);
            if rest.peek().map(|message| message.uid) > last {
                return chunk;
            }
            let mut messages = chunk.to_vec();
            let mut slots = messages.iter_mut().peekable();
            while let Some(message) = rest.next_if(|message| Some(message.uid) <= last) {
                while slots.next_if(|slot| slot.uid < message.uid).is_some() {}
                if let Some(slot) = slots.next_if(|slot| slot.uid == message.uid) {
                    *slot = *message;
                }
            }
            Arc::from(messages)
        });
        let chunks = chunks.collect();
        self.with_chunks(chunks)
    }

    /// The same messages at the same numbers, those of `changed` as they are in `later`: what a
    /// client can be told while it uses sequence numbers.
    pub fn refreshed(&self, later: &Self, changed: &UidSet) -> Self {
        let states: Vec<_> = later.select(changed).map(|(_, message)| *message).collect();
        // The later table has all sets of the earlier one, by the same numbers.
        let keywords = Some(Arc::clone(&later.keywords));
        self.with_changed(&states)
            .at(keywords, self.uid_next, self.highest_modseq)
    }

    /// Without these messages.
    pub(crate) fn without(&self, gone: &UidSet) -> Self {
        let chunks = self.shared_chunks().filter_map(|chunk| {
            if !chunk.iter().any(|message| gone.contains(message.uid)) {
                return Some(chunk);
            }
            let left = chunk.iter().filter(|message| !gone.contains(message.uid));
            let left: Vec<_> = left.copied().collect();
            (!left.is_empty()).then(|| Arc::from(left))
        });
        let chunks = chunks.collect();
        self.with_chunks(chunks)
    }

    /// With the mailbox's numbers and keywords as they are after a change.
    pub(crate) fn at(
        mut self,
        keywords: Option<Arc<KeywordTable>>,
        uid_next: u64,
        highest_modseq: ModSeq,
    ) -> Self {
        if let Some(keywords) = keywords {
            self.keywords = keywords;
        }
        self.uid_next = uid_next;
        self.highest_modseq = highest_modseq;
        self
    }

    fn shared_chunks(&self) -> impl Iterator<Item = Arc<[MessageState]>> + '_ {
        self.chunks.iter().map(|chunk| Arc::clone(&chunk.messages))
    }

    fn with_chunks(&self, chunks: Vec<Arc<[MessageState]>>) -> Self {
        Self {
            chunks: number(chunks),
            ..self.clone()
        }
    }
}

fn count(messages: &[MessageState]) -> u32 {
    u32::try_from(messages.len()).unwrap_or(u32::MAX)
}

fn number(chunks: Vec<Arc<[MessageState]>>) -> Arc<[Chunk]> {
    let mut before = 0;
    chunks
        .into_iter()
        .map(|messages| {
            let chunk = Chunk { before, messages };
            before += count(&chunk.messages);
            chunk
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use facteur_model::Flag;
    use proptest::prelude::*;

    fn state(uid: u32) -> MessageState {
        MessageState {
            uid: Uid::new(uid).unwrap(),
            modseq: ModSeq::new(1),
            internal_date: InternalDate::from_unix(0),
            size: 1,
            keywords: KeywordSetId::default(),
            flags: Flags::EMPTY,
        }
    }

    fn snapshot(states: &[MessageState]) -> Snapshot {
        let chunks = states.chunks(CHUNK).map(Arc::from).collect();
        Snapshot::new(chunks, Arc::default(), 1, ModSeq::new(1))
    }

    proptest! {
        #[test]
        fn every_step_equals_a_plain_list(
            steps in prop::collection::vec((0u8..3, prop::collection::vec(1u32..900, 0..40), 1u32..400), 1..8)
        ) {
            let mut list: Vec<MessageState> = Vec::new();
            let mut now = snapshot(&list);
            let mut next = 1;
            for (kind, picks, grow) in steps {
                let before_list = list.clone();
                let before = now.clone();
                match kind {
                    0 => {
                        let added: Vec<_> = (next..next + grow).map(state).collect();
                        next += grow;
                        list.extend_from_slice(&added);
                        now = now.with_added(&added);
                    }
                    1 => {
                        let gone: UidSet = picks.iter().filter_map(|n| Uid::new(*n)).collect();
                        list.retain(|m| !gone.contains(m.uid));
                        now = now.without(&gone);
                    }
                    _ => {
                        let picked: UidSet = picks.iter().filter_map(|n| Uid::new(*n)).collect();
                        let mut changed = Vec::new();
                        for m in list.iter_mut().filter(|m| picked.contains(m.uid)) {
                            m.flags = m.flags.with(Flag::Seen);
                            m.modseq = ModSeq::new(m.modseq.value() + 1);
                            changed.push(*m);
                        }
                        now = now.with_changed(&changed);
                    }
                }
                prop_assert_eq!(now.iter().copied().collect::<Vec<_>>(), list.clone());
                prop_assert_eq!(now.len() as usize, list.len());
                for (at, m) in list.iter().enumerate() {
                    let sequence = u32::try_from(at).unwrap() + 1;
                    prop_assert_eq!(now.sequence_of(m.uid), Some(sequence));
                    prop_assert_eq!(now.by_sequence(sequence), Some(m));
                }
                prop_assert_eq!(now.by_sequence(0), None);
                prop_assert_eq!(now.by_sequence(now.len() + 1), None);
                prop_assert_eq!(now.sequence_of(Uid::new(5000).unwrap()), None);
                let wanted: UidSet = picks.iter().filter_map(|n| Uid::new(*n)).collect();
                let selected: Vec<_> = now.select(&wanted).map(|(s, m)| (s, m.uid)).collect();
                let expected: Vec<_> = list.iter().enumerate().filter(|(_, m)| wanted.contains(m.uid))
                    .map(|(at, m)| (u32::try_from(at).unwrap() + 1, m.uid)).collect();
                prop_assert_eq!(selected, expected);

                let changes = before.changes_to(&now);
                let gone: Vec<u32> = before_list.iter().enumerate()
                    .filter(|(_, m)| !list.iter().any(|n| n.uid == m.uid))
                    .map(|(at, _)| u32::try_from(at).unwrap() + 1).collect();
                prop_assert_eq!(changes.expunged, gone);
                let differ: UidSet = before_list.iter()
                    .filter(|m| list.iter().any(|n| n.uid == m.uid && n != *m)).map(|m| m.uid).collect();
                prop_assert_eq!(changes.changed, differ);
                let added = list.iter().filter(|m| !before_list.iter().any(|n| n.uid == m.uid)).count();
                prop_assert_eq!(changes.added as usize, added);
            }
        }
    }
}
