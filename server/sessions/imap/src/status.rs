//! STATUS (RFC 3501 §6.3.10).

use facteur_imap::{MailboxArgument, StatusItem, write};
use facteur_model::Flag;
use facteur_store::{Account, MailboxStatus, StoreError};

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) async fn status(
        &mut self,
        mailbox: &MailboxArgument,
        items: &[StatusItem],
    ) -> Outcome {
        let name = self.mailbox_name(mailbox)?;
        if items.contains(&StatusItem::HighestModSeq) {
            self.use_condstore()?;
        }
        let account = self.user()?.account.clone();
        let with_storage = items.contains(&StatusItem::DeletedStorage);
        let (status, deleted_storage) = self
            .blocking(move || {
                let status = account.status(&name)?;
                let storage = match with_storage && status.deleted > 0 {
                    true => deleted_storage(&account, &name)?,
                    false => 0,
                };
                Ok::<_, StoreError>((status, storage))
            })
            .await?;
        let limit = self.service.options.message_size_limit;
        let out = &mut self.out;
        out.extend_from_slice(b"* STATUS ");
        write::astring(out, mailbox.as_bytes());
        let mut separator: &[u8] = b" (";
        for item in items {
            out.extend_from_slice(separator);
            out.extend_from_slice(item.as_str().as_bytes());
            out.extend_from_slice(b" ");
            match item {
                StatusItem::AppendLimit if limit == 0 => out.extend_from_slice(b"NIL"),
                StatusItem::AppendLimit => write::number(out, limit),
                StatusItem::DeletedStorage => write::number(out, deleted_storage),
                item => write::number(out, value_of(&status, *item)),
            }
            separator = b" ";
        }
        out.extend_from_slice(b")\r\n");
        Ok(Reply::ok("STATUS completed"))
    }
}

fn value_of(status: &MailboxStatus, item: StatusItem) -> u64 {
    match item {
        StatusItem::Messages => u64::from(status.messages),
        StatusItem::Recent => u64::from(status.recent),
        StatusItem::UidNext => status.uid_next,
        StatusItem::UidValidity => u64::from(status.uid_validity.value()),
        StatusItem::Unseen => u64::from(status.unseen),
        StatusItem::Deleted => u64::from(status.deleted),
        StatusItem::Size => status.size,
        StatusItem::HighestModSeq => status.highest_modseq.value(),
        StatusItem::AppendLimit | StatusItem::DeletedStorage => 0,
    }
}

/// Octets that EXPUNGE would free (RFC 9208 §4.1.4): nobody keeps that sum.
fn deleted_storage(
    account: &Account,
    name: &facteur_model::MailboxName,
) -> Result<u64, StoreError> {
    let snapshot = account.open(name)?.snapshot();
    Ok(snapshot
        .iter()
        .filter(|message| message.flags.contains(Flag::Deleted))
        .map(|message| message.size)
        .sum())
}
