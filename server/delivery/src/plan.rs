//! What a message does to each of its local recipients.

use std::{
    cell::OnceCell,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use facteur_address::Address;
use facteur_directory::AccountRecord;
use facteur_mapped::Mapped;
use facteur_model::{Guid, Usage};
use facteur_spool::{BodyType, Origin, QueueId};
use facteur_store::{Account, Batch, Body, QuotaCheck, Store, StoreError};

use crate::{
    domain_quota::DomainQuota,
    filter::Filters,
    options::Options,
    outbox::{self, Outbox},
    put_off::PutOff,
    sieve::Source,
};

/// A message that arrived for local recipients.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Its name in the log.
    pub queue_id: QueueId,
    /// Envelope sender; `None` is the null reverse-path.
    pub reverse_path: Option<Address>,
    /// Where it came from.
    pub origin: Origin,
    /// What MAIL said of its body.
    pub body_type: BodyType,
    /// Header lines that intake adds before the body of every copy (`Received`), with CRLF.
    pub prefix: Bytes,
    /// The message.
    pub body: Body,
    /// When it arrived, in seconds since the Unix epoch.
    pub now: i64,
}

/// One local recipient after routing.
#[derive(Debug, Clone)]
pub struct LocalRecipient {
    /// Whose mailbox.
    pub account: Arc<AccountRecord>,
    /// What RCPT said, for `Delivered-To`, `envelope "to"` and subaddress.
    pub original: Address,
    /// The `detail` of `user+detail`.
    pub detail: Option<String>,
    /// Identifies this copy.
    pub delivery: Guid,
    /// Whether it may have been delivered before: it waited in the spool.
    pub repeated: bool,
}

/// What becomes of one recipient once the batch is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Kept, filed, redirected or discarded: the sender is told 250.
    Delivered,
    /// A script refused it (RFC 5429): 550 5.7.1 when every recipient refuses, else a notice.
    Rejected {
        /// What the script says. It may have any characters and line ends.
        reason: String,
    },
    /// Over quota: 452 4.2.2 with `quota_full_tempfail`, else 552 5.2.2.
    OverQuota {
        /// Whether the sender may try again.
        temporary: bool,
    },
    /// A local failure that may pass: the recipient is spooled.
    Deferred {
        /// For the log and the spool.
        reason: String,
    },
}

/// Plans deliveries. Clones share it.
#[derive(Clone)]
pub struct Deliverer {
    store: Store,
    options: Arc<Options>,
    filters: Arc<Filters>,
    domains: Option<DomainQuota>,
}

impl Deliverer {
    /// A deliverer into `store`.
    pub fn new(store: Store, options: Options) -> Self {
        Self {
            store,
            filters: Arc::new(Filters::new(&options)),
            options: Arc::new(options),
            domains: None,
        }
    }

    /// The same, where domains are limited too.
    #[must_use]
    pub fn with_domain_quota(self, domains: Option<DomainQuota>) -> Self {
        Self { domains, ..self }
    }

    /// Whether an account's domain may hold so much more.
    pub fn domain_has_room(&self, account: &Address, added: u64) -> bool {
        let domains = self.domains.as_ref();
        domains.is_none_or(|domains| domains.has_room(account.domain(), added, 0))
    }

    /// What peers are told of a full mailbox.
    pub fn quota_exceeded_message(&self) -> &str {
        &self.options.quota_exceeded_message
    }

    /// Runs quota and Sieve for each recipient and adds to `batch` what they yield. Blocking: call
    /// it on the bridge. The outcomes are in the recipients' order and hold once the batch is
    /// committed. That fails with [`StoreError::OverQuota`] when others took the room meanwhile: then
    /// it is to be planned anew; so it is where it names accounts that failed, without these.
    pub fn plan(
        &self,
        message: &Arrived,
        recipients: &[LocalRecipient],
        put_off: &mut PutOff,
        batch: &mut Batch,
    ) -> Vec<Outcome> {
        let transaction = Transaction {
            message,
            deadline: Instant::now() + self.options.sieve.max_transaction_time,
            source: OnceCell::new(),
        };
        let deferred = || Outcome::Deferred {
            reason: "mail store failed".to_owned(),
        };
        let mut plan = |recipient: &LocalRecipient| {
            if put_off.has(recipient) {
                return deferred();
            }
            let outbox = Outbox::new(
                message,
                recipient,
                facteur_account::spec(&recipient.account),
                QuotaCheck::Grace(self.options.quota_grace),
            );
            let outcome = self.plan_one(&transaction, recipient, outbox, batch);
            outcome.unwrap_or_else(|error| {
                tracing::warn!(
                    queue_id = %message.queue_id,
                    recipient = %recipient.account.address,
                    %error,
                    "delivery deferred"
                );
                put_off.add(recipient);
                deferred()
            })
        };
        recipients.iter().map(&mut plan).collect()
    }

    fn plan_one(
        &self,
        transaction: &Transaction<'_>,
        recipient: &LocalRecipient,
        mut outbox: Outbox<'_>,
        batch: &mut Batch,
    ) -> Result<Outcome, StoreError> {
        let account = self.store.account(outbox.spec())?;
        let scripts = self.filters.scripts(&account)?;
        let outcome = if scripts.is_empty() {
            let mailbox = outbox::inbox(&account, recipient, &self.options)?;
            outbox.keep(mailbox, &[], None);
            Outcome::Delivered
        } else {
            self.filters
                .run(transaction, recipient, &account, &scripts, &mut outbox)?
        };
        if matches!(outcome, Outcome::Deferred { .. }) {
            return Ok(outcome);
        }
        if !self.fits(&account, recipient, &outbox, batch)? {
            return Ok(Outcome::OverQuota {
                temporary: self.options.quota_full_tempfail,
            });
        }
        outbox.commit_to(batch);
        Ok(outcome)
    }

    /// Whether what is to be stored stays within the quota and its grace. RCPT has judged already;
    /// what was accepted there may overshoot by the grace.
    fn fits(
        &self,
        account: &Account,
        recipient: &LocalRecipient,
        outbox: &Outbox<'_>,
        batch: &Batch,
    ) -> Result<bool, StoreError> {
        let limits = &recipient.account.quota;
        if outbox.appends().is_empty() {
            return Ok(true);
        }
        if let Some(domains) = &self.domains {
            let domain = recipient.account.address.domain();
            // All copies to one domain are counted together.
            let counted = batch.appends.iter().filter(|append| {
                let id = append.account.id.as_str();
                id.rsplit_once('@')
                    .is_some_and(|(_, of)| of == domain.as_str())
            });
            let counted = counted
                .chain(outbox.appends())
                .filter(|append| append.account.quota.counts(&append.mailbox));
            let added = counted
                .map(|append| append.prefix.len() as u64 + append.body.len())
                .sum();
            if !domains.has_room(domain, added, self.options.quota_grace.into()) {
                return Ok(false);
            }
        }
        if limits.is_unlimited() {
            return Ok(true);
        }
        let limits = limits.stretched(self.options.quota_grace.into());
        let id = &outbox.spec().id;
        let same = batch
            .appends
            .iter()
            .filter(|append| append.account.id == *id);
        let mut usage = account.usage()?;
        for append in same.chain(outbox.appends()) {
            let added = Usage {
                bytes: append.prefix.len() as u64 + append.body.len(),
                messages: 1,
            };
            if !limits.allow(&append.mailbox, usage, added) {
                return Ok(false);
            }
            if limits.counts(&append.mailbox) {
                usage = usage.plus(added);
            }
        }
        Ok(true)
    }
}

/// What the recipients of one message share.
pub(crate) struct Transaction<'a> {
    pub(crate) message: &'a Arrived,
    deadline: Instant,
    source: OnceCell<Source>,
}

impl Transaction<'_> {
    /// How much time is left for scripts.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The message as scripts read it.
    pub(crate) fn source(&self) -> Result<Source, StoreError> {
        if let Some(source) = self.source.get() {
            return Ok(source.clone());
        }
        let body = &self.message.body;
        let source = match body {
            Body::Memory(bytes) => Source::Memory(bytes.clone()),
            Body::File(staged) => Source::Mapped(Mapped::new(staged.as_file(), body.len())?),
        };
        Ok(self.source.get_or_init(|| source).clone())
    }
}
