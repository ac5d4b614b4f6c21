//! Transactions: what is promised before it is done, and done at the next start if need be.

use std::{io, io::Read, path::PathBuf, sync::Arc, time::SystemTime};

use bytes::Bytes;
use facteur_model::{
    AccountId, AccountSpec, Flags, Guid, InternalDate, Keyword, MailboxName, QuotaLimits, Uid,
};
use facteur_sdbox::{Identity, Layout};
use facteur_spool::{Change, Entry, QueueId, Transaction};
use serde::{Deserialize, Serialize};

use crate::{
    Append, Batch, Body, MemoryEntry, QuotaCheck, Staging, StoreError, commit, shared::Shared,
};

/// What a transaction does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Promise {
    /// A batch: it is done.
    Commit(Batched),
    /// Copies that were being linked into a mailbox: they are taken back.
    Copy(Copying),
    /// Messages that were being moved: they are moved.
    Move(Moving),
}

/// A batch; its bodies are named by their number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batched {
    appends: Vec<Appending>,
    memory: Vec<Remembering>,
    spool: Vec<(Entry, usize)>,
    updates: Vec<(QueueId, Change)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Appending {
    account: String,
    home: PathBuf,
    mailbox: String,
    prefix: String,
    body: usize,
    flags: u8,
    keywords: Vec<String>,
    internal_date: i64,
    delivery: Guid,
}

#[derive(Debug, Serialize, Deserialize)]
struct Remembering {
    account: String,
    home: PathBuf,
    key: String,
    expires_at: i64,
}

/// Copies into a mailbox, by their UIDs there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Copying {
    pub(crate) home: PathBuf,
    pub(crate) mailbox: String,
    pub(crate) guid: Guid,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// Moves from one mailbox of an account to another: UIDs there and here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moving {
    pub(crate) home: PathBuf,
    pub(crate) from: String,
    pub(crate) from_guid: Guid,
    pub(crate) to: String,
    pub(crate) to_guid: Guid,
    pub(crate) pairs: Vec<(u32, u32)>,
}

/// Makes a batch a transaction, durably.
pub(crate) fn begin(shared: &Shared, batch: &Batch) -> Result<QueueId, StoreError> {
    let mut bodies: Vec<&Body> = Vec::new();
    let mut number = |body| number_of(&mut bodies, body);
    let promise = Promise::Commit(Batched {
        appends: batch
            .appends
            .iter()
            .map(|append| Appending {
                account: append.account.id.as_str().to_owned(),
                home: append.account.home.clone(),
                mailbox: append.mailbox.as_str().to_owned(),
                prefix: hex::encode(&append.prefix),
                body: number(&append.body),
                flags: append.flags.bits(),
                keywords: append
                    .keywords
                    .iter()
                    .map(|k| k.as_str().to_owned())
                    .collect(),
                internal_date: append.internal_date.unix(),
                delivery: append.delivery,
            })
            .collect(),
        memory: batch
            .memory
            .iter()
            .map(|entry| Remembering {
                account: entry.account.id.as_str().to_owned(),
                home: entry.account.home.clone(),
                key: hex::encode(entry.key),
                expires_at: entry.expires_at,
            })
            .collect(),
        spool: batch
            .spool
            .iter()
            .map(|(entry, body)| (entry.clone(), number(body)))
            .collect(),
        updates: batch.updates.clone(),
    });
    let mut readers = Vec::with_capacity(bodies.len());
    for body in bodies {
        readers.push((body.reader()?, body.len()));
    }
    promise.make(shared, &mut readers)
}

/// The number of a body; the same body is kept once.
fn number_of<'a>(bodies: &mut Vec<&'a Body>, body: &'a Body) -> usize {
    match bodies.iter().position(|known| known.is_same(body)) {
        Some(number) => number,
        None => {
            bodies.push(body);
            bodies.len() - 1
        }
    }
}

impl Promise {
    /// Makes it durable.
    pub(crate) fn make(
        &self,
        shared: &Shared,
        bodies: &mut [(Box<dyn Read + Send>, u64)],
    ) -> Result<QueueId, StoreError> {
        let id = QueueId::generate(SystemTime::now())?;
        let payload = serde_json::to_vec(self).map_err(io::Error::from)?;
        let mut bodies: Vec<(&mut dyn Read, u64)> = bodies
            .iter_mut()
            .map(|(reader, size)| (&mut **reader as &mut dyn Read, *size))
            .collect();
        shared.spool.begin(&id, &payload, &mut bodies)?;
        Ok(id)
    }
}

/// Ends every transaction that an earlier process left.
pub(crate) fn run(shared: &Arc<Shared>) -> Result<(), StoreError> {
    for transaction in shared.spool.transactions() {
        let id = &transaction.id;
        let promise = match serde_json::from_slice(&transaction.payload) {
            Ok(promise) => promise,
            Err(error) => {
                tracing::error!(transaction = %id, %error, "transaction of an earlier run cannot be read and is left alone");
                continue;
            }
        };
        tracing::info!(transaction = %id, "finishing what an earlier run left half done");
        let done = match promise {
            // One that fails is undone and stays for the next start: no 250 was given for it.
            Promise::Commit(batched) => redo(shared, &transaction, batched),
            Promise::Copy(copying) => and_end(shared, id, take_back(shared, &copying)),
            Promise::Move(moving) => and_end(shared, id, finish_move(shared, &moving)),
        };
        // One account that cannot be used does not keep the others waiting.
        if let Err(error) = done {
            tracing::error!(transaction = %id, %error, "what an earlier run left half done could not be finished");
        }
    }
    Ok(())
}

/// Ends a transaction whether it could be finished or not: from now on sessions see what there is,
/// and it must not change under them at a later start.
fn and_end(shared: &Shared, id: &QueueId, done: Result<(), StoreError>) -> Result<(), StoreError> {
    shared.spool.end(id)?;
    done
}

/// Does a batch again: what is done already is recognised by its delivery GUID.
fn redo(
    shared: &Arc<Shared>,
    transaction: &Transaction,
    batched: Batched,
) -> Result<(), StoreError> {
    let mut bodies = Vec::with_capacity(transaction.bodies);
    for number in 0..transaction.bodies {
        bodies.push(stage_again(shared, &transaction.id, number)?);
    }
    let Some(batch) = batched.into_batch(&bodies) else {
        tracing::error!(transaction = %transaction.id, "transaction of an earlier run makes no sense and is left alone");
        return Ok(());
    };
    commit::again(shared, &batch, &transaction.id)
}

fn stage_again(shared: &Shared, id: &QueueId, number: usize) -> Result<Body, StoreError> {
    let limit = shared.options.staging_memory;
    let mut staging = Staging::new(&shared.disk, &shared.staging, limit);
    let mut reader = shared.spool.transaction_body(id, number)?;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = reader.read(&mut chunk)?;
        if read == 0 {
            return staging.finish();
        }
        staging.write(chunk.get(..read).unwrap_or_default())?;
    }
}

impl Batched {
    /// The batch again. Whatever was accepted is delivered now: into a mailbox that is made if it
    /// is gone, and without asking for the quota.
    fn into_batch(self, bodies: &[Body]) -> Option<Batch> {
        let spec = |account: &str, home: PathBuf| AccountSpec {
            id: AccountId::new(account),
            home,
            quota: QuotaLimits::default(),
        };
        let mut batch = Batch {
            updates: self.updates,
            ..Batch::default()
        };
        for (entry, body) in self.spool {
            batch.spool.push((entry, bodies.get(body)?.clone()));
        }
        for entry in self.memory {
            let mut key = [0; 32];
            hex::decode_to_slice(&entry.key, &mut key).ok()?;
            batch.memory.push(MemoryEntry {
                account: spec(&entry.account, entry.home),
                key,
                expires_at: entry.expires_at,
            });
        }
        for append in self.appends {
            batch.appends.push(Append {
                account: spec(&append.account, append.home),
                mailbox: MailboxName::parse(&append.mailbox).ok()?,
                create: true,
                prefix: Bytes::from(hex::decode(&append.prefix).ok()?),
                body: bodies.get(append.body)?.clone(),
                flags: Flags::from_bits(append.flags),
                keywords: append
                    .keywords
                    .iter()
                    .filter_map(|k| Keyword::parse(k))
                    .collect(),
                internal_date: InternalDate::from_unix(append.internal_date),
                delivery: append.delivery,
                quota: QuotaCheck::Ignore,
            });
        }
        Some(batch)
    }
}

/// Where a mailbox's messages lie, if it still is the one that was meant.
fn mails(
    shared: &Shared,
    layout: &Layout,
    mailbox: &str,
    guid: Guid,
) -> Result<Option<PathBuf>, StoreError> {
    let Ok(name) = MailboxName::parse(mailbox) else {
        return Ok(None);
    };
    let identity = Identity::read(&shared.disk, layout, &name)?;
    Ok(identity
        .filter(|identity| identity.guid == guid)
        .map(|_| layout.mails(&name)))
}

fn take_back(shared: &Shared, copying: &Copying) -> Result<(), StoreError> {
    let layout = Layout::new(&copying.home);
    let Some(dir) = mails(shared, &layout, &copying.mailbox, copying.guid)? else {
        return Ok(());
    };
    for uid in (copying.first..=copying.last).filter_map(Uid::new) {
        shared
            .disk
            .unlink_if_there(&dir.join(Layout::file_name(uid)))?;
    }
    Ok(shared.disk.sync_dir(&dir)?)
}

fn finish_move(shared: &Shared, moving: &Moving) -> Result<(), StoreError> {
    let layout = Layout::new(&moving.home);
    let from = mails(shared, &layout, &moving.from, moving.from_guid)?;
    let to = mails(shared, &layout, &moving.to, moving.to_guid)?;
    let (Some(from), Some(to)) = (from, to) else {
        return Ok(());
    };
    for (old, new) in &moving.pairs {
        let (Some(old), Some(new)) = (Uid::new(*old), Uid::new(*new)) else {
            continue;
        };
        let old = from.join(Layout::file_name(old));
        let new = to.join(Layout::file_name(new));
        match shared.disk.rename_new(&old, &new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if shared.disk.identity(&old)? == shared.disk.identity(&new)? {
                    shared.disk.unlink_if_there(&old)?;
                }
            }
            result => result?,
        }
    }
    shared.disk.sync_dir(&to)?;
    Ok(shared.disk.sync_dir(&from)?)
}
