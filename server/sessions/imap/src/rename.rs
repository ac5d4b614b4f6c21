//! RENAME (RFC 3501 §6.3.5).

use facteur_imap::MailboxArgument;

use crate::{
    mail_log,
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) async fn rename(&mut self, from: &MailboxArgument, to: &MailboxArgument) -> Outcome {
        let from = self.mailbox_name(from)?;
        let to = self.new_mailbox_name(to)?;
        if to.is_inbox() {
            return Err(Reply::no("[ALREADYEXISTS] INBOX is always there").into());
        }
        let user = self.user()?;
        let (account, user) = (user.account.clone(), user.name.clone());
        self.blocking(move || {
            account.rename(&from, &to)?;
            mail_log::renamed(&user, &from, &to);
            Ok::<_, facteur_store::StoreError>(())
        })
        .await?;
        Ok(Reply::ok("RENAME completed"))
    }
}
