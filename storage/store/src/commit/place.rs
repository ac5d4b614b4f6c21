//! One account of a batch: what was delivered before, and the numbers of what is new.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::{Arc, MutexGuard},
};

use facteur_index::MailboxRow;
use facteur_model::{Keyword, MailboxName, ModSeq, Uid, Usage};

use super::{Step, write::Written};
use crate::{
    Append, Appended, KeywordSetId, MessageState, QuotaCheck, StoreError,
    format::Layout,
    keywords::KeywordTable,
    owner::{Folder, Owner, State, count_in},
    record::{Change, MailboxId},
    shared::Shared,
    usage::Permit,
    view::Core,
};

/// An account of a batch, locked.
pub(super) struct Locked<'a> {
    pub(super) owner: &'a Arc<Owner>,
    pub(super) state: MutexGuard<'a, State>,
    /// The rows of the mailboxes that change, as they will be.
    pub(super) rows: BTreeMap<MailboxName, MailboxRow>,
    /// What the account will hold.
    pub(super) usage: Usage,
    /// Kept until that was told.
    pub(super) permits: Vec<Permit>,
    /// Keyword sets that are new.
    pub(super) sets: Vec<(MailboxId, KeywordSetId, String)>,
    pub(super) keywords: BTreeMap<MailboxName, Arc<KeywordTable>>,
}

impl Locked<'_> {
    /// Where this delivery's message lies if it was made before.
    pub(super) fn delivered(
        &self,
        shared: &Shared,
        append: &Append,
    ) -> Result<Option<Appended>, StoreError> {
        let found = self.owner.index(shared, |index| {
            let Some((mailbox, uid)) = index.delivery(append.delivery)? else {
                return Ok(None);
            };
            Ok(Some((mailbox, uid, index.message(mailbox, uid)?)))
        })?;
        let Some((mailbox, uid, row)) = found else {
            return Ok(None);
        };
        let folder = self.state.folders.iter().find(|(_, f)| f.row.id == mailbox);
        let (name, uid_validity) = match folder {
            Some((name, folder)) => (name.clone(), folder.row.uid_validity),
            // Its mailbox is gone since; it was delivered all the same.
            None => (append.mailbox.clone(), facteur_model::UidValidity::FIRST),
        };
        Ok(Some(Appended {
            mailbox: name,
            uid_validity,
            uid,
            size: row.map_or(append.body.len(), |row| row.size),
        }))
    }

    /// Gives a new message its numbers.
    pub(super) fn place(
        &mut self,
        shared: &Shared,
        append: &Append,
        written: &Written,
    ) -> Result<Step, StoreError> {
        let (owner, scanned) = (self.owner, &written.scanned);
        if append.create && !self.state.folders.contains_key(&append.mailbox) {
            owner.make_folder(shared, &mut self.state, &append.mailbox, true)?;
        } else if written.is_elsewhere {
            owner.expect_there(shared, &self.state.folder(&append.mailbox)?.core)?;
        }
        let added = Usage {
            bytes: scanned.size,
            messages: 1,
        };
        let limits = &append.account.quota;
        match append.quota {
            QuotaCheck::Strict => {
                let admitted = shared.admit(&append.account, &append.mailbox, self.usage, added)?;
                self.permits.push(admitted);
            }
            QuotaCheck::Grace(per_cent) => {
                let (account, mailbox) = (&append.account, &append.mailbox);
                let sizes = (self.usage, added);
                let admitted = shared.admit_with_grace(account, mailbox, sizes, per_cent)?;
                self.permits.push(admitted);
            }
            QuotaCheck::Ignore => {}
        }
        let keywords = self.keyword_set(shared, append)?;
        let folder = self.state.folder(&append.mailbox)?;
        let row = self
            .rows
            .entry(append.mailbox.clone())
            .or_insert_with(|| MailboxRow {
                highest_modseq: ModSeq::new(folder.row.highest_modseq.value() + 1),
                ..folder.row
            });
        let uid = next_uid(row)?;
        self.owner.check_free(shared, &append.mailbox, uid)?;
        let state = MessageState {
            uid,
            modseq: row.highest_modseq,
            internal_date: append.internal_date,
            size: scanned.size,
            keywords,
            flags: append.flags,
        };
        count_in(row, &state);
        if limits.counts(&append.mailbox) {
            self.usage = self.usage.plus(added);
        }
        Ok(Step::New {
            mailbox: MailboxId::of(row),
            state,
            appended: Appended {
                mailbox: append.mailbox.clone(),
                uid_validity: folder.row.uid_validity,
                uid,
                size: scanned.size,
            },
        })
    }

    fn keyword_set(
        &mut self,
        shared: &Shared,
        append: &Append,
    ) -> Result<KeywordSetId, StoreError> {
        let keywords: &[Keyword] = &append.keywords;
        if keywords.is_empty() {
            return Ok(KeywordSetId::default());
        }
        let folder = self.state.folder(&append.mailbox)?;
        let table = match self.keywords.get(&append.mailbox) {
            Some(table) => Arc::clone(table),
            None => self.owner.keywords(shared, folder)?,
        };
        if let Some(id) = table.find(keywords) {
            return Ok(id);
        }
        let mut table = (*table).clone();
        let (id, text) = table.add(keywords)?;
        self.sets.push((MailboxId::of(&folder.row), id, text));
        self.keywords
            .insert(append.mailbox.clone(), Arc::new(table));
        Ok(id)
    }

    /// The sets of keywords that are new.
    pub(super) fn keyword_changes(&self) -> Vec<Change> {
        let change = |(mailbox, set, text): &(MailboxId, KeywordSetId, String)| Change::Keywords {
            mailbox: *mailbox,
            set: set.0,
            text: text.clone(),
        };
        self.sets.iter().map(change).collect()
    }

    pub(super) fn reserve(&mut self, shared: &Shared) -> Result<(), StoreError> {
        for (name, row) in &self.rows {
            let folder = self.state.folder_mut(name)?;
            let (last, modseq) = (row.uid_next.saturating_sub(1), row.highest_modseq.value());
            self.owner.reserve(shared, folder, last, modseq)?;
        }
        Ok(())
    }
}

/// Takes the next UID of a mailbox.
pub(crate) fn next_uid(row: &mut MailboxRow) -> Result<Uid, StoreError> {
    let uid = u32::try_from(row.uid_next).ok().and_then(Uid::new);
    let uid = uid.ok_or(StoreError::Cannot("the mailbox has no UIDs left"))?;
    row.uid_next += 1;
    Ok(uid)
}

impl Owner {
    /// A message goes only where its file can: another program may have removed the mailbox. Whoever
    /// comes next finds that it is gone.
    fn expect_there(&self, shared: &Shared, core: &Core) -> Result<(), StoreError> {
        let tmp = self.layout.tmp(&core.name());
        if shared.disk.is_dir(&tmp)? {
            return Ok(());
        }
        let error = io::Error::new(
            ErrorKind::NotFound,
            format!("{}: another program has removed the mailbox", tmp.display()),
        );
        let error = StoreError::from(error);
        self.abandon(shared, &error);
        Err(error)
    }

    /// Why something could not be made in a mailbox: perhaps because that is not there any more.
    pub(crate) fn unless_removed(
        &self,
        shared: &Shared,
        core: &Core,
        error: StoreError,
    ) -> StoreError {
        match error {
            StoreError::Io(cause) if cause.kind() == ErrorKind::NotFound => {
                let there = self.expect_there(shared, core);
                there.err().unwrap_or(StoreError::Io(cause))
            }
            other => other,
        }
    }

    /// Where a new message goes must be nothing: what another program put there is a message.
    pub(crate) fn check_free(
        self: &Arc<Self>,
        shared: &Shared,
        mailbox: &MailboxName,
        uid: Uid,
    ) -> Result<(), StoreError> {
        let Layout::Sdbox(layout) = &self.layout else {
            // No two files have one base.
            return Ok(());
        };
        let path = layout
            .mails(mailbox)
            .join(facteur_sdbox::Layout::file_name(uid));
        if shared.disk.kind(&path)?.is_none() {
            return Ok(());
        }
        let error = io::Error::new(
            ErrorKind::AlreadyExists,
            format!("{}: a file that is not this server's", path.display()),
        );
        self.look_through(shared, &error.into())
    }

    /// A mailbox's keywords.
    pub(crate) fn keywords(
        self: &Arc<Self>,
        shared: &Shared,
        folder: &Folder,
    ) -> Result<Arc<KeywordTable>, StoreError> {
        if let Some(table) = &folder.keywords {
            return Ok(Arc::clone(table));
        }
        let rows = self.peek(shared, |index, waiting| {
            waiting.keyword_sets(index, folder.row.id)
        })?;
        Ok(Arc::new(KeywordTable::from_rows(rows)))
    }
}
