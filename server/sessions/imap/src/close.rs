//! CLOSE (RFC 3501 §6.4.2) and UNSELECT (RFC 3691).

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    /// Expunges without telling, unless the mailbox is read-only.
    pub(crate) async fn close(&mut self) -> Outcome {
        let selected = self.selected()?;
        if !selected.read_only {
            let uids = selected.deleted_uids();
            self.remove(&uids, false).await?;
        }
        self.user()?.selected = None;
        Ok(Reply::ok("CLOSE completed"))
    }

    pub(crate) fn unselect(&mut self) -> Outcome {
        self.user()?.selected = None;
        Ok(Reply::ok("UNSELECT completed"))
    }
}
