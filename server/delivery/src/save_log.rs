//! One line for each message delivered, as for one that APPEND saves (what Dovecot's mail_log plugin
//! writes). Target `mail_log`, level info.

use facteur_message::headers;
use facteur_model::AccountId;
use facteur_spool::QueueId;
use facteur_store::{Batch, Committed};

use crate::Arrived;

/// How far into a message its Message-ID is looked for, in bytes.
const HEAD: usize = 32 * 1024;

/// What will be logged once a batch is committed: the commit takes the batch, and knows the UIDs
/// only afterwards.
#[derive(Debug)]
pub struct SaveLog {
    queue_id: QueueId,
    message_id: String,
    accounts: Vec<AccountId>,
}

impl SaveLog {
    /// Notes what `batch`, planned for `message`, is about to store.
    pub fn new(message: &Arrived, batch: &Batch) -> Self {
        let head = match tracing::enabled!(target: "mail_log", tracing::Level::INFO) {
            true => message.body.head(HEAD).unwrap_or_default(),
            false => bytes::Bytes::new(),
        };
        let mut fields = headers::fields(&head);
        let id = fields.find(|field| field.is("Message-ID"));
        let id = id.map(|field| field.unfolded()).unwrap_or_default();
        let accounts = batch.appends.iter().map(|append| append.account.id.clone());
        Self {
            queue_id: message.queue_id.clone(),
            message_id: String::from_utf8_lossy(&id).into_owned(),
            accounts: accounts.collect(),
        }
    }

    /// Writes the lines.
    pub fn write(&self, committed: &Committed) {
        for (account, appended) in self.accounts.iter().zip(&committed.appended) {
            tracing::info!(
                target: "mail_log",
                user = account.as_str(),
                event = "save",
                mailbox = %appended.mailbox,
                uid = appended.uid.value(),
                message_id = self.message_id,
                size = appended.size,
                queue_id = %self.queue_id,
            );
        }
    }
}
