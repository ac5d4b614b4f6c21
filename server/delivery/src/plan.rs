//! What a message does to each of its local recipients.

use std::sync::Arc;

use bytes::Bytes;
use facteur_address::Address;
use facteur_directory::AccountRecord;
use facteur_model::Guid;
use facteur_spool::{Origin, QueueId};
use facteur_store::{Batch, Body, Store};

/// A message that arrived for local recipients.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Its name in the log.
    pub queue_id: QueueId,
    /// Envelope sender; `None` is the null reverse-path.
    pub reverse_path: Option<Address>,
    /// Where it came from.
    pub origin: Origin,
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
}

/// What becomes of one recipient once the batch is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Kept, filed, redirected or discarded: the sender is told 250.
    Delivered,
    /// A script refused it (RFC 5429): 550 5.7.1 when every recipient refuses, else a notice.
    Rejected {
        /// What the script says.
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
}

impl Deliverer {
    /// A deliverer into `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Runs quota and Sieve for each recipient and adds to `batch` what they yield. Blocking: call
    /// it on the bridge. The outcomes are in the recipients' order and hold once the batch is
    /// committed.
    pub fn plan(
        &self,
        _message: &Arrived,
        _recipients: &[LocalRecipient],
        _batch: &mut Batch,
    ) -> Vec<Outcome> {
        let _ = &self.store;
        todo!()
    }
}
