//! CREATE (RFC 3501 §6.3.3).

use facteur_imap::MailboxArgument;

use crate::{
    mail_log,
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) async fn create(&mut self, mailbox: &MailboxArgument) -> Outcome {
        let name = self.new_mailbox_name(mailbox)?;
        if name.is_inbox() {
            return Err(Reply::no("[ALREADYEXISTS] INBOX is always there").into());
        }
        let user = self.user()?;
        let (account, user) = (user.account.clone(), user.name.clone());
        self.blocking(move || {
            account.create(&name)?;
            mail_log::mailbox(&user, "mailbox_create", &name);
            Ok::<_, facteur_store::StoreError>(())
        })
        .await?;
        Ok(Reply::ok("CREATE completed"))
    }
}
