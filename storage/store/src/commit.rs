//! `commit(Batch)`: all of it or nothing, durable when it returns, visible last.
//!
//! 1. Each message is written under a temporary name, outside any lock; one that is too large for
//!    the journal is synced. Where a folder is renamed or removed meanwhile, this is done again.
//! 2. The accounts are locked, in the order of their names. Copies that were delivered before are
//!    done already; the others get UIDs. The whole batch is one record of the journal.
//! 3. The locks are given up, and the record's sync waited for together with others.
//! 4. The files get their names, the spool its entries, and sessions see the messages; rows of the
//!    index follow later. Where that fails or the process ends, the record is done again.

mod failed;
mod place;
mod write;

use std::{collections::BTreeMap, io, sync::Arc, time::SystemTime};

use facteur_journal::Ticket;
use facteur_model::{AccountId, Guid, InternalDate, MailboxName};
use facteur_spool::{Logged, SpoolError, Staged};

use self::failed::Failed;
pub use self::failed::NotCommitted;
pub(crate) use self::place::next_uid;
use self::{
    place::Locked,
    write::{Bodies, Written, all_there, write},
};
use crate::{
    Append, Appended, Batch, Committed, MessageState, StoreError, checkpoint,
    new_name::NewName,
    owner::{Owner, row_of},
    pending::{Pending, Show},
    record::{AccountRecord, Added, Change, Content, MailboxId, Record, SpoolRecord},
    shared::Shared,
    usage::Permit,
    view::Wakes,
};

/// Does a batch.
pub(crate) fn commit(shared: &Arc<Shared>, batch: &Batch) -> Result<Committed, NotCommitted> {
    match attempt(shared, batch) {
        Err(NotCommitted {
            cause: StoreError::NoSpace,
            ..
        }) if checkpoint::make_room(shared) => attempt(shared, batch),
        result => result,
    }
}

fn attempt(shared: &Arc<Shared>, batch: &Batch) -> Result<Committed, NotCommitted> {
    let owners = owners(shared, batch)?;
    let mut bodies = Bodies::default();
    let (staged, spooled) = stage(shared, batch, &mut bodies)?;
    let (entered, (steps, ticket, permits)) = loop {
        let then = shared.log.folders_now();
        let mut written = match write(shared, batch, &owners, &mut bodies) {
            Err(failed) if failed.cause.is_not_found() && shared.log.folders_may_differ(then) => {
                drop(shared.log.folders_stay());
                continue;
            }
            written => written?,
        };
        let entered = shared.log.enter()?;
        let mut work = Work::lock(shared, &owners)?;
        if shared.log.folders_may_differ(then) && !all_there(shared, &written)? {
            continue;
        }
        let steps = work.plan(batch, &written)?;
        let ticket = work.record(batch, &mut written, &steps, spooled, &bodies)?;
        break (entered, (steps, ticket, work.permits()));
    };
    let mut wakes = Wakes::default();
    let waited = shared.log.wait(ticket);
    for owner in owners.values() {
        if let Ok(mut state) = owner.lock() {
            owner.show(shared, &mut state, &mut wakes);
        }
    }
    // It is told, or has failed.
    drop(permits);
    waited?;
    finish_spool(shared, batch, staged);
    drop(entered);
    drop(wakes);
    if !batch.spool.is_empty()
        && let Some(wake) = &*shared.on_spooled.load()
    {
        let entries: Vec<_> = batch.spool.iter().map(|(entry, _)| entry.clone()).collect();
        wake(&entries);
    }
    Ok(Committed {
        appended: steps.into_iter().map(Step::into_appended).collect(),
    })
}

type Owners = BTreeMap<AccountId, Arc<Owner>>;

fn owners(shared: &Arc<Shared>, batch: &Batch) -> Result<Owners, NotCommitted> {
    let mut owners = Owners::new();
    let mut failed = Failed::default();
    let appends = batch.appends.iter().map(|append| &append.account);
    for spec in appends.chain(batch.memory.iter().map(|entry| &entry.account)) {
        if owners.contains_key(&spec.id) || failed.has(&spec.id) {
            continue;
        }
        let owner = shared.owner(spec).and_then(|owner| {
            owner.write_overdue(shared)?;
            Ok(owner)
        });
        match owner {
            Ok(owner) => drop(owners.insert(spec.id.clone(), owner)),
            Err(cause) => failed.note(&spec.id, cause),
        }
    }
    failed.or(owners)
}

/// Entries for the spool, under temporary names, and what the journal keeps of them.
fn stage<'a>(
    shared: &Shared,
    batch: &'a Batch,
    bodies: &mut Bodies<'a>,
) -> Result<(Vec<Staged>, Vec<SpoolRecord>), StoreError> {
    let mut all = Vec::with_capacity(batch.spool.len());
    let mut records = Vec::with_capacity(batch.spool.len());
    for (entry, body) in &batch.spool {
        let content = bodies.inline(body, &[]);
        let synced = content.is_none();
        let staged = shared.spool.stage(entry, &mut body.reader()?, synced)?;
        let content = content.unwrap_or_else(|| Content::File {
            name: staged.name().to_owned(),
        });
        let entry = serde_json::to_vec(entry).map_err(io::Error::from)?;
        all.push(staged);
        records.push(SpoolRecord::Add { entry, content });
    }
    Ok((all, records))
}

/// Does to the spool what is durable. What fails here is done at the next start.
fn finish_spool(shared: &Shared, batch: &Batch, staged: Vec<Staged>) {
    for (staged, (entry, _)) in staged.into_iter().zip(&batch.spool) {
        if let Err(error) = staged.install() {
            tracing::error!(queue_id = %entry.queue_id, %error, "accepted message cannot be put into the spool; it will be at the next start");
            shared.log.spool_unsettled();
        }
    }
    for (id, change) in &batch.updates {
        match shared.spool.redo(Logged::Update(id, change)) {
            Ok(()) | Err(SpoolError::Gone) => {}
            Err(error) => {
                tracing::error!(queue_id = %id, %error, "change to a waiting message cannot be noted; it will be at the next start");
                shared.log.spool_unsettled();
            }
        }
    }
}

/// What becomes of one append.
enum Step {
    /// It was delivered before.
    Known(Appended),
    /// It gets these numbers.
    New {
        mailbox: MailboxId,
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
}

impl<'a> Work<'a> {
    fn lock(shared: &'a Shared, owners: &'a Owners) -> Result<Self, NotCommitted> {
        let mut accounts = BTreeMap::new();
        for (id, owner) in owners {
            let state = owner.lock().map_err(NotCommitted::of(id))?;
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
        Ok(Self { shared, accounts })
    }

    /// What was admitted, to be kept until it was told.
    fn permits(self) -> Vec<Permit> {
        let accounts = self.accounts.into_values();
        accounts.flat_map(|account| account.permits).collect()
    }

    /// Gives every append its place, and durably reserves the numbers. Nothing can be seen of it.
    fn plan(&mut self, batch: &'a Batch, written: &[Written]) -> Result<Vec<Step>, NotCommitted> {
        let mut steps = Vec::with_capacity(batch.appends.len());
        let mut planned: BTreeMap<(&AccountId, Guid), Appended> = BTreeMap::new();
        for (append, written) in batch.appends.iter().zip(written) {
            let id = &append.account.id;
            let account = self.accounts.get_mut(id).ok_or(StoreError::Gone)?;
            let known = match planned.get(&(id, append.delivery)) {
                Some(twin) => Some(twin.clone()),
                None if append.repeated => account
                    .delivered(self.shared, append)
                    .map_err(NotCommitted::of(id))?,
                None => None,
            };
            let step = match known {
                Some(appended) => Step::Known(appended),
                None => account
                    .place(self.shared, append, written)
                    .map_err(NotCommitted::of(id))?,
            };
            if let Step::New { appended, .. } = &step {
                planned.insert((id, append.delivery), appended.clone());
            }
            steps.push(step);
        }
        for (id, account) in &mut self.accounts {
            account.reserve(self.shared).map_err(NotCommitted::of(id))?;
        }
        Ok(steps)
    }

    /// Puts the batch into the journal, and what is to be done once it is durable among what the
    /// accounts wait for.
    fn record(
        &mut self,
        batch: &Batch,
        written: &mut [Written],
        steps: &[Step],
        spooled: Vec<SpoolRecord>,
        bodies: &Bodies<'_>,
    ) -> Result<Ticket, StoreError> {
        let mut record = Record {
            bodies: bodies.lengths(),
            spool: spooled,
            ..Record::default()
        };
        let mut changes = self.changes(batch, written, steps);
        for (id, account) in &self.accounts {
            record.accounts.push(AccountRecord {
                account: id.as_str().to_owned(),
                home: account.owner.layout.home().to_owned(),
                format: account.owner.layout.format(),
                changes: changes.remove(id).unwrap_or_default(),
            });
        }
        for (id, change) in &batch.updates {
            record.spool.push(SpoolRecord::Update {
                id: id.as_str().to_owned(),
                change: serde_json::to_vec(change).map_err(io::Error::from)?,
            });
        }
        let ticket = self.shared.log.append(&record, &bodies.bytes)?;
        self.wait_for(batch, written, steps, record, ticket)?;
        Ok(ticket)
    }

    /// What each account's index is to know, in one look at the batch: it may have many of both.
    fn changes<'b>(
        &self,
        batch: &'b Batch,
        written: &mut [Written],
        steps: &[Step],
    ) -> BTreeMap<&'b AccountId, Vec<Change>>
    where
        'a: 'b,
    {
        let now = InternalDate::from(SystemTime::now()).unix();
        let accounts = self.accounts.iter();
        let mut changes: BTreeMap<&AccountId, Vec<Change>> = accounts
            .map(|(id, account)| (*id, account.keyword_changes()))
            .collect();
        for ((append, written), step) in batch.appends.iter().zip(written).zip(steps) {
            if let Step::New { mailbox, state, .. } = step {
                let added = written.added(append, *mailbox, state, now);
                let changes = changes.entry(&append.account.id).or_default();
                changes.push(Change::Add(Box::new(added)));
            }
        }
        for (id, account) in &self.accounts {
            let changes = changes.entry(id).or_default();
            changes.extend(account.rows.values().map(Change::numbers));
        }
        for entry in &batch.memory {
            let changes = changes.entry(&entry.account.id).or_default();
            changes.push(Change::Remember {
                key: entry.key,
                expires_at: entry.expires_at,
            });
        }
        changes
    }

    /// From here on the batch is done or fails with its record.
    fn wait_for(
        &mut self,
        batch: &Batch,
        written: &mut [Written],
        steps: &[Step],
        record: Record,
        ticket: Ticket,
    ) -> Result<(), StoreError> {
        let mut shows = self.shows()?;
        let mut files: BTreeMap<&AccountId, Vec<NewName>> = BTreeMap::new();
        for ((append, written), step) in batch.appends.iter().zip(written).zip(steps) {
            let Step::New { state, .. } = step else {
                continue;
            };
            let id = &append.account.id;
            let (Some(account), Some(shows)) = (self.accounts.get(id), shows.get_mut(id)) else {
                continue;
            };
            let Some(show) = shows.get_mut(&append.mailbox) else {
                continue;
            };
            show.added.push(*state);
            if let Some(temporary) = written.path.take() {
                let path = account.owner.name_new(
                    self.shared,
                    (&show.core, &mut show.named),
                    state,
                    (&written.base, None),
                    &append.keywords,
                );
                files.entry(id).or_default().push(match written.is_large {
                    false => NewName::new(temporary, path),
                    true => {
                        let tmp = account.owner.layout.tmp(&append.mailbox);
                        NewName::of_large(temporary, path, tmp)
                    }
                });
            }
        }
        for ((id, account), record) in self.accounts.iter_mut().zip(record.accounts) {
            account.state.pending.push_back(Pending {
                ticket,
                files: files.remove(id).unwrap_or_default(),
                unlinks: Vec::new(),
                shows: shows
                    .remove(*id)
                    .unwrap_or_default()
                    .into_values()
                    .collect(),
                rows: record.changes,
            });
        }
        Ok(())
    }

    /// What becomes of each mailbox that gets something; its numbers are taken.
    fn shows(&mut self) -> Result<Shows<'a>, StoreError> {
        let mut all = Shows::new();
        for (id, account) in &mut self.accounts {
            let mut shows = BTreeMap::new();
            for (name, row) in &account.rows {
                let keywords = account.keywords.get(name).cloned();
                let folder = account.state.folder_mut(name)?;
                folder.row = *row;
                if keywords.is_some() {
                    folder.keywords.clone_from(&keywords);
                }
                let show = Show {
                    keywords,
                    ..Show::new(&folder.core, *row)
                };
                shows.insert(name.clone(), show);
            }
            all.insert(id, shows);
        }
        Ok(all)
    }
}

/// What becomes of mailboxes, by account.
type Shows<'a> = BTreeMap<&'a AccountId, BTreeMap<MailboxName, Show>>;

impl Written {
    /// What the journal and the index keep of a message.
    fn added(
        &mut self,
        append: &Append,
        mailbox: MailboxId,
        state: &MessageState,
        now: i64,
    ) -> Added {
        Added {
            mailbox,
            message: row_of(state).into(),
            guid: self.guid,
            delivery: append.delivery,
            noted_at: now,
            content: std::mem::take(&mut self.content),
            base: self.base.clone().into_bytes(),
            envelope: std::mem::take(&mut self.scanned.envelope),
            body_structure: std::mem::take(&mut self.scanned.body_structure),
            body: std::mem::take(&mut self.scanned.body),
        }
    }
}
