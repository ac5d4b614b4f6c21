//! MOVE (RFC 6851).

use facteur_imap::MailboxSet;
use facteur_store::StoreError;

use crate::{
    copy::{copyuid, sources},
    mail_log::{self, Event},
    outcome::{Outcome, Reply, reply_for_target},
    session::Session,
};

impl Session {
    pub(crate) async fn move_messages(&mut self, r#move: &MailboxSet) -> Outcome {
        let to = self.mailbox_name(&r#move.mailbox)?;
        let user = self.user()?.name.clone();
        let selected = self.selected()?;
        selected.writable()?;
        let uids = selected.uids(&r#move.set, r#move.uid)?;
        if uids.is_empty() {
            return Ok(Reply::ok("MOVE completed, nothing to move"));
        }
        let mailbox = selected.mailbox.clone();
        let moved = self
            .blocking(move || {
                let lines = mail_log::describe(&mailbox, &uids);
                let moved = mailbox.move_to(&uids, &to)?;
                let which = sources(&moved);
                mail_log::write(Event::Copy, &user, &to, &lines, &which);
                mail_log::write(Event::Expunge, &user, &mailbox.name(), &lines, &which);
                Ok::<_, StoreError>(moved)
            })
            .await
            .map_err(|error| reply_for_target(&error, self.quota_exceeded_message()))?;
        // RFC 6851 §4.3: before the EXPUNGE responses, in an untagged OK.
        if let Some(code) = copyuid(&moved) {
            self.untagged_ok(&format!("{code} Moved"));
        }
        Ok(Reply::ok("MOVE completed"))
    }
}
