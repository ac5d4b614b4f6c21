//! An account whose changes are done again: its index, and its mailboxes by their GUIDs.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use facteur_disk::Disk;
use facteur_format::Identity;
use facteur_index::{Index, IndexError, MailboxRow};
use facteur_journal::Lsn;
use facteur_model::{AccountId, Guid, MailboxName, UidValidity};

use super::How;
use crate::{
    StoreError, copies,
    folders::{graves, mails_in},
    format::Layout,
    load::{self, Left},
    log::Log,
    maildir::{self, Redo},
    maintenance,
    record::{Change, MailboxId},
    slot::{self, INCOMPLETE, SESSION, index_path},
};

/// An account's files and index.
pub(super) struct Home {
    pub(super) index: Index,
    pub(super) applied: Option<Lsn>,
    /// Each mailbox's messages and row, by its GUID.
    pub(super) mailboxes: HashMap<Guid, (PathBuf, u32)>,
    /// Every mailbox's row, also of those whose folders are gone: what was copied from there has its
    /// details in theirs.
    rows: HashMap<Guid, u32>,
    pub(super) inbox: PathBuf,
    /// Whether the index says that more than it has is in the journal, or in the files.
    marked: bool,
    pub(super) account: AccountId,
    /// Its folders, in a Maildir.
    pub(super) maildir: Option<Redo>,
}

fn missing(home: &Path) -> StoreError {
    let missing = format!("the mail home {} is missing", home.display());
    io::Error::new(io::ErrorKind::NotFound, missing).into()
}

/// The mailboxes on disk; without copies, which get GUIDs of their own when the account is opened next.
fn originals(disk: &Disk, layout: &Layout) -> Result<Vec<(MailboxName, Identity)>, StoreError> {
    let mut identified = Vec::new();
    for folder in layout.folders(disk)?.into_iter().filter(|f| f.is_mailbox) {
        if let Some(identity) = layout.identify(disk, &folder.name)? {
            identified.push((folder.name, identity));
        }
    }
    let copies = copies::find(disk, layout, &mut identified)?;
    identified.retain(|(name, _)| !copies.contains(name));
    Ok(identified)
}

impl Home {
    pub(super) fn open(
        disk: &Disk,
        log: &Log,
        (account, layout): (&AccountId, &Layout),
        how: How,
    ) -> Result<Self, StoreError> {
        let home = layout.home();
        if !disk.is_dir(home)? {
            // It may be on a disk that is not mounted now.
            return Err(missing(home));
        }
        let path = index_path(home);
        let missing = disk.kind(&path)?.is_none();
        let opened = Index::open(disk, &path).and_then(|index| {
            let rows = index.mailboxes()?;
            Ok((index, rows))
        });
        let (mut index, rows, fresh) = match opened {
            Ok((index, rows)) => (index, rows, missing),
            Err(IndexError::Damaged(cause)) => {
                tracing::warn!(home = %home.display(), cause, "index is damaged: rebuilding it from the messages; their flags are lost but for those in the journal");
                maintenance::mend(disk, layout)?;
                let index = Index::open(disk, &path)?;
                let rows = index.mailboxes()?;
                (index, rows, true)
            }
            Err(error) => return Err(error.into()),
        };
        // One that says nothing was lost with the machine before it was filled; one that says this was
        // not filled to the end.
        let unfilled = (index.fact(SESSION)?).is_none_or(|session| session == INCOMPLETE);
        let fresh = fresh || unfilled || how.incomplete;
        if how.reindex {
            index.optimize()?;
        }
        if fresh {
            // What the journal has not is looked for in the files when the account is opened.
            index.transaction(|t| t.set_fact(SESSION, INCOMPLETE))?;
        }
        // Whoever opens an account that was left so looks through it. That must not be forgotten,
        // also when this is the second try.
        let marked = fresh || load::left(&index, log)? != Left::Clean;
        // What was saved of a damaged index need not be all that it says.
        let applied = match fresh {
            true => None,
            false => slot::applied(&index, log)?,
        };
        let mut mailboxes = HashMap::new();
        let known: HashMap<Guid, u32> = rows.iter().map(|row| (row.guid, row.id)).collect();
        let mut maildir = match layout {
            Layout::Sdbox(_) => None,
            Layout::Maildir(layout) => {
                let inbox = layout.folder(&MailboxName::inbox());
                Some(Redo::new(inbox, &maildir::host(disk)))
            }
        };
        let mut join = |identity: Identity, mails: PathBuf, is_deleted: bool| {
            let row = match known.get(&identity.guid) {
                Some(row) => *row,
                None => index.transaction(|t| t.add_mailbox(&new_row(&identity)))?,
            };
            if let Some(maildir) = &mut maildir {
                let row = MailboxRow {
                    id: row,
                    ..new_row(&identity)
                };
                maildir.add_folder(identity.guid, mails.clone(), (!is_deleted).then_some(row));
            }
            mailboxes.insert(identity.guid, (mails, row));
            Ok::<_, StoreError>(())
        };
        // Messages may have been copied from what was deleted since; opening the account forgets it.
        for (guid, grave) in graves(disk, layout)? {
            let mails = mails_in(disk, layout, grave)?;
            join(Identity::new(UidValidity::FIRST, guid), mails, true)?;
        }
        for (name, identity) in originals(disk, layout)? {
            join(identity, layout.mails(&name), false)?;
        }
        Ok(Self {
            index,
            applied,
            rows: known,
            mailboxes,
            inbox: layout.mails(&MailboxName::inbox()),
            marked,
            account: account.clone(),
            maildir,
        })
    }

    /// Gives a mailbox the number of its row now; says whether it has one.
    pub(super) fn join(&self, mailbox: &mut MailboxId) -> bool {
        let there = self.mailboxes.get(&mailbox.guid).map(|(_, row)| row);
        let found = there.or_else(|| self.rows.get(&mailbox.guid)).copied();
        mailbox.row = found.unwrap_or(0);
        found.is_some()
    }

    /// Does changes to the index; `whole` if all their files are there.
    pub(super) fn write(
        &mut self,
        log: &Log,
        lsn: Lsn,
        changes: &[Change],
        whole: bool,
    ) -> Result<(), StoreError> {
        let mark = !self.marked;
        self.index.transaction(|transaction| {
            if !whole {
                transaction.set_fact(SESSION, INCOMPLETE)?;
            } else if mark {
                transaction.set_fact(SESSION, &format!("open {}", log.id()))?;
            }
            slot::apply_all(transaction, changes.iter())?;
            slot::set_applied(transaction, log, lsn)
        })?;
        self.marked = true;
        self.applied = Some(lsn);
        Ok(())
    }
}

/// The row of a mailbox of which nothing is known but who it is.
pub(crate) fn new_row(identity: &Identity) -> MailboxRow {
    MailboxRow::new(identity.guid, identity.uid_validity)
}
