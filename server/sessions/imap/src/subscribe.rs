//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).

use facteur_imap::MailboxArgument;

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) async fn subscribe(
        &mut self,
        mailbox: &MailboxArgument,
        subscribed: bool,
    ) -> Outcome {
        let name = self.mailbox_name(mailbox)?;
        let account = self.user()?.account.clone();
        self.blocking(move || account.set_subscribed(&name, subscribed))
            .await?;
        Ok(Reply::ok(match subscribed {
            true => "SUBSCRIBE completed",
            false => "UNSUBSCRIBE completed",
        }))
    }
}
