//! Doing the journal's changes again: at a start, and for an account whose files or index could not
//! take them at once.
//!
//! Records are done in order, each to the files and to the index. Files: what is there already is
//! left, unless the machine may have lost what was written; then it is written anew. Index: what it
//! says it has is passed over.

mod home;
mod sdbox;
mod spool;
pub(crate) mod whole;

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

use facteur_disk::Disk;
use facteur_journal::Lsn;
use facteur_model::AccountId;
use facteur_spool::Spool;

use self::home::Home;
pub(crate) use self::home::new_row;
use crate::{
    StoreError,
    format::Layout,
    log::Log,
    record::{Change, Record},
};

/// Most accounts kept open meanwhile.
const OPEN: usize = 64;

/// Whose changes are done again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    All,
    Account(&'a AccountId),
    Spool,
}

impl Scope<'_> {
    fn has(self, account: &AccountId) -> bool {
        match self {
            Self::All => true,
            Self::Account(only) => only == account,
            Self::Spool => false,
        }
    }

    fn has_spool(self) -> bool {
        matches!(self, Self::All | Self::Spool)
    }
}

/// What may be wrong beside the process's end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// The machine may have lost what was written.
    pub(crate) rewrite: bool,
    /// The journal has lost records: the files must be looked through.
    pub(crate) incomplete: bool,
    /// Indexes as well, which the journal does not have whole: a sync has failed.
    pub(crate) reindex: bool,
}

/// What a record's changes are done to files with.
pub(crate) struct Files<'a> {
    pub(crate) disk: &'a Disk,
    /// The bodies that follow the record.
    pub(crate) bodies: &'a [&'a [u8]],
    /// Whether files that are there are written anew.
    pub(crate) rewrite: &'a Cell<bool>,
    /// Takes the files that go once a checkpoint has what ended them.
    pub(crate) unlinks: &'a mut Vec<PathBuf>,
}

/// Changes being done again.
pub(crate) struct Replay<'a> {
    disk: &'a Disk,
    log: &'a Log,
    spool: Option<&'a Spool>,
    how: How,
    /// Whether files that are there are written anew; from the first on that is found not to be as it
    /// was written, all are.
    rewrite: Cell<bool>,
    /// Where the journal begins.
    first: Option<Lsn>,
    homes: HashMap<PathBuf, Home>,
    /// Files that go once a checkpoint has what ended them.
    pub(crate) unlinks: Vec<PathBuf>,
    /// Files of earlier removed messages, which could not be removed.
    pub(crate) leftovers: Vec<PathBuf>,
    /// Homes that were changed, and the folders of their messages.
    pub(crate) touched: BTreeSet<PathBuf>,
    /// Accounts whose changes could not all be done.
    pub(crate) unsettled: BTreeSet<AccountId>,
    pub(crate) spool_unsettled: bool,
    /// Whether something could not be done for want of room.
    pub(crate) no_space: bool,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(disk: &'a Disk, log: &'a Log, spool: Option<&'a Spool>, how: How) -> Self {
        Self {
            disk,
            log,
            spool,
            how,
            rewrite: Cell::new(how.rewrite),
            first: None,
            homes: HashMap::new(),
            unlinks: Vec::new(),
            leftovers: Vec::new(),
            touched: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            spool_unsettled: false,
            no_space: false,
        }
    }

    /// Does a record again: each that the journal has is to come here. What cannot be done is logged and noted among the unsettled.
    pub(crate) fn record(&mut self, lsn: Lsn, bytes: &[u8], scope: Scope<'_>) {
        let (record, bodies) = match Record::decode(bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::error!(%lsn, %error, "record of the journal cannot be read and is passed over");
                return;
            }
        };
        if !record.counts(*self.first.get_or_insert(lsn)) {
            return;
        }
        for account in record.accounts {
            let id = AccountId::new(&account.account);
            // After a change that could not be done none of the later ones may be.
            if !scope.has(&id) || self.unsettled.contains(&id) {
                continue;
            }
            let layout = Layout::new(account.format, &account.home);
            let done = self.account(lsn, (&id, &layout), account.changes, &bodies);
            if let Err(error) = done {
                tracing::error!(account = %id, %error, "changes of the journal cannot be brought into the account; they are kept");
                self.no_space |= matches!(error, StoreError::NoSpace);
                self.homes.remove(&account.home);
                self.unsettled.insert(id);
            }
        }
        if matches!(scope, Scope::All)
            && let Some(leftovers) = record.leftovers
        {
            self.leftovers = leftovers;
        }
        let Some(spool) = self.spool.filter(|_| scope.has_spool()) else {
            return;
        };
        for change in &record.spool {
            if let Err(error) = spool::redo(spool, change, &bodies, &self.rewrite) {
                tracing::error!(%lsn, %error, "change of the journal cannot be brought into the spool; it is kept");
                self.spool_unsettled = true;
            }
        }
    }

    fn account(
        &mut self,
        lsn: Lsn,
        (account, layout): (&AccountId, &Layout),
        mut changes: Vec<Change>,
        bodies: &[&[u8]],
    ) -> Result<(), StoreError> {
        let path = layout.home();
        if !self.homes.contains_key(path) {
            if self.homes.len() >= OPEN {
                self.finish();
            }
            let home = Home::open(self.disk, self.log, (account, layout), self.how)?;
            self.touched.insert(path.to_owned());
            let mails = home.mailboxes.values().map(|(mails, _)| mails.clone());
            self.touched.extend(mails);
            self.homes.insert(path.to_owned(), home);
        }
        let Some(home) = self.homes.get_mut(path) else {
            return Ok(());
        };
        let mut whole = true;
        let mut files = Files {
            disk: self.disk,
            bodies,
            rewrite: &self.rewrite,
            unlinks: &mut self.unlinks,
        };
        for change in &changes {
            whole &= match &mut home.maildir {
                Some(maildir) => maildir.change(change, &mut files)?,
                None => home.files(change, &mut files)?,
            };
        }
        if home.applied.is_some_and(|applied| lsn <= applied) {
            return Ok(());
        }
        changes.retain_mut(|change| {
            let mailboxes = change.mailboxes();
            mailboxes.into_iter().all(|mailbox| home.join(mailbox))
        });
        home.write(self.log, lsn, &changes, whole)
    }
}

impl Replay<'_> {
    /// Whether a file was not as it was written, though none should be.
    pub(crate) fn found_loss(&self) -> bool {
        self.rewrite.get() && !self.how.rewrite
    }

    /// Ends what is done of the accounts at hand.
    pub(crate) fn finish(&mut self) {
        for (_, home) in self.homes.drain() {
            let Home {
                index,
                account,
                maildir: Some(mut maildir),
                ..
            } = home
            else {
                continue;
            };
            if let Err(error) = maildir.finish(self.disk, &index) {
                tracing::error!(%account, %error, "names of messages cannot be made to say their flags; the journal keeps them");
                self.unsettled.insert(account);
            }
        }
    }
}
