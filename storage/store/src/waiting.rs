//! Rows of the index that wait, read before they are written: so that who opens a mailbox need not
//! wait for that, and on a disk without room mail is read and removed as ever.

use facteur_index::{Index, IndexError, MessageRow, Parts};
use facteur_model::{Uid, UidSet};

use crate::record::{Added, Change, uid_set};

/// Changes that the index does not have yet, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting<'a>(pub(crate) &'a [&'a Change]);

impl Waiting<'_> {
    /// The messages of a mailbox, in UID order.
    pub(crate) fn messages(
        &self,
        index: &Index,
        mailbox: u32,
    ) -> Result<Vec<MessageRow>, IndexError> {
        let mut rows = index.messages(mailbox)?;
        // UIDs that are gone do not come back: they can all go at the end.
        let mut gone = UidSet::new();
        for change in self.0 {
            match change {
                Change::Add(added) if added.mailbox.row == mailbox => {
                    if let Some(row) = added.message.row() {
                        put(&mut rows, row);
                    }
                }
                Change::Copy { to, pairs, .. } if to.row == mailbox => {
                    let new = pairs.iter().filter_map(|(_, there)| there.row());
                    new.for_each(|row| put(&mut rows, row));
                }
                Change::Flags {
                    mailbox: of, runs, ..
                } if of.row == mailbox => {
                    for run in runs {
                        if let (Some(first), Some(last)) = (Uid::new(run.first), run.last.row()) {
                            set_flags(&mut rows, first, &last);
                        }
                    }
                }
                Change::Expunge {
                    mailbox: of,
                    ranges,
                    ..
                } if of.row == mailbox => {
                    for (low, high) in uid_set(ranges).ranges() {
                        gone.insert_range(low..=high);
                    }
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            rows.retain(|row| !gone.contains(row.uid));
        }
        Ok(rows)
    }

    /// The keyword sets of a mailbox.
    pub(crate) fn keyword_sets(
        &self,
        index: &Index,
        mailbox: u32,
    ) -> Result<Vec<(u32, String)>, IndexError> {
        let mut sets = index.keyword_sets(mailbox)?;
        for change in self.0 {
            if let Change::Keywords {
                mailbox: of,
                set,
                text,
            } = change
                && of.row == mailbox
            {
                sets.push((*set, text.clone()));
            }
        }
        Ok(sets)
    }

    /// Calls `visit` with what the wire needs of each of these messages, in UID order.
    pub(crate) fn summaries(
        &self,
        index: &Index,
        mailbox: u32,
        uids: &UidSet,
        visit: &mut dyn FnMut(Uid, Parts<'_>),
    ) -> Result<(), IndexError> {
        if self.0.is_empty() {
            return index.summaries(mailbox, uids, visit);
        }
        for uid in uids.iter() {
            let (mailbox, at) = match self.origin(mailbox, uid) {
                Origin::Waiting(added) => {
                    let parts = Parts {
                        envelope: &added.envelope,
                        body_structure: &added.body_structure,
                        body: &added.body,
                    };
                    visit(uid, parts);
                    continue;
                }
                Origin::Index(mailbox, at) => (mailbox, at),
            };
            index.summaries(mailbox, &UidSet::from_iter([at]), &mut |_, parts| {
                visit(uid, parts);
            })?;
        }
        Ok(())
    }

    /// Where what is known of a message lies: a copy's is its original's.
    fn origin(&self, mailbox: u32, uid: Uid) -> Origin<'_> {
        let (mut mailbox, mut uid) = (mailbox, uid);
        for change in self.0.iter().rev() {
            match change {
                Change::Add(added)
                    if added.mailbox.row == mailbox
                        && added.message.row().is_some_and(|row| row.uid == uid) =>
                {
                    return Origin::Waiting(added);
                }
                Change::Copy {
                    from, to, pairs, ..
                } if to.row == mailbox => {
                    let found = pairs
                        .iter()
                        .find(|(_, there)| there.row().is_some_and(|row| row.uid == uid));
                    if let Some(original) = found.and_then(|(here, _)| Uid::new(*here)) {
                        (mailbox, uid) = (from.row, original);
                    }
                }
                _ => {}
            }
        }
        Origin::Index(mailbox, uid)
    }
}

/// New messages come last.
fn put(rows: &mut Vec<MessageRow>, row: MessageRow) {
    if rows.last().is_none_or(|last| last.uid < row.uid) {
        rows.push(row);
        return;
    }
    match rows.binary_search_by_key(&row.uid, |row| row.uid) {
        Ok(at) => {
            if let Some(held) = rows.get_mut(at) {
                *held = row;
            }
        }
        Err(at) => rows.insert(at, row),
    }
}

/// Messages from `first` to `last` become like that one.
fn set_flags(rows: &mut [MessageRow], first: Uid, last: &MessageRow) {
    let from = rows.partition_point(|row| row.uid < first);
    let changed = rows.get_mut(from..).unwrap_or_default().iter_mut();
    for row in changed.take_while(|row| row.uid <= last.uid) {
        (row.flags, row.keywords) = (last.flags, last.keywords);
        row.modseq = last.modseq;
    }
}

enum Origin<'a> {
    Waiting(&'a Added),
    Index(u32, Uid),
}
