//! NOOP and CHECK (RFC 3501 §6.1.2, §6.4.1): a good moment to look for what is new.

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) async fn noop(&mut self) -> Outcome {
        self.notice().await;
        Ok(Reply::ok("NOOP completed"))
    }

    pub(crate) async fn check(&mut self) -> Outcome {
        self.notice().await;
        Ok(Reply::ok("CHECK completed"))
    }

    /// What other programs did to the mailbox is told with the reply.
    async fn notice(&mut self) {
        let selected = self.user.as_ref().and_then(|user| user.selected.as_ref());
        let Some(mailbox) = selected.map(|selected| &selected.mailbox) else {
            return;
        };
        if !mailbox.may_change_outside() {
            return;
        }
        let mailbox = mailbox.clone();
        self.blocking(move || {
            if let Err(error) = mailbox.notice() {
                tracing::warn!(mailbox = %mailbox.name(), %error, "folder cannot be looked through");
            }
        })
        .await;
    }
}
