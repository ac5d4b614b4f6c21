//! Carries out what scripts order.

use facteur_address::Address;
use facteur_message::headers;
use facteur_model::SpecialUse;
use facteur_spool::QueueId;
use facteur_store::{Account, StoreError};
use tracing::{info, warn};

use crate::{
    options::{Options, RedirectSender},
    outbox::{self, Outbox, Target},
    plan::{LocalRecipient, Transaction},
    sieve::{Action, Keep, REDIRECTED_FROM, Version},
};

/// Carries out what a script orders for one recipient.
pub(crate) struct Orders<'a> {
    pub(crate) options: &'a Options,
    pub(crate) transaction: &'a Transaction<'a>,
    pub(crate) recipient: &'a LocalRecipient,
    pub(crate) account: &'a Account,
}

impl Orders<'_> {
    /// Carries out `action`; when that cannot be, the message is to be kept instead.
    pub(crate) fn carry_out(
        &self,
        action: Action,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Keep>, StoreError> {
        match action {
            Action::FileInto {
                folder,
                special_use,
                create,
                flags,
                version,
                is_copy,
            } => match self.target(&folder, special_use.as_deref(), create)? {
                Some(target) => outbox.keep(target, &flags, version),
                None => {
                    self.not_done(&format!("there is no mailbox {folder}"));
                    return Ok((!is_copy).then_some(Keep { flags, version }));
                }
            },
            Action::Redirect { to, version } => return self.redirect(&to, version, outbox),
            Action::Reply { message } => {
                if let Some(sender) = &self.transaction.message.reverse_path {
                    let id = outbox.send(std::slice::from_ref(sender), message)?;
                    self.done("vacation reply", sender, &id);
                }
            }
            Action::Notify { to, message } => {
                let id = outbox.send(&to, message)?;
                if let Some(first) = to.first() {
                    self.done("notified", first, &id);
                }
            }
        }
        Ok(None)
    }

    fn done(&self, action: &str, to: &Address, new: &QueueId) {
        info!(
            queue_id = %self.transaction.message.queue_id,
            recipient = %self.recipient.account.address,
            action,
            %to,
            new_queue_id = %new,
            "sent by script"
        );
    }

    fn not_done(&self, error: &str) {
        warn!(
            queue_id = %self.transaction.message.queue_id,
            recipient = %self.recipient.account.address,
            error,
            "action of script not possible"
        );
    }

    /// The mailbox to file into, if there is one or it may be made.
    fn target(
        &self,
        folder: &str,
        special_use: Option<&str>,
        create: bool,
    ) -> Result<Option<Target>, StoreError> {
        if let Some(wanted) = special_use {
            let mut folders = self.account.folders()?.into_iter();
            let found = folders.find(|folder| {
                let special = folder.special_use.map(SpecialUse::as_str);
                folder.selectable && special.is_some_and(|s| s.eq_ignore_ascii_case(wanted))
            });
            if let Some(folder) = found {
                return Ok(Some(Target {
                    mailbox: folder.name,
                    create: false,
                }));
            }
        }
        let options = self.options;
        let Some(mailbox) = outbox::mailbox_name(folder, options) else {
            return Ok(None);
        };
        let create = create || options.lda_mailbox_autocreate;
        outbox::filed(self.account, mailbox, create)
    }

    /// Whether the account redirected this message before. The field lies before the body of a
    /// message that never left this server.
    fn came_back(&self) -> Result<bool, StoreError> {
        let message = self.transaction.message;
        let source = self.transaction.source()?;
        let owner = self.recipient.account.address.to_string();
        let mut fields = headers::fields(&message.prefix).chain(headers::fields(source.as_ref()));
        Ok(fields.any(|field| {
            let by = String::from_utf8_lossy(field.value);
            field.is(REDIRECTED_FROM) && by.trim().eq_ignore_ascii_case(&owner)
        }))
    }

    fn redirect(
        &self,
        to: &str,
        version: Version,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Keep>, StoreError> {
        let message = self.transaction.message;
        let keep = |version| {
            Ok(Some(Keep {
                flags: Vec::new(),
                version,
            }))
        };
        let Ok(to) = Address::parse(to) else {
            self.not_done(&format!("{to} is no address"));
            return keep(version);
        };
        if self.came_back()? {
            self.not_done("the message was redirected from here before");
            return keep(version);
        }
        let sender = match &self.options.sieve.redirect_envelope_from {
            // A null reverse-path stays null: what bounces must not come back as mail.
            _ if message.reverse_path.is_none() => None,
            RedirectSender::Sender => message.reverse_path.as_ref(),
            RedirectSender::Recipient => Some(&self.recipient.account.address),
            RedirectSender::OriginalRecipient => Some(&self.recipient.original),
            RedirectSender::Address(address) => Some(address),
        };
        let id = outbox.redirect(sender, &to, version)?;
        self.done("redirected", &to, &id);
        Ok(None)
    }
}
