//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2).

use bytes::BytesMut;
use facteur_imap::{MailboxArgument, write};
use facteur_model::Flag;

use crate::{
    outcome::{Outcome, Reply},
    selected::Selected,
    session::Session,
};

impl Session {
    pub(crate) async fn select(
        &mut self,
        mailbox: &MailboxArgument,
        read_only: bool,
        condstore: bool,
    ) -> Outcome {
        // Whatever comes of it, the mailbox selected before is no more (RFC 3501 §6.3.1).
        if self.user()?.selected.take().is_some() {
            self.untagged_ok("[CLOSED] Previous mailbox closed");
        }
        let name = self.mailbox_name(mailbox)?;
        let account = self.user()?.account.clone();
        let selected = self
            .blocking(move || Selected::new(account.open(&name)?, read_only))
            .await?;
        let user = match self.user.as_deref_mut() {
            Some(user) => user,
            None => return Err(Reply::bad("Log in first").into()),
        };
        user.condstore |= condstore;
        user.selected.insert(selected).describe(&mut self.out);
        Ok(Reply::ok(if read_only {
            "[READ-ONLY] EXAMINE completed"
        } else {
            "[READ-WRITE] SELECT completed"
        }))
    }
}

impl Selected {
    /// The untagged responses to SELECT.
    fn describe(&mut self, out: &mut BytesMut) {
        self.write_flag_lists(out);
        write::numbered(out, self.snapshot.len(), "EXISTS");
        write::numbered(out, self.recent_count(), "RECENT");
        let mut ok = |text: String| write::status(out, None, write::Condition::Ok, &text);
        let unseen = (1u32..)
            .zip(self.snapshot.iter())
            .find(|(_, message)| !message.flags.contains(Flag::Seen));
        if let Some((sequence, _)) = unseen {
            ok(format!("[UNSEEN {sequence}] First unseen"));
        }
        ok(format!(
            "[UIDVALIDITY {}] UIDs valid",
            self.mailbox.uid_validity()
        ));
        ok(format!(
            "[UIDNEXT {}] Predicted next UID",
            self.snapshot.uid_next()
        ));
        ok(format!(
            "[HIGHESTMODSEQ {}] Highest",
            self.snapshot.highest_modseq()
        ));
    }
}
