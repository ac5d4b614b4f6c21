//! A message on its way in.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use facteur_address::Address;
use facteur_directory::AccountRecord;
use facteur_smtp::{
    EnhancedStatus, Reply,
    command::{self, Mail},
};
use facteur_spool::{BodyType, QueueId};

use crate::{Client, Intake, Route, body::Content};

/// What MAIL began. Dropping it forgets the message.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) queue_id: QueueId,
    pub(crate) reverse_path: Option<Address>,
    pub(crate) declared_size: u64,
    pub(crate) body_type: BodyType,
    /// What each accepted RCPT leads to.
    pub(crate) recipients: Vec<Accepted>,
    /// Mailboxes here, each once.
    pub(crate) local: Vec<LocalTarget>,
    /// Addresses elsewhere, each once.
    pub(crate) remote: Vec<RemoteTarget>,
    known_local: HashMap<(Address, Option<String>), usize>,
    known_remote: HashMap<Address, usize>,
    pub(crate) content: Option<Content>,
}

/// An accepted RCPT.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) original: Address,
    /// Indices into [`Transaction::local`].
    pub(crate) local: Vec<usize>,
    pub(crate) has_remote: bool,
}

#[derive(Debug)]
pub(crate) struct LocalTarget {
    pub(crate) account: Arc<AccountRecord>,
    pub(crate) detail: Option<String>,
    pub(crate) original: Address,
}

#[derive(Debug)]
pub(crate) struct RemoteTarget {
    pub(crate) forward_path: Address,
    pub(crate) original: Address,
}

/// Most final destinations of one message, aliases expanded.
const DESTINATION_LIMIT: usize = 10_000;

impl Intake {
    /// MAIL: gives the message its name.
    ///
    /// # Errors
    /// What to reply.
    pub fn begin(
        &self,
        client: &Client,
        mail: &Mail,
        now: SystemTime,
    ) -> Result<Transaction, Reply> {
        self.room
            .refuse_below(self.options.queue_minfree, &self.parts.store)?;
        let queue_id = QueueId::generate(now).map_err(|error| {
            tracing::error!(%error, "no randomness from the operating system");
            Reply::new(451, EnhancedStatus::new(4, 3, 0), "Temporary failure")
        })?;
        tracing::debug!(%queue_id, client = client.name(), "transaction begins");
        Ok(Transaction {
            queue_id,
            reverse_path: mail.reverse_path.clone(),
            declared_size: mail.size.unwrap_or(0),
            body_type: match mail.body {
                Some(command::BodyType::EightBitMime) => BodyType::EightBitMime,
                Some(command::BodyType::SevenBit) | None => BodyType::SevenBit,
            },
            recipients: Vec::new(),
            local: Vec::new(),
            remote: Vec::new(),
            known_local: HashMap::new(),
            known_remote: HashMap::new(),
            content: None,
        })
    }
}

impl Transaction {
    /// The message's name.
    pub fn queue_id(&self) -> &QueueId {
        &self.queue_id
    }

    /// How many recipients were accepted.
    pub fn recipients(&self) -> usize {
        self.recipients.len()
    }

    /// For the log: the reverse-path without brackets, empty for the null one.
    pub(crate) fn sender(&self) -> String {
        self.reverse_path
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Whether `route` still fits.
    pub(crate) fn has_room_for(&self, route: &Route) -> bool {
        let wanted = route.local.len() + route.remote.len();
        self.local.len() + self.remote.len() + wanted <= DESTINATION_LIMIT
    }

    /// Accepts a recipient. Who is reached by several gets one copy.
    pub(crate) fn accept(&mut self, original: Address, route: Route) {
        let mut accepted = Accepted {
            original: original.clone(),
            local: Vec::with_capacity(route.local.len()),
            has_remote: !route.remote.is_empty(),
        };
        for (account, detail) in route.local {
            let next = self.local.len();
            let key = (account.address.clone(), detail.clone());
            let index = *self.known_local.entry(key).or_insert(next);
            if index == next {
                let original = original.clone();
                self.local.push(LocalTarget {
                    account,
                    detail,
                    original,
                });
            }
            accepted.local.push(index);
        }
        for forward_path in route.remote {
            let next = self.remote.len();
            let index = *self
                .known_remote
                .entry(forward_path.clone())
                .or_insert(next);
            if index == next {
                let original = original.clone();
                self.remote.push(RemoteTarget {
                    forward_path,
                    original,
                });
            }
        }
        self.recipients.push(accepted);
    }
}
