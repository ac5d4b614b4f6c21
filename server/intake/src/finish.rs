//! End of data: everything the message causes goes into one commit, and then the 250.

use std::time::SystemTime;

use bytes::Bytes;
use facteur_delivery::{Arrived, LocalRecipient, Outcome, PutOff, SaveLog};
use facteur_model::{Guid, InternalDate};
use facteur_runtime::Protocol;
use facteur_smtp::{EnhancedStatus, Reply};
use facteur_spool::{Destination, Entry, Origin, Recipient, RecipientState, Status};
use facteur_store::{Batch, NotCommitted, StoreError};

use crate::{
    Client, Intake, Transaction, received, reply_for,
    transaction::{Accepted, LocalTarget, RemoteTarget},
};

/// What to say at the end of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// SMTP's one reply.
    pub reply: Reply,
    /// LMTP's, one for each accepted RCPT, in order.
    pub each: Vec<Reply>,
}

/// A message is planned at most so often: each time others have taken the room meanwhile.
const MAX_PLANS: usize = 8;

/// What the blocking part works on.
struct Arrival {
    client: Client,
    transaction: Transaction,
    now: SystemTime,
}

impl Intake {
    /// Delivers to accounts here, spools what is for elsewhere or later, and returns when that is
    /// durable. Goes on to its end even if the caller stops waiting.
    pub async fn finish(
        &self,
        client: &Client,
        transaction: Transaction,
        now: SystemTime,
    ) -> Finished {
        let arrival = Arrival {
            client: client.clone(),
            transaction,
            now,
        };
        let intake = self.clone();
        self.parts.bridge.run(move || intake.commit(arrival)).await
    }

    fn commit(&self, mut arrival: Arrival) -> Finished {
        let recipients = arrival.transaction.recipients.len();
        let all = |reply: Reply| Finished {
            each: vec![reply.clone(); recipients],
            reply,
        };
        match self.try_commit(&mut arrival) {
            Ok(finished) => finished,
            Err(reply) => {
                let Arrival {
                    client,
                    transaction,
                    ..
                } = &arrival;
                self.refused(client, transaction, &reply);
                all(reply)
            }
        }
    }

    fn try_commit(&self, arrival: &mut Arrival) -> Result<Finished, Reply> {
        let store_failed = |error: StoreError| reply_for::store(&error);
        let content = arrival.transaction.content.take();
        let content = content.ok_or_else(reply_for::temporary)?;
        let (facts, body) = content.finish().map_err(store_failed)?;
        if facts.received > self.options.hopcount_limit {
            let status = EnhancedStatus::new(5, 4, 6);
            return Err(Reply::new(
                554,
                status,
                "Too many hops: the message goes round in circles",
            ));
        }
        let arrived = self.arrived(arrival, &facts, body);
        let transaction = &arrival.transaction;
        let local = local_recipients(&transaction.local)?;
        let remote = remote_recipients(&transaction.remote)?;
        let mut plans = 0;
        let mut put_off = PutOff::default();
        loop {
            let to = (&*local, &mut put_off);
            let settled = self.settle(arrival, (&arrived, &facts), to, &remote);
            let failed = match settled {
                Ok(finished) => return Ok(finished),
                Err(failed) => failed,
            };
            // What others have stored since it was planned has taken the room.
            if matches!(failed.cause, StoreError::OverQuota) && plans < MAX_PLANS {
                plans += 1;
                continue;
            }
            // The others do not wait for an account whose files cannot be written.
            put_off
                .note(&arrived.queue_id, failed, &local, !remote.is_empty())
                .map_err(store_failed)?;
        }
    }

    /// Plans, and commits.
    fn settle(
        &self,
        arrival: &Arrival,
        (arrived, facts): (&Arrived, &crate::header::Facts),
        (local, put_off): (&[LocalRecipient], &mut PutOff),
        remote: &[Recipient],
    ) -> Result<Finished, NotCommitted> {
        let transaction = &arrival.transaction;
        let mut batch = Batch::default();
        let mut outcomes = Vec::new();
        if !local.is_empty() {
            let deliverer = &self.parts.deliverer;
            outcomes = deliverer.plan(arrived, local, put_off, &mut batch);
        }
        let full = self.parts.deliverer.quota_exceeded_message();
        let refusals: Vec<Option<Reply>> = transaction
            .recipients
            .iter()
            .map(|recipient| refusal(recipient, &outcomes, full))
            .collect();
        if refusals.iter().all(Option::is_some) {
            log_outcomes(transaction, &outcomes);
            let finished = refused_by_all(refusals.into_iter().flatten().collect());
            self.refused(&arrival.client, transaction, &finished.reply);
            return Ok(finished);
        }
        let told = self.told(arrival, &refusals);
        let fates = fates(local, &outcomes, &told);
        let mut spooled = fates.deferred;
        spooled.extend_from_slice(remote);
        if !spooled.is_empty() {
            let entry = entry(arrival, arrived, spooled);
            batch.spool.push((entry, arrived.body.clone()));
        }
        if !fates.bounced.is_empty() {
            self.add_notice(arrived, &fates.bounced, arrival.now, &mut batch)?;
        }
        let saved = SaveLog::new(arrived, &batch);
        let committed = self.parts.store.deliver(batch)?;
        saved.write(&committed);
        let size = arrived.body.len();
        let queue_id = &transaction.queue_id;
        let message_id =
            received::logged_message_id(&self.options, &arrival.client, queue_id, facts);
        log_accepted(arrival, &message_id, size);
        log_outcomes(transaction, &outcomes);
        let text = format!("Ok: queued as {}", transaction.queue_id);
        let accepted = Reply::new(250, EnhancedStatus::new(2, 0, 0), text);
        Ok(Finished {
            each: refusals
                .into_iter()
                .map(|refusal| refusal.unwrap_or_else(|| accepted.clone()))
                .collect(),
            reply: accepted,
        })
    }

    fn arrived(
        &self,
        arrival: &Arrival,
        facts: &crate::header::Facts,
        body: facteur_store::Body,
    ) -> Arrived {
        let Arrival {
            client,
            transaction,
            now,
        } = arrival;
        let now = InternalDate::from(*now).unix();
        let only_recipient = match transaction.recipients.as_slice() {
            [one] => Some(one.original.to_string()),
            _ => None,
        };
        let prefix = received::prefix(
            &self.options,
            client,
            &transaction.queue_id,
            only_recipient.as_deref(),
            facts,
            now,
        );
        Arrived {
            queue_id: transaction.queue_id.clone(),
            reverse_path: transaction.reverse_path.clone(),
            origin: Origin {
                client: client.name(),
                helo: client.helo.clone(),
                authenticated: client
                    .account
                    .as_ref()
                    .map(|account| account.address.to_string()),
            },
            body_type: transaction.body_type,
            prefix: Bytes::from(prefix),
            body,
            now,
        }
    }

    /// Which local targets the client learns of by its replies: only LMTP has one for each
    /// recipient, and only if every recipient that leads there is refused.
    fn told(&self, arrival: &Arrival, refusals: &[Option<Reply>]) -> Vec<bool> {
        let lmtp = arrival.client.listener.protocol == Protocol::Lmtp;
        let mut told = vec![lmtp; arrival.transaction.local.len()];
        for (recipient, refusal) in arrival.transaction.recipients.iter().zip(refusals) {
            if refusal.is_none() {
                for index in &recipient.local {
                    if let Some(told) = told.get_mut(*index) {
                        *told = false;
                    }
                }
            }
        }
        told
    }
}

/// What becomes of the local recipients that did not get the message now.
struct Fates {
    deferred: Vec<Recipient>,
    /// The sender is owed a notice: recipient and reason.
    bounced: Vec<(LocalRecipient, Outcome)>,
}

fn fates(local: &[LocalRecipient], outcomes: &[Outcome], told: &[bool]) -> Fates {
    let mut fates = Fates {
        deferred: Vec::new(),
        bounced: Vec::new(),
    };
    for ((recipient, outcome), told) in local.iter().zip(outcomes).zip(told) {
        match outcome {
            Outcome::Delivered => {}
            Outcome::Deferred { reason } => {
                fates.deferred.push(deferred(recipient, "4.3.0", reason));
            }
            _ if *told => {}
            Outcome::OverQuota { temporary: true } => {
                fates
                    .deferred
                    .push(deferred(recipient, "4.2.2", "Mailbox is full"));
            }
            Outcome::Rejected { .. } | Outcome::OverQuota { temporary: false } => {
                fates.bounced.push((recipient.clone(), outcome.clone()));
            }
        }
    }
    fates
}

fn deferred(recipient: &LocalRecipient, enhanced: &str, text: &str) -> Recipient {
    Recipient {
        forward_path: recipient.account.address.to_string(),
        original: recipient.original.to_string(),
        delivery: recipient.delivery,
        destination: Destination::Account {
            detail: recipient.detail.clone(),
        },
        state: RecipientState::Pending {
            last: Some(Status {
                enhanced: enhanced.to_owned(),
                text: text.to_owned(),
                remote: None,
            }),
        },
    }
}

fn local_recipients(targets: &[LocalTarget]) -> Result<Vec<LocalRecipient>, Reply> {
    let recipient = |target: &LocalTarget| {
        Ok(LocalRecipient {
            account: target.account.clone(),
            original: target.original.clone(),
            detail: target.detail.clone(),
            delivery: Guid::random().map_err(|_| reply_for::temporary())?,
            repeated: false,
        })
    };
    targets.iter().map(recipient).collect()
}

fn remote_recipients(targets: &[RemoteTarget]) -> Result<Vec<Recipient>, Reply> {
    let recipient = |target: &RemoteTarget| {
        Ok(Recipient {
            forward_path: target.forward_path.to_string(),
            original: target.original.to_string(),
            delivery: Guid::random().map_err(|_| reply_for::temporary())?,
            destination: Destination::Remote,
            state: RecipientState::Pending { last: None },
        })
    };
    targets.iter().map(recipient).collect()
}

fn entry(arrival: &Arrival, arrived: &Arrived, recipients: Vec<Recipient>) -> Entry {
    Entry {
        queue_id: arrived.queue_id.clone(),
        reverse_path: arrival.transaction.sender(),
        accepted_at: arrived.now,
        origin: arrived.origin.clone(),
        body_type: arrival.transaction.body_type,
        size: arrived.body.len(),
        prefix: String::from_utf8_lossy(&arrived.prefix).into_owned(),
        recipients,
        next_attempt_at: arrived.now,
        attempts: 0,
        held: false,
        delay_warned: false,
    }
}

/// Why an accepted RCPT ends in a refusal: every place it leads to refuses.
fn refusal(recipient: &Accepted, outcomes: &[Outcome], full: &str) -> Option<Reply> {
    if recipient.has_remote {
        return None;
    }
    let mut first = None;
    for index in &recipient.local {
        let reply = match outcomes.get(*index)? {
            Outcome::Delivered | Outcome::Deferred { .. } => return None,
            Outcome::Rejected { reason } => {
                Reply::new(550, EnhancedStatus::new(5, 7, 1), reason.replace('\r', ""))
            }
            Outcome::OverQuota { temporary } => reply_for::over_quota(*temporary, full),
        };
        first.get_or_insert(reply);
    }
    first
}

fn refused_by_all(each: Vec<Reply>) -> Finished {
    // If one of them may take it later, the client has to come back.
    let transient = each.iter().find(|reply| reply.is_transient());
    let reply = transient.or(each.first()).cloned();
    Finished {
        reply: reply.unwrap_or_else(reply_for::temporary),
        each,
    }
}

fn log_accepted(arrival: &Arrival, message_id: &str, size: u64) {
    let Arrival {
        client,
        transaction,
        ..
    } = arrival;
    tracing::info!(
        queue_id = %transaction.queue_id,
        client = client.name(),
        helo = client.helo,
        account = client.account.as_ref().map(|a| a.address.to_string()).unwrap_or_default(),
        sender = transaction.sender(),
        recipients = transaction.recipients.len(),
        message_id,
        size,
        "message accepted"
    );
}

fn log_outcomes(transaction: &Transaction, outcomes: &[Outcome]) {
    for (target, outcome) in transaction.local.iter().zip(outcomes) {
        let (action, status, text) = match outcome {
            Outcome::Delivered => ("delivered", "2.0.0", ""),
            Outcome::Rejected { .. } => ("failed", "5.7.1", "refused by the recipient's script"),
            Outcome::OverQuota { temporary: true } => ("delayed", "4.2.2", "mailbox is full"),
            Outcome::OverQuota { temporary: false } => ("failed", "5.2.2", "mailbox is full"),
            Outcome::Deferred { reason } => ("delayed", "4.3.0", reason.as_str()),
        };
        tracing::info!(
            queue_id = %transaction.queue_id,
            recipient = %target.account.address,
            original = %target.original,
            action,
            status,
            text,
            "recipient attempted"
        );
    }
}
