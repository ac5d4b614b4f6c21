//! What changed between two snapshots.

use std::sync::Arc;

use facteur_model::UidSet;

use crate::{MessageState, Snapshot, snapshot::Chunk};

impl Snapshot {
    /// What changed from this snapshot to a later one: UIDs gone, messages whose flags or keywords
    /// differ, and how many are new. What the two share is not looked at.
    pub fn changes_to(&self, later: &Snapshot) -> Changes {
        let mut changes = Changes::default();
        let mut old = Cursor::new(&self.chunks);
        let mut new = Cursor::new(&later.chunks);
        loop {
            if old.skip_shared(&mut new) {
                continue;
            }
            if old.pass_alike(&mut new, &mut changes.changed) {
                continue;
            }
            match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(_), None) => {
                    changes.expunged.push(old.sequence());
                    old.advance();
                }
                (None, Some(_)) => {
                    changes.added += 1;
                    new.advance();
                }
                (Some(before), Some(after)) if before.uid == after.uid => {
                    if before != after {
                        changes.changed.insert(after.uid);
                    }
                    old.advance();
                    new.advance();
                }
                (Some(before), Some(after)) if before.uid < after.uid => {
                    changes.expunged.push(old.sequence());
                    old.advance();
                }
                (Some(_), Some(_)) => {
                    changes.added += 1;
                    new.advance();
                }
            }
        }
    }
}

/// A place in a row of chunks.
struct Cursor<'a> {
    chunks: &'a [Chunk],
    within: usize,
}

impl<'a> Cursor<'a> {
    fn new(chunks: &'a [Chunk]) -> Self {
        Self { chunks, within: 0 }
    }

    fn peek(&self) -> Option<&'a MessageState> {
        self.chunks.first()?.messages.get(self.within)
    }

    /// The sequence number here.
    fn sequence(&self) -> u32 {
        let within = u32::try_from(self.within).unwrap_or(u32::MAX);
        self.chunks
            .first()
            .map_or(0, |chunk| chunk.before + within + 1)
    }

    fn advance(&mut self) {
        self.within += 1;
        if let Some((first, rest)) = self.chunks.split_first()
            && self.within >= first.messages.len()
        {
            self.chunks = rest;
            self.within = 0;
        }
    }

    /// Passes a chunk that both have here with the same messages, noting those that differ.
    fn pass_alike(&mut self, other: &mut Self, changed: &mut UidSet) -> bool {
        if self.within != 0 || other.within != 0 {
            return false;
        }
        let (Some((ours, rest)), Some((theirs, others))) =
            (self.chunks.split_first(), other.chunks.split_first())
        else {
            return false;
        };
        let (ours, theirs) = (&ours.messages, &theirs.messages);
        // Both are in UID order.
        let same = ours.len() == theirs.len()
            && ours.iter().zip(theirs.iter()).all(|(a, b)| a.uid == b.uid);
        if same {
            let pairs = ours.iter().zip(theirs.iter());
            for (_, after) in pairs.filter(|(before, after)| before != after) {
                changed.insert(after.uid);
            }
            self.chunks = rest;
            other.chunks = others;
        }
        same
    }

    /// Passes a chunk that both have here.
    fn skip_shared(&mut self, other: &mut Self) -> bool {
        if self.within != 0 || other.within != 0 {
            return false;
        }
        match (self.chunks.split_first(), other.chunks.split_first()) {
            (Some((ours, rest)), Some((theirs, others)))
                if Arc::ptr_eq(&ours.messages, &theirs.messages) =>
            {
                self.chunks = rest;
                other.chunks = others;
                true
            }
            _ => false,
        }
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
