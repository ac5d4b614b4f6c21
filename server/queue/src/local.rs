//! Recipients that are here: what could not be delivered at once, what a script redirects to, and
//! notices to our own users.

use std::{io::Read, sync::Arc};

use bytes::Bytes;
use facteur_address::Address;
use facteur_delivery::{Arrived, LocalRecipient, Outcome as Delivery, PutOff, SaveLog};
use facteur_directory::AccountRecord;
use facteur_spool::{Change, Entry, RecipientState, SpoolError, Status};
use facteur_store::{Batch, Body, Store, StoreError};
use tracing::warn;

use crate::{
    attempt::Context,
    outcome::{Outcome, status},
};

/// A recipient that is here.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    /// Which of the entry's recipients.
    pub(crate) n: usize,
    /// Whose mailbox.
    pub(crate) account: Arc<AccountRecord>,
    /// The `detail` of `user+detail`.
    pub(crate) detail: Option<String>,
}

/// Delivers to them. What was delivered is struck off in the same commit, so that a crash neither
/// loses nor doubles a copy, nor what a script sends because of it.
pub(crate) async fn deliver(
    context: &Arc<Context>,
    entry: &Arc<Entry>,
    locals: Vec<Local>,
) -> Vec<(usize, Outcome)> {
    let indexes: Vec<usize> = locals.iter().map(|local| local.n).collect();
    let work = {
        let (context, entry) = (Arc::clone(context), Arc::clone(entry));
        move || plan_and_commit(&context, &entry, &locals)
    };
    match context.bridge.run(work).await {
        Ok(outcomes) => outcomes,
        Err(why) => {
            warn!(queue_id = %entry.queue_id, error = %why, "local delivery put off");
            let delayed = || Outcome::delayed("4.3.0", "mail store is not available");
            indexes.into_iter().map(|n| (n, delayed())).collect()
        }
    }
}

/// Why nothing could be delivered.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn plan_and_commit(
    context: &Context,
    entry: &Entry,
    locals: &[Local],
) -> Result<Vec<(usize, Outcome)>, LocalError> {
    let arrived = Arrived {
        queue_id: entry.queue_id.clone(),
        reverse_path: Address::parse(&entry.reverse_path).ok(),
        origin: entry.origin.clone(),
        body_type: entry.body_type,
        prefix: Bytes::from(entry.prefix.clone()),
        body: staged(&context.store, &mut context.spool.body(&entry.queue_id)?)?,
        now: context.clock.now(),
    };
    let mut recipients = Vec::with_capacity(locals.len());
    for local in locals {
        let Some(recipient) = entry.recipients.get(local.n) else {
            continue;
        };
        let original = Address::parse(&recipient.original);
        recipients.push(LocalRecipient {
            account: Arc::clone(&local.account),
            original: original.unwrap_or_else(|_| local.account.address.clone()),
            detail: local.detail.clone(),
            delivery: recipient.delivery,
            repeated: true,
        });
    }
    let deliverer = context.deliverer.load();
    let mut put_off = PutOff::default();
    let deliveries = loop {
        let mut batch = Batch::default();
        let deliveries = deliverer.plan(&arrived, &recipients, &mut put_off, &mut batch);
        let change = states(&recipients, &deliveries);
        if change.is_empty() {
            break deliveries;
        }
        batch.updates.push((entry.queue_id.clone(), change));
        let saved = SaveLog::new(&arrived, &batch);
        match context.store.deliver(batch) {
            Ok(committed) => {
                saved.write(&committed);
                break deliveries;
            }
            // The others do not wait for an account whose files cannot be written.
            Err(failed) => put_off.note(&entry.queue_id, failed, &recipients, false)?,
        }
    };
    let outcomes = locals.iter().zip(deliveries);
    Ok(outcomes
        .map(|(local, delivery)| {
            (
                local.n,
                outcome(delivery, deliverer.quota_exceeded_message()),
            )
        })
        .collect())
}

/// What is known once the batch is committed. One who is refused is so for good: what the scripts
/// before the refusal have filed or sent is in the batch too, and is not to be done again.
fn states(recipients: &[LocalRecipient], deliveries: &[Delivery]) -> Change {
    let mut change = Change::default();
    for (recipient, delivery) in recipients.iter().zip(deliveries) {
        let state = match delivery {
            Delivery::Delivered => RecipientState::Done,
            Delivery::Rejected { .. } => RecipientState::Failed(refused()),
            Delivery::OverQuota { .. } | Delivery::Deferred { .. } => continue,
        };
        change.recipients.push((recipient.delivery, state));
    }
    change
}

fn refused() -> Status {
    status("5.7.1", "refused by the recipient's mail filter")
}

/// A body of the store's, from the spool.
pub(crate) fn staged(store: &Store, from: &mut dyn Read) -> Result<Body, StagingError> {
    let mut staging = store.stage();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(staging.finish()?);
        }
        staging.write(buffer.get(..count).unwrap_or_default())?;
    }
}

/// Why a body could not be staged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StagingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<StagingError> for LocalError {
    fn from(error: StagingError) -> Self {
        match error {
            StagingError::Store(error) => Self::Store(error),
            StagingError::Io(error) => Self::Io(error),
        }
    }
}

fn outcome(delivery: Delivery, full: &str) -> Outcome {
    match delivery {
        Delivery::Delivered => Outcome::Delivered(status("2.1.5", "delivered")),
        Delivery::Rejected { reason } => Outcome::Failed {
            status: refused(),
            reason: Some(reason),
        },
        Delivery::OverQuota { temporary: true } => Outcome::delayed("4.2.2", full),
        Delivery::OverQuota { temporary: false } => Outcome::failed("5.2.2", full),
        Delivery::Deferred { reason } => Outcome::delayed("4.3.0", reason),
    }
}
