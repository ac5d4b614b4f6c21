//! GETQUOTA and GETQUOTAROOT (RFC 9208 §4.2).

use facteur_imap::{MailboxArgument, write};

use crate::{
    outcome::{Outcome, Reply, Stop},
    session::Session,
};

/// All of the account, as Dovecot's examples call it.
const USER: &str = "User quota";
/// What the account's domain holds and may hold, where it is limited.
const DOMAIN: &str = "Domain quota";

impl Session {
    pub(crate) async fn get_quota(&mut self, root: &[u8]) -> Outcome {
        let roots = self.quota_roots()?;
        let Some(root) = roots.into_iter().find(|known| known.as_bytes() == root) else {
            return Err(Reply::no("[NONEXISTENT] No such quota root").into());
        };
        self.write_quota(root).await?;
        Ok(Reply::ok("GETQUOTA completed"))
    }

    pub(crate) async fn get_quota_root(&mut self, mailbox: &MailboxArgument) -> Outcome {
        // The mailbox need not be there (RFC 9208 §4.1.2): this is where it would count.
        let name = self.mailbox_name(mailbox)?;
        let counts = self.user()?.account.quota().counts(&name);
        let roots = if counts {
            self.quota_roots()?
        } else {
            Vec::new()
        };
        self.out.extend_from_slice(b"* QUOTAROOT ");
        write::astring(&mut self.out, mailbox.as_bytes());
        for root in &roots {
            self.out.extend_from_slice(b" ");
            write::astring(&mut self.out, root.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
        for root in roots {
            self.write_quota(root).await?;
        }
        Ok(Reply::ok("GETQUOTAROOT completed"))
    }

    /// What is said when something does not fit.
    pub(crate) fn quota_exceeded_message(&self) -> &str {
        &self.service.options.quota_exceeded_message
    }

    /// The roots that limit anything: a QUOTA response names one resource at least (RFC 9208 §7).
    fn quota_roots(&mut self) -> Result<Vec<&'static str>, Stop> {
        let mut roots = Vec::with_capacity(2);
        if !self.user()?.account.quota().is_unlimited() {
            roots.push(USER);
        }
        if self.domain_usage()?.is_some() {
            roots.push(DOMAIN);
        }
        Ok(roots)
    }

    fn domain_usage(&mut self) -> Result<Option<(u64, u64)>, Stop> {
        let id = self.user()?.account.spec().id.clone();
        let domain = id
            .as_str()
            .rsplit_once('@')
            .map_or("", |(_, domain)| domain);
        let asked = self.service.options.domain_quota.as_ref();
        Ok(asked.and_then(|asked| (asked.0)(domain)))
    }

    async fn write_quota(&mut self, root: &str) -> Result<(), Stop> {
        let mut resources = Vec::with_capacity(2);
        // STORAGE is in units of 1024 octets (RFC 9208 §5.1). A part of one counts as one, in the limit
        // too, as Dovecot has it: else a full account would seem to hold more than it may.
        let storage = |used: u64, limit: u64| {
            format!("STORAGE {} {}", used.div_ceil(1024), limit.div_ceil(1024))
        };
        if root == DOMAIN {
            if let Some((used, limit)) = self.domain_usage()? {
                resources.push(storage(used, limit));
            }
        } else {
            let account = self.user()?.account.clone();
            let limits = account.quota();
            let usage = self.blocking(move || account.usage()).await?;
            if let Some(limit) = limits.bytes {
                resources.push(storage(usage.bytes, limit));
            }
            if let Some(limit) = limits.messages {
                resources.push(format!("MESSAGE {} {limit}", usage.messages));
            }
        }
        if resources.is_empty() {
            // It has been lifted meanwhile.
            return Ok(());
        }
        self.out.extend_from_slice(b"* QUOTA ");
        write::astring(&mut self.out, root.as_bytes());
        let list = format!(" ({})\r\n", resources.join(" "));
        self.out.extend_from_slice(list.as_bytes());
        Ok(())
    }
}
