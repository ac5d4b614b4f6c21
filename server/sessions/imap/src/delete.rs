//! DELETE (RFC 3501 §6.3.4).

use facteur_imap::MailboxArgument;

use crate::{
    mail_log,
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) async fn delete(&mut self, mailbox: &MailboxArgument) -> Outcome {
        let name = self.mailbox_name(mailbox)?;
        if name.is_inbox() {
            return Err(Reply::no("[CANNOT] INBOX cannot be deleted").into());
        }
        let user = self.user()?;
        let (account, user_name) = (user.account.clone(), user.name.clone());
        let deleted = name.clone();
        self.blocking(move || {
            account.delete(&deleted)?;
            mail_log::mailbox(&user_name, "mailbox_delete", &deleted);
            Ok::<_, facteur_store::StoreError>(())
        })
        .await?;
        // It is this client's own doing: no goodbye, just nothing selected any more.
        let user = self.user()?;
        if user
            .selected
            .as_ref()
            .is_some_and(|s| s.mailbox.is_deleted())
        {
            user.selected = None;
            self.untagged_ok("[CLOSED] Selected mailbox was deleted");
        }
        Ok(Reply::ok("DELETE completed"))
    }
}
