//! COPY (RFC 3501 §6.4.7).

use facteur_imap::{MailboxSet, write};
use facteur_model::UidSet;
use facteur_store::{CopyOutcome, StoreError};

use crate::{
    mail_log::{self, Event},
    outcome::{Outcome, Reply, reply_for_target},
    session::Session,
};

impl Session {
    pub(crate) async fn copy(&mut self, copy: &MailboxSet) -> Outcome {
        let to = self.mailbox_name(&copy.mailbox)?;
        let user = self.user()?.name.clone();
        let selected = self.selected()?;
        let uids = selected.uids(&copy.set, copy.uid)?;
        if uids.is_empty() {
            return Ok(Reply::ok("COPY completed, nothing to copy"));
        }
        let mailbox = selected.mailbox.clone();
        let copied = self
            .blocking(move || {
                let copied = mailbox.copy(&uids, &to)?;
                let which = sources(&copied);
                let lines = mail_log::describe(&mailbox, &which);
                mail_log::write(Event::Copy, &user, &to, &lines, &which);
                Ok::<_, StoreError>(copied)
            })
            .await
            .map_err(|error| reply_for_target(&error, self.quota_exceeded_message()))?;
        Ok(Reply::ok(match copyuid(&copied) {
            Some(code) => format!("{code} COPY completed"),
            None => "COPY completed, nothing to copy".to_owned(),
        }))
    }
}

/// The messages that were copied.
pub(crate) fn sources(copied: &CopyOutcome) -> UidSet {
    copied.pairs.iter().map(|(from, _)| *from).collect()
}

/// `[COPYUID …]` (RFC 4315 §3); none when nothing was copied.
pub(crate) fn copyuid(copied: &CopyOutcome) -> Option<String> {
    if copied.pairs.is_empty() {
        return None;
    }
    let mut code = bytes::BytesMut::from(&b"[COPYUID "[..]);
    write::number(&mut code, u64::from(copied.uid_validity.value()));
    code.extend_from_slice(b" ");
    write::number_set(&mut code, copied.pairs.iter().map(|(from, _)| from.value()));
    code.extend_from_slice(b" ");
    write::number_set(&mut code, copied.pairs.iter().map(|(_, to)| to.value()));
    code.extend_from_slice(b"]");
    Some(String::from_utf8_lossy(&code).into_owned())
}
