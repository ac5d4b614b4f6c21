//! GETQUOTA and GETQUOTAROOT (RFC 9208 §4.2).

use facteur_imap::{MailboxArgument, write};

use crate::{
    outcome::{Outcome, Reply, Stop},
    session::Session,
};

/// The one quota root: all of the account.
const ROOT: &str = "User quota";

impl Session {
    pub(crate) async fn get_quota(&mut self, root: &[u8]) -> Outcome {
        if root != ROOT.as_bytes() || !self.has_quota()? {
            return Err(Reply::no("[NONEXISTENT] No such quota root").into());
        }
        self.write_quota().await?;
        Ok(Reply::ok("GETQUOTA completed"))
    }

    pub(crate) async fn get_quota_root(&mut self, mailbox: &MailboxArgument) -> Outcome {
        // The mailbox need not be there (RFC 9208 §4.1.2): this is where it would count.
        self.mailbox_name(mailbox)?;
        let has_quota = self.has_quota()?;
        self.out.extend_from_slice(b"* QUOTAROOT ");
        write::astring(&mut self.out, mailbox.as_bytes());
        if has_quota {
            self.out.extend_from_slice(b" ");
            write::astring(&mut self.out, ROOT.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
        if has_quota {
            self.write_quota().await?;
        }
        Ok(Reply::ok("GETQUOTAROOT completed"))
    }

    /// Whether anything is limited: a QUOTA response names one resource at least (RFC 9208 §7).
    fn has_quota(&mut self) -> Result<bool, Stop> {
        Ok(!self.user()?.account.quota().is_unlimited())
    }

    async fn write_quota(&mut self) -> Result<(), Stop> {
        let account = self.user()?.account.clone();
        let limits = account.quota();
        let usage = self.blocking(move || account.usage()).await?;
        let mut resources = Vec::with_capacity(2);
        if let Some(limit) = limits.bytes {
            // STORAGE is in units of 1024 octets (RFC 9208 §5.1).
            let (used, limit) = (usage.bytes.div_ceil(1024), limit / 1024);
            resources.push(format!("STORAGE {used} {limit}"));
        }
        if let Some(limit) = limits.messages {
            resources.push(format!("MESSAGE {} {limit}", usage.messages));
        }
        self.out.extend_from_slice(b"* QUOTA ");
        write::astring(&mut self.out, ROOT.as_bytes());
        let list = format!(" ({})\r\n", resources.join(" "));
        self.out.extend_from_slice(list.as_bytes());
        Ok(())
    }
}
