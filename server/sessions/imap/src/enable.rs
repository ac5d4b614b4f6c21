//! ENABLE (RFC 5161).

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

impl Session {
    pub(crate) fn enable(&mut self, capabilities: &[String]) -> Outcome {
        let wanted = capabilities
            .iter()
            .any(|capability| capability.eq_ignore_ascii_case("CONDSTORE"));
        let newly = wanted && !self.user()?.condstore;
        let told: &[u8] = match newly {
            true => b"* ENABLED CONDSTORE\r\n",
            false => b"* ENABLED\r\n",
        };
        self.out.extend_from_slice(told);
        if wanted {
            self.use_condstore()?;
        }
        Ok(Reply::ok("ENABLE completed"))
    }

    /// Something of CONDSTORE was used: from here on every FETCH response has a MODSEQ, and the
    /// client is told where the mailbox at hand stands (RFC 7162 §3.1).
    pub(crate) fn use_condstore(&mut self) -> Result<(), crate::outcome::Stop> {
        let user = self.user()?;
        if std::mem::replace(&mut user.condstore, true) {
            return Ok(());
        }
        if let Some(selected) = &user.selected {
            let highest = selected.snapshot.highest_modseq();
            self.untagged_ok(&format!("[HIGHESTMODSEQ {highest}] Highest"));
        }
        Ok(())
    }
}
