//! An account's index: its handle, and the rows that are still to be written.
//!
//! What is in the journal need not be in the index at once. Rows are written together, before
//! anybody reads the index and at the latest by the checkpoint.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use facteur_disk::Disk;
use facteur_index::{Details, Index, IndexError, Parts, Transaction};
use facteur_journal::Lsn;
use facteur_model::{InternalDate, ModSeq, Uid};

use crate::{
    log::Log,
    record::{Added, Change, MailboxId, Numbers, uid_set},
};

/// The fact that says how the account was left: `clean`, or `open` and which journal may hold more.
pub(crate) const SESSION: &str = "session";
/// What that fact says when the files may have more than index and journal together.
pub(crate) const INCOMPLETE: &str = "incomplete";

/// An account's index.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) handle: Option<Index>,
    rows: Vec<(Option<Lsn>, Vec<Change>)>,
    /// Whether the index says that the journal may hold more.
    pub(crate) marked: bool,
}

pub(crate) fn index_path(home: &Path) -> PathBuf {
    home.join("index.db")
}

impl Slot {
    pub(crate) fn new(handle: Index, marked: bool) -> Self {
        Self {
            handle: Some(handle),
            rows: Vec::new(),
            marked,
        }
    }

    pub(crate) fn open(&mut self, disk: &Disk, home: &Path) -> Result<(), IndexError> {
        self.handle = Some(Index::open(disk, &index_path(home))?);
        Ok(())
    }

    /// Gives up the handle, and the rows: they are in the journal.
    pub(crate) fn close(&mut self) {
        self.handle = None;
        self.rows = Vec::new();
    }

    pub(crate) fn push(&mut self, lsn: Option<Lsn>, changes: Vec<Change>) {
        self.rows.push((lsn, changes));
    }

    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The open index with all rows written.
    pub(crate) fn settled(&mut self, log: &Log) -> Result<&mut Index, IndexError> {
        let index = self
            .handle
            .as_mut()
            .ok_or_else(|| IndexError::Io(std::io::ErrorKind::NotFound.into()))?;
        if self.rows.is_empty() {
            return Ok(index);
        }
        let (rows, mark) = (&self.rows, !self.marked);
        index.transaction(|transaction| {
            if mark {
                transaction.set_fact(SESSION, &format!("open {}", log.id()))?;
            }
            apply_all(transaction, rows.iter().flat_map(|(_, changes)| changes))?;
            match rows.iter().rev().find_map(|(lsn, _)| *lsn) {
                Some(last) => set_applied(transaction, log, last),
                None => Ok(()),
            }
        })?;
        self.rows = Vec::new();
        self.marked = true;
        Ok(index)
    }
}

impl Slot {
    /// The open index, and the rows that it does not have although they were to be written.
    pub(crate) fn as_it_is(&mut self) -> Result<(&mut Index, Vec<&Change>), IndexError> {
        let index = self
            .handle
            .as_mut()
            .ok_or_else(|| IndexError::Io(std::io::ErrorKind::NotFound.into()))?;
        Ok((index, self.rows.iter().flat_map(|(_, c)| c).collect()))
    }
}

/// Up to where this journal's changes are in the index.
pub(crate) fn applied(index: &Index, log: &Log) -> Result<Option<Lsn>, IndexError> {
    let noted = index.applied()?;
    let ours = noted.filter(|(journal, _)| journal == log.id().as_bytes());
    Ok(ours.map(|(_, lsn)| Lsn::from_value(lsn)))
}

/// Notes that this journal's changes up to `lsn` are in the index.
pub(crate) fn set_applied(
    transaction: &Transaction<'_>,
    log: &Log,
    lsn: Lsn,
) -> Result<(), IndexError> {
    transaction.set_applied(*log.id().as_bytes(), lsn.value())
}

/// Does changes to the index, in order. Their mailboxes' row numbers are right.
pub(crate) fn apply_all<'a>(
    transaction: &Transaction<'_>,
    changes: impl Iterator<Item = &'a Change>,
) -> Result<(), IndexError> {
    // Of a mailbox's numbers only the last are of use.
    let mut numbers: Vec<(MailboxId, Numbers)> = Vec::new();
    for change in changes {
        if let Change::Numbers {
            mailbox,
            numbers: new,
        } = change
        {
            match numbers.iter_mut().find(|(known, _)| known == mailbox) {
                Some((_, held)) => *held = *new,
                None => numbers.push((*mailbox, *new)),
            }
        } else {
            apply(transaction, change)?;
        }
    }
    numbers
        .iter()
        .try_for_each(|(mailbox, numbers)| transaction.set_mailbox(&numbers.row(*mailbox)))
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> Result<(), IndexError> {
    match change {
        Change::Add(added) => add(transaction, added),
        Change::Flags { mailbox, runs } => {
            for run in runs {
                if let (Some(first), Some(last)) = (Uid::new(run.first), run.last.row()) {
                    transaction.set_flags(mailbox.row, first, &last)?;
                }
            }
            Ok(())
        }
        Change::Keywords { mailbox, set, text } => {
            transaction.add_keyword_set(mailbox.row, *set, text)
        }
        Change::Copy {
            from, to, pairs, ..
        } => {
            for (here, there) in pairs {
                if let (Some(here), Some(there)) = (Uid::new(*here), there.row())
                    && !transaction.copy_message((from.row, here), to.row, &there)?
                {
                    // An index that is being filled anew does not know the original: the copy is
                    // found among the files.
                    transaction.forget(to.row, &[there.uid].into_iter().collect())?;
                }
            }
            Ok(())
        }
        Change::Expunge {
            mailbox,
            ranges,
            modseq,
            ..
        } => transaction.expunge(mailbox.row, &uid_set(ranges), ModSeq::new(*modseq)),
        Change::Numbers { .. } => Ok(()),
        Change::Remember { key, expires_at } => {
            let now = InternalDate::from(SystemTime::now()).unix();
            transaction.remember(key, *expires_at, now)
        }
    }
}

fn add(transaction: &Transaction<'_>, added: &Added) -> Result<(), IndexError> {
    let Some(row) = added.message.row() else {
        return Ok(());
    };
    let details = Details {
        guid: added.guid,
        parts: Parts {
            envelope: &added.envelope,
            body_structure: &added.body_structure,
            body: &added.body,
        },
    };
    transaction.add_message(added.mailbox.row, &row, &details)?;
    transaction.add_delivery(added.delivery, added.mailbox.row, row.uid, added.noted_at)
}
