//! `commit(Batch)`: all of it or nothing, durable when it returns, visible last.
//!
//! 1. A batch of more than one step is written into the spool as a transaction, durably: from here
//!    on it will be done, by this process or by the next one's [`crate::recovery`].
//! 2. Each message is written under a temporary name and synced, outside any lock.
//! 3. The accounts are locked, in the order of their names. Copies whose delivery GUID the index
//!    has are done already. The others get UIDs, their files their names, and the folders are
//!    synced; then the rows of the index are written.
//! 4. Spool entries follow, then the transaction ends, durably. Now sessions see the messages.
//!
//! One append alone needs no transaction: its file's name is the commit.

mod place;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};

use facteur_model::{AccountId, Guid, InternalDate, Uid, UidSet};
use facteur_sdbox::Layout;
use facteur_spool::{QueueId, SpoolError};

pub(crate) use self::place::next_uid;
use self::{
    place::Locked,
    write::{Written, write},
};
use crate::{
    Append, Appended, Batch, Committed, MessageState, StoreError,
    owner::{Owner, row_of},
    recovery,
    shared::Shared,
    view::Wakes,
};

/// Does a batch.
pub(crate) fn commit(shared: &Arc<Shared>, batch: &Batch) -> Result<Committed, StoreError> {
    let transaction = if is_one_step(batch) {
        None
    } else {
        Some(recovery::begin(shared, batch)?)
    };
    run(shared, batch, transaction.as_ref())
}

/// Whether the batch is done or not done by itself, whenever the process ends.
fn is_one_step(batch: &Batch) -> bool {
    let memory_elsewhere = batch.memory.iter().any(|entry| {
        batch
            .appends
            .iter()
            .any(|append| append.account.id != entry.account.id)
    });
    match (batch.appends.len(), batch.spool.len()) {
        (0, 0) => usize::from(!batch.memory.is_empty()) + batch.updates.len() <= 1,
        (0, 1) => batch.memory.is_empty() && batch.updates.is_empty(),
        // An update that is not reached leaves a recipient in the spool; delivering to it again
        // finds the delivery GUID and adds nothing.
        (1, 0) => !memory_elsewhere,
        _ => false,
    }
}

/// Does a batch whose transaction, if it needs one, has begun.
pub(crate) fn run(
    shared: &Arc<Shared>,
    batch: &Batch,
    transaction: Option<&QueueId>,
) -> Result<Committed, StoreError> {
    let result = apply(shared, batch, transaction);
    if let (Err(error), Some(id)) = (&result, transaction) {
        // What was done is undone; so is the promise.
        if let Err(second) = shared.spool.end(id) {
            tracing::error!(transaction = %id, %error, %second, "failed commit could not be withdrawn: it will be done at the next start");
        }
    }
    result
}

fn apply(
    shared: &Arc<Shared>,
    batch: &Batch,
    transaction: Option<&QueueId>,
) -> Result<Committed, StoreError> {
    let owners = owners(shared, batch)?;
    let written = write(shared, batch, &owners)?;
    let mut wakes = Wakes::default();
    let committed = {
        let mut work = Work::lock(shared, &owners)?;
        let steps = work.plan(batch, &written)?;
        if let Err(error) = work.perform(batch, written, &steps, transaction) {
            work.undo(batch, &steps);
            return Err(error);
        }
        work.publish(batch, &steps, &mut wakes);
        Committed {
            appended: steps.into_iter().map(Step::into_appended).collect(),
        }
    };
    drop(wakes);
    if !batch.spool.is_empty()
        && let Some(wake) = &*shared.on_spooled.load()
    {
        let entries: Vec<_> = batch.spool.iter().map(|(entry, _)| entry.clone()).collect();
        wake(&entries);
    }
    Ok(committed)
}

type Owners = BTreeMap<AccountId, Arc<Owner>>;

fn owners(shared: &Arc<Shared>, batch: &Batch) -> Result<Owners, StoreError> {
    let mut owners = Owners::new();
    let appends = batch.appends.iter().map(|append| &append.account);
    for spec in appends.chain(batch.memory.iter().map(|entry| &entry.account)) {
        if !owners.contains_key(&spec.id) {
            let owner = shared.owner(spec)?;
            drop(owner.lock_for_change(shared)?);
            owners.insert(spec.id.clone(), owner);
        }
    }
    Ok(owners)
}

/// What becomes of one append.
enum Step {
    /// It was delivered before.
    Known(Appended),
    /// It gets these numbers.
    New {
        mailbox: u32,
        state: MessageState,
        appended: Appended,
    },
}

impl Step {
    fn into_appended(self) -> Appended {
        match self {
            Self::Known(appended) | Self::New { appended, .. } => appended,
        }
    }
}

/// The accounts of a batch, locked.
struct Work<'a> {
    shared: &'a Shared,
    accounts: BTreeMap<&'a AccountId, Locked<'a>>,
    /// Files that got their names.
    named: BTreeSet<PathBuf>,
}

impl<'a> Work<'a> {
    fn lock(shared: &'a Shared, owners: &'a Owners) -> Result<Self, StoreError> {
        let mut accounts = BTreeMap::new();
        for (id, owner) in owners {
            let state = owner.lock_for_change(shared)?;
            let usage = state.usage(&owner.spec().quota);
            let locked = Locked {
                owner,
                state,
                rows: BTreeMap::new(),
                usage,
                permits: Vec::new(),
                sets: Vec::new(),
                keywords: BTreeMap::new(),
            };
            accounts.insert(id, locked);
        }
        Ok(Self {
            shared,
            accounts,
            named: BTreeSet::new(),
        })
    }

    /// Gives every append its place, and durably reserves the numbers. Nothing can be seen of it.
    fn plan(&mut self, batch: &'a Batch, written: &[Written]) -> Result<Vec<Step>, StoreError> {
        let mut steps = Vec::with_capacity(batch.appends.len());
        let mut planned: BTreeMap<(&AccountId, Guid), Appended> = BTreeMap::new();
        for (append, written) in batch.appends.iter().zip(written) {
            let account = self
                .accounts
                .get_mut(&append.account.id)
                .ok_or(StoreError::Gone)?;
            let known = match planned.get(&(&append.account.id, append.delivery)) {
                Some(twin) => Some(twin.clone()),
                None => account.delivered(self.shared, append)?,
            };
            let step = match known {
                Some(appended) => Step::Known(appended),
                None => account.place(self.shared, append, &written.scanned)?,
            };
            if let Step::New { appended, .. } = &step {
                planned.insert((&append.account.id, append.delivery), appended.clone());
            }
            steps.push(step);
        }
        for account in self.accounts.values_mut() {
            account.reserve(self.shared)?;
        }
        Ok(steps)
    }

    fn perform(
        &mut self,
        batch: &Batch,
        mut written: Vec<Written>,
        steps: &[Step],
        transaction: Option<&QueueId>,
    ) -> Result<(), StoreError> {
        self.name_files(batch, &mut written, steps)?;
        self.write_rows(batch, &written, steps)?;
        drop(written);
        let spool = &self.shared.spool;
        for (entry, body) in &batch.spool {
            spool.add(entry, &mut body.reader()?)?;
        }
        for (id, change) in &batch.updates {
            match spool.update(id, change) {
                Ok(()) | Err(SpoolError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(id) = transaction
            && let Err(error) = spool.end(id)
        {
            // What is struck off in the spool cannot be put back: from there it must go forward.
            if batch.updates.is_empty() {
                return Err(error.into());
            }
            tracing::error!(transaction = %id, %error, "commit is done but could not be ended: it will be done again at the next start");
        }
        Ok(())
    }

    /// Gives the files their names and makes these durable.
    fn name_files(
        &mut self,
        batch: &Batch,
        written: &mut [Written],
        steps: &[Step],
    ) -> Result<(), StoreError> {
        let mut dirs = BTreeSet::new();
        for ((append, written), step) in batch.appends.iter().zip(written).zip(steps) {
            let Step::New { state, .. } = step else {
                continue;
            };
            let dir = self.mails(append)?;
            let path = dir.join(Layout::file_name(state.uid));
            let temporary = written.path.as_ref().ok_or(StoreError::Gone)?;
            if let Err(error) = self.shared.disk.rename_new(temporary, &path) {
                let there = error.kind() == io::ErrorKind::AlreadyExists;
                let error = StoreError::from(error);
                if there && let Some(account) = self.accounts.get(&append.account.id) {
                    // A file that we did not make: the next owner takes it over.
                    account.owner.abandon(&error);
                }
                return Err(error);
            }
            written.path = None;
            self.named.insert(path);
            dirs.insert(dir);
        }
        for dir in dirs {
            self.shared.disk.sync_dir(&dir)?;
        }
        Ok(())
    }

    fn mails(&self, append: &Append) -> Result<PathBuf, StoreError> {
        let account = self.accounts.get(&append.account.id);
        let account = account.ok_or(StoreError::Gone)?;
        Ok(account.owner.layout.mails(&append.mailbox))
    }

    fn write_rows(
        &mut self,
        batch: &Batch,
        written: &[Written],
        steps: &[Step],
    ) -> Result<(), StoreError> {
        let now = InternalDate::from(SystemTime::now()).unix();
        for (id, account) in &mut self.accounts {
            let appends = batch.appends.iter().zip(written).zip(steps);
            let appends = appends.filter(|((append, _), _)| append.account.id == **id);
            let memory = batch.memory.iter().filter(|entry| entry.account.id == **id);
            let (owner, rows, sets) = (account.owner, &account.rows, &account.sets);
            owner.change(self.shared, &mut account.state, |transaction| {
                for (mailbox, set, keywords) in sets {
                    transaction.add_keyword_set(*mailbox, set.0, keywords)?;
                }
                for ((append, written), step) in appends {
                    let Step::New { mailbox, state, .. } = step else {
                        continue;
                    };
                    transaction.add_message(*mailbox, &row_of(state), &written.details())?;
                    transaction.add_delivery(append.delivery, *mailbox, state.uid, now)?;
                }
                for row in rows.values() {
                    transaction.set_mailbox(row)?;
                }
                for entry in memory {
                    transaction.remember(&entry.key, entry.expires_at, now)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Takes back what a failed commit did. Where that fails too, the next start finds it.
    fn undo(&mut self, batch: &Batch, steps: &[Step]) {
        for (entry, _) in &batch.spool {
            if let Err(error) = self.shared.spool.remove(&entry.queue_id) {
                tracing::error!(queue_id = %entry.queue_id, %error, "entry of a failed commit could not be taken back");
            }
        }
        for (append, step) in batch.appends.iter().zip(steps) {
            let Step::New { mailbox, state, .. } = step else {
                continue;
            };
            let undone = self
                .mails(append)
                .and_then(|dir| {
                    let path = dir.join(Layout::file_name(state.uid));
                    if self.named.remove(&path) {
                        self.shared.disk.unlink_if_there(&path)?;
                        self.shared.disk.sync_dir(&dir)?;
                    }
                    Ok(())
                })
                .and_then(|()| self.forget(append, *mailbox, state.uid));
            if let (Err(error), Some(account)) = (undone, self.accounts.get(&append.account.id)) {
                account.owner.abandon(&error);
            }
        }
    }

    fn forget(&mut self, append: &Append, mailbox: u32, uid: Uid) -> Result<(), StoreError> {
        let Some(account) = self.accounts.get_mut(&append.account.id) else {
            return Ok(());
        };
        // Its UID is not given again; all else is as before.
        let folder = account.state.folder_mut(&append.mailbox)?;
        folder.row.uid_next = folder.row.uid_next.max(u64::from(uid.value()) + 1);
        let row = folder.row;
        account
            .owner
            .change(self.shared, &mut account.state, |transaction| {
                transaction.forget(mailbox, &UidSet::from_iter([uid]))?;
                transaction.remove_delivery(append.delivery)?;
                transaction.set_mailbox(&row)
            })
    }

    /// Shows the messages to the sessions.
    fn publish(&mut self, batch: &Batch, steps: &[Step], wakes: &mut Wakes) {
        for (id, account) in &mut self.accounts {
            for (name, row) in &account.rows {
                let Ok(folder) = account.state.folder_mut(name) else {
                    continue;
                };
                folder.row = *row;
                let keywords = account.keywords.get(name).cloned();
                if keywords.is_some() {
                    folder.keywords.clone_from(&keywords);
                }
                let Some(view) = folder.core.view() else {
                    continue;
                };
                let added: Vec<MessageState> = batch
                    .appends
                    .iter()
                    .zip(steps)
                    .filter(|(append, _)| append.account.id == **id && append.mailbox == *name)
                    .filter_map(|(_, step)| match step {
                        Step::New { state, .. } => Some(*state),
                        Step::Known(_) => None,
                    })
                    .collect();
                let next = view.snapshot().with_added(&added);
                view.publish(next.at(keywords, row.uid_next, row.highest_modseq), wakes);
            }
            self.shared.tell_usage(account.owner, &mut account.state);
        }
    }
}

/// Does the batch of a transaction that an earlier process began.
pub(crate) fn again(
    shared: &Arc<Shared>,
    batch: &Batch,
    transaction: &QueueId,
) -> Result<(), StoreError> {
    apply(shared, batch, Some(transaction)).map(|_| ())
}
