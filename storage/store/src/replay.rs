//! Doing the journal's changes again: at a start, and for an account whose files or index could not
//! take them at once.
//!
//! Records are done in order, each to the files and to the index. Files: what is there already is
//! left, unless the machine may have lost what was written; then it is written anew. Index: what it
//! says it has is passed over.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
};

use facteur_disk::{Disk, EntryKind};
use facteur_format::Identity;
use facteur_index::{Index, IndexError, MailboxRow};
use facteur_journal::Lsn;
use facteur_model::{AccountId, Guid, InternalDate, MailboxName, ModSeq, Uid, UidValidity};
use facteur_sdbox::{Layout as Sdbox, MessageFile, Metadata, NewMessage, Source};
use facteur_spool::{Change as SpoolChange, Entry, Logged, QueueId, Spool, SpoolError};

use crate::{
    StoreError,
    compress::Compression,
    copy,
    folders::{graves, mails_in},
    format::Layout,
    load::{self, Left},
    log::Log,
    maildir::{self, Redo},
    maintenance, new_name,
    record::{Added, Change, Content, MailboxId, Message, Record, SpoolRecord, uid_set},
    slot::{self, INCOMPLETE, SESSION, index_path},
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

/// Changes being done again.
pub(crate) struct Replay<'a> {
    disk: &'a Disk,
    log: &'a Log,
    spool: Option<&'a Spool>,
    how: How,
    homes: HashMap<PathBuf, Home>,
    /// Files that go once a checkpoint has what ended them.
    pub(crate) unlinks: Vec<PathBuf>,
    /// Homes that were changed, and the folders of their messages.
    pub(crate) touched: BTreeSet<PathBuf>,
    /// Accounts whose changes could not all be done.
    pub(crate) unsettled: BTreeSet<AccountId>,
    pub(crate) spool_unsettled: bool,
    /// Whether something could not be done for want of room.
    pub(crate) no_space: bool,
}

/// An account's files and index.
struct Home {
    index: Index,
    applied: Option<Lsn>,
    /// Each mailbox's messages and row, by its GUID.
    mailboxes: HashMap<Guid, (PathBuf, u32)>,
    inbox: PathBuf,
    /// Whether the index says that more than it has is in the journal, or in the files.
    marked: bool,
    account: AccountId,
    /// Its folders, in a Maildir.
    maildir: Option<Redo>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(disk: &'a Disk, log: &'a Log, spool: Option<&'a Spool>, how: How) -> Self {
        Self {
            disk,
            log,
            spool,
            how,
            homes: HashMap::new(),
            unlinks: Vec::new(),
            touched: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            spool_unsettled: false,
            no_space: false,
        }
    }

    /// Does a record again. What cannot be done is logged and noted among the unsettled.
    pub(crate) fn record(&mut self, lsn: Lsn, bytes: &[u8], scope: Scope<'_>) {
        let (record, bodies) = match Record::decode(bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::error!(%lsn, %error, "record of the journal cannot be read and is passed over");
                return;
            }
        };
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
        if matches!(scope, Scope::All) {
            self.unlinks.extend(record.leftovers);
        }
        let Some(spool) = self.spool.filter(|_| scope.has_spool()) else {
            return;
        };
        for change in &record.spool {
            if let Err(error) = redo_spool(spool, change, &bodies, self.how.rewrite) {
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
        for change in &changes {
            let (disk, rewrite) = (self.disk, self.how.rewrite);
            let unlinks = &mut self.unlinks;
            whole &= match &mut home.maildir {
                Some(maildir) => maildir.change(disk, change, bodies, rewrite, unlinks)?,
                None => home.files(disk, change, bodies, rewrite, unlinks)?,
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

impl Home {
    fn open(
        disk: &Disk,
        log: &Log,
        (account, layout): (&AccountId, &Layout),
        how: How,
    ) -> Result<Self, StoreError> {
        let home = layout.home();
        if !disk.is_dir(home)? {
            // It may be on a disk that is not mounted now.
            return Err(io::Error::new(io::ErrorKind::NotFound, "the mail home is missing").into());
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
        let session = index.fact(SESSION)?;
        let unfilled = session.is_none_or(|session| session == INCOMPLETE);
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
        let known: HashMap<Guid, &MailboxRow> = rows.iter().map(|row| (row.guid, row)).collect();
        let mut maildir = match layout {
            Layout::Sdbox(_) => None,
            Layout::Maildir(layout) => {
                let inbox = layout.folder(&MailboxName::inbox());
                Some(Redo::new(inbox, &maildir::host(disk)))
            }
        };
        let mut join = |identity: Identity, mails: PathBuf, is_deleted: bool| {
            let row = match known.get(&identity.guid) {
                Some(row) => row.id,
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
        for folder in layout.folders(disk)?.into_iter().filter(|f| f.is_mailbox) {
            if let Some(identity) = layout.identify(disk, &folder.name)? {
                join(identity, layout.mails(&folder.name), false)?;
            }
        }
        Ok(Self {
            index,
            applied,
            mailboxes,
            inbox: layout.mails(&MailboxName::inbox()),
            marked,
            account: account.clone(),
            maildir,
        })
    }

    /// Gives a mailbox the number of its row now; says whether it has one.
    fn join(&self, mailbox: &mut MailboxId) -> bool {
        let found = self.mailboxes.get(&mailbox.guid);
        mailbox.row = found.map_or(0, |(_, row)| *row);
        found.is_some()
    }

    /// Does changes to the index; `whole` if all their files are there.
    fn write(
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

    /// Does a change to the files; whether those that it makes are there.
    fn files(
        &self,
        disk: &Disk,
        change: &Change,
        bodies: &[&[u8]],
        rewrite: bool,
        unlinks: &mut Vec<PathBuf>,
    ) -> Result<bool, StoreError> {
        match change {
            Change::Add(added) => self.add(disk, added, bodies, rewrite, unlinks),
            Change::Copy {
                from, to, pairs, ..
            } => self.copy(disk, *from, *to, pairs, rewrite),
            Change::Expunge {
                mailbox, ranges, ..
            } => {
                if let Some((dir, _)) = self.mailboxes.get(&mailbox.guid) {
                    let gone = uid_set(ranges);
                    unlinks.extend(gone.iter().map(|uid| dir.join(Sdbox::file_name(uid))));
                }
                Ok(true)
            }
            Change::Flags { .. }
            | Change::Keywords { .. }
            | Change::Numbers { .. }
            | Change::Remember { .. } => Ok(true),
        }
    }

    fn add(
        &self,
        disk: &Disk,
        added: &Added,
        bodies: &[&[u8]],
        rewrite: bool,
        unlinks: &mut Vec<PathBuf>,
    ) -> Result<bool, StoreError> {
        let Some((dir, _)) = self.mailboxes.get(&added.mailbox.guid) else {
            return Ok(true);
        };
        let Some(row) = added.message.row() else {
            return Ok(true);
        };
        let path = dir.join(Sdbox::file_name(row.uid));
        let there = keep_foreign(disk, &path, added.guid)?;
        match &added.content {
            Content::Inline { prefix, body } => {
                if there && !rewrite {
                    return Ok(true);
                }
                let Some(body) = bodies.get(*body as usize) else {
                    return Err(io::Error::from(io::ErrorKind::InvalidData).into());
                };
                write(disk, dir, &path, added, row.internal_date, &[prefix, body])?;
                Ok(true)
            }
            // In this format nobody else makes any.
            Content::There => Ok(true),
            Content::File { name } => {
                if let Some(temporary) = new_name::find(disk, [dir, &self.inbox], name)? {
                    if temporary.parent() == path.parent() {
                        disk.rename(&temporary, &path)?;
                    } else if there && !rewrite {
                        unlinks.push(temporary);
                    } else {
                        new_name::give_again(disk, (temporary, dir), unlinks, |aside| {
                            Ok(disk.rename(aside, &path)?)
                        })?;
                    }
                    return Ok(true);
                }
                if there {
                    return Ok(true);
                }
                // It was expunged since, and its file removed; or given up when the journal failed.
                tracing::debug!(path = %path.display(), "message of the journal has no file any more");
                Ok(false)
            }
        }
    }

    fn copy(
        &self,
        disk: &Disk,
        from: MailboxId,
        to: MailboxId,
        pairs: &[(u32, Message)],
        rewrite: bool,
    ) -> Result<bool, StoreError> {
        let Some((to, _)) = self.mailboxes.get(&to.guid) else {
            return Ok(true);
        };
        let from = self.mailboxes.get(&from.guid).map(|(from, _)| from);
        let mut whole = true;
        for (here, there) in pairs {
            let (Some(here), Some(there)) = (Uid::new(*here), there.row()) else {
                continue;
            };
            let path = to.join(Sdbox::file_name(there.uid));
            let is_there = disk.kind(&path)?.is_some();
            if is_there && !rewrite {
                continue;
            }
            let temporary = Disk::temporary_path(to);
            let linked = match from {
                Some(from) => copy::link(disk, &from.join(Sdbox::file_name(here)), &temporary),
                None => Err(StoreError::Gone),
            };
            match linked {
                Ok(()) => disk.rename(&temporary, &path)?,
                // The checkpoint that took the original away has made the copy durable.
                Err(StoreError::Gone) => whole &= is_there,
                Err(error) => return Err(error),
            }
            // Two names of one file: then rename(2) does nothing, and the temporary one stays.
            disk.unlink_if_there(&temporary)?;
        }
        Ok(whole)
    }
}

/// Whether the message is at `path`. Another program's file there is not written over: it gets
/// another name.
fn keep_foreign(disk: &Disk, path: &Path, guid: Guid) -> Result<bool, StoreError> {
    if disk.kind(path)? != Some(EntryKind::File) {
        return Ok(false);
    }
    let read = MessageFile::open(disk, path).and_then(|file| file.metadata());
    let foreign = match read {
        Ok(metadata) => metadata.guid != Some(guid),
        // What the machine left of it.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => false,
        Err(error) => return Err(error.into()),
    };
    if foreign {
        let mut name = path.as_os_str().to_owned();
        name.push(".foreign");
        tracing::error!(path = %path.display(), kept = %name.display(), "a file that is not this server's has a message's place and is renamed");
        disk.rename(path, Path::new(&name))?;
    }
    Ok(!foreign)
}

/// Writes a message's file as it was.
fn write(
    disk: &Disk,
    dir: &Path,
    path: &Path,
    added: &Added,
    received: InternalDate,
    parts: &[&[u8]],
) -> Result<(), StoreError> {
    let plain: Vec<Source<'_>> = parts.iter().map(|part| Source::Memory(part)).collect();
    // One that looks compressed must be.
    let compressed = Compression::default().compress(&plain, disk, dir)?;
    let parts = compressed.as_ref().map(|compressed| [compressed.source()]);
    let message = NewMessage {
        parts: parts.as_ref().map_or(&plain[..], |parts| &parts[..]),
        metadata: Metadata {
            guid: Some(added.guid),
            delivery: Some(added.delivery),
            received: Some(received),
            virtual_size: added.message.row().map(|row| row.size),
            plain_size: compressed
                .is_some()
                .then(|| plain.iter().map(Source::size).sum()),
            ..Metadata::default()
        },
        created: added.noted_at,
    };
    let (temporary, _) = message.write(disk, dir)?;
    if let Err(error) = disk.rename(&temporary, path) {
        let _ = disk.unlink(&temporary);
        return Err(error.into());
    }
    Ok(())
}

/// The row of a mailbox of which nothing is known but who it is.
pub(crate) fn new_row(identity: &Identity) -> MailboxRow {
    MailboxRow {
        id: 0,
        guid: identity.guid,
        uid_validity: identity.uid_validity,
        uid_next: 1,
        highest_modseq: ModSeq::new(1),
        recent_from: 1,
        messages: 0,
        unseen: 0,
        deleted: 0,
        bytes: 0,
    }
}

/// Does a change to the spool again.
fn redo_spool(
    spool: &Spool,
    change: &SpoolRecord,
    bodies: &[&[u8]],
    rewrite: bool,
) -> Result<(), StoreError> {
    let done = match change {
        SpoolRecord::Add { entry, content } => {
            let entry: Entry = serde_json::from_slice(entry).map_err(io::Error::from)?;
            let id = &entry.queue_id;
            let there = spool.entry(id).is_ok();
            match content {
                Content::Inline { .. } if there && !rewrite => Ok(()),
                Content::Inline { body, .. } => {
                    let body = bodies.get(*body as usize).copied();
                    let mut body = body
                        .ok_or(io::ErrorKind::InvalidData)
                        .map_err(io::Error::from)?;
                    spool.stage(&entry, &mut body, false)?.install()
                }
                Content::File { .. } if there => Ok(()),
                Content::There => Ok(()),
                Content::File { name } => match spool.staged_as(id, name) {
                    Some(staged) => staged.install(),
                    None => Ok(()),
                },
            }
        }
        SpoolRecord::Update { id, change } => match QueueId::parse(id) {
            Some(id) => {
                let change: SpoolChange =
                    serde_json::from_slice(change).map_err(io::Error::from)?;
                spool.redo(Logged::Update(&id, &change))
            }
            None => Ok(()),
        },
        SpoolRecord::Remove { id } => match QueueId::parse(id) {
            Some(id) => spool.redo(Logged::Remove(&id)),
            None => Ok(()),
        },
    };
    match done {
        // It was removed since.
        Err(SpoolError::Gone) => Ok(()),
        Err(SpoolError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => Ok(result?),
    }
}
