//! EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1).

use facteur_imap::SequenceSet;
use facteur_model::{Flag, UidSet};

use crate::{
    mail_log::{self, Event},
    outcome::{Outcome, Reply, Stop},
    selected::Selected,
    session::Session,
};

impl Session {
    pub(crate) async fn expunge(&mut self, set: Option<&SequenceSet>) -> Outcome {
        let selected = self.selected()?;
        selected.writable()?;
        let mut uids = selected.deleted_uids();
        if let Some(set) = set {
            let named = selected.uids(set, true)?;
            uids = uids.iter().filter(|uid| named.contains(*uid)).collect();
        }
        self.remove(&uids, false).await?;
        Ok(Reply::ok("EXPUNGE completed"))
    }

    /// Removes messages from the selected mailbox.
    pub(crate) async fn remove(&mut self, uids: &UidSet, force: bool) -> Result<(), Stop> {
        if uids.is_empty() {
            return Ok(());
        }
        let user = self.user()?.name.clone();
        let mailbox = self.selected()?.mailbox.clone();
        let uids = uids.clone();
        self.blocking(move || {
            // What the log says of them is not there afterwards.
            let lines = mail_log::describe(&mailbox, &uids);
            let gone = mailbox.expunge(&uids, force)?;
            mail_log::write(Event::Expunge, &user, &mailbox.name(), &lines, &gone);
            Ok::<_, facteur_store::StoreError>(())
        })
        .await?;
        Ok(())
    }
}

impl Selected {
    /// The messages the client knows of that are `\Deleted` now. A message that it was not told of
    /// is not expunged: it may be another session's.
    pub(crate) fn deleted_uids(&self) -> UidSet {
        let Some(last) = self.last_uid() else {
            return UidSet::new();
        };
        self.mailbox
            .snapshot()
            .iter()
            .take_while(|message| message.uid <= last)
            .filter(|message| message.flags.contains(Flag::Deleted))
            .map(|message| message.uid)
            .collect()
    }

    /// Refuses what changes a mailbox that was opened by EXAMINE.
    pub(crate) fn writable(&self) -> Result<(), Reply> {
        match self.read_only {
            true => Err(Reply::no("[READ-ONLY] Mailbox is open read-only")),
            false => Ok(()),
        }
    }
}
