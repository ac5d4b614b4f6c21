//! RCPT: who may be written to, by whom.

use facteur_address::Address;
use facteur_directory::AccountRecord;
use facteur_model::{AccountSpec, MailboxName, Usage};
use facteur_smtp::{
    EnhancedStatus, Reply,
    command::{ForwardPath, Rcpt},
};

use crate::{Client, Intake, Route, Transaction, reply_for};

impl Intake {
    /// Resolves a recipient and accepts it into the transaction, or says why not.
    pub async fn recipient(
        &self,
        client: &Client,
        transaction: &mut Transaction,
        rcpt: &Rcpt,
    ) -> Reply {
        match self.accept(client, transaction, &rcpt.forward_path).await {
            Ok(()) => Reply::new(250, EnhancedStatus::new(2, 1, 5), "Ok"),
            Err(reply) => {
                let recipient = rcpt.forward_path.to_string();
                self.log_refusal(client, transaction, &recipient, &reply);
                reply
            }
        }
    }

    async fn accept(
        &self,
        client: &Client,
        transaction: &mut Transaction,
        forward_path: &ForwardPath,
    ) -> Result<(), Reply> {
        let (recipient, route) = self.route(forward_path).await?;
        self.judge(client, transaction, &recipient, &route).await?;
        if route.unknown {
            let text = format!("<{recipient}>: user unknown");
            return Err(Reply::new(550, EnhancedStatus::new(5, 1, 1), text));
        }
        if !transaction.has_room_for(&route) {
            let status = EnhancedStatus::new(4, 5, 3);
            return Err(Reply::new(452, status, "Too many recipients"));
        }
        self.check_quota(transaction.declared_size, &route).await?;
        transaction.accept(recipient, route);
        Ok(())
    }

    /// Where a forward-path leads. `<postmaster>` is this host's (RFC 5321 §4.5.1).
    async fn route(&self, forward_path: &ForwardPath) -> Result<(Address, Route), Reply> {
        let recipient = match forward_path {
            ForwardPath::Address(address) => address.clone(),
            ForwardPath::Postmaster => {
                Address::from_parts("postmaster", self.options.hostname.clone())
                    .map_err(|_| reply_for::temporary())?
            }
        };
        let route = self.resolve(&recipient).await?;
        Ok((recipient, route))
    }

    async fn resolve(&self, recipient: &Address) -> Result<Route, Reply> {
        self.parts.router.resolve(recipient).await.map_err(|error| {
            tracing::warn!(%recipient, %error, "recipient deferred");
            reply_for::temporary()
        })
    }

    /// Refuses when nobody whom the recipient leads to has room. Whoever is accepted here gets the
    /// message, even if it turns out larger than declared.
    async fn check_quota(&self, declared_size: u64, route: &Route) -> Result<(), Reply> {
        let unlimited =
            |(account, _): &(std::sync::Arc<AccountRecord>, _)| account.quota.is_unlimited();
        // The empty message must fit as well as one of unknown size.
        let added = Usage {
            bytes: declared_size.max(1),
            messages: 1,
        };
        let deliverer = &self.parts.deliverer;
        let in_domain = |(account, _): &&(std::sync::Arc<AccountRecord>, _)| {
            deliverer.domain_has_room(&account.address, added.bytes)
        };
        if !route.remote.is_empty() || route.local.iter().filter(in_domain).any(unlimited) {
            return Ok(());
        }
        let specs: Vec<_> = route
            .local
            .iter()
            .filter(in_domain)
            .map(|(account, _)| facteur_account::spec(account))
            .collect();
        let store = self.parts.store.clone();
        // Whether a script files it elsewhere is seen later.
        let inbox = MailboxName::inbox();
        let fits = |spec: &AccountSpec| {
            let usage = store.usage_at_hand(&spec.id);
            usage.is_some_and(|usage| spec.quota.allow(&inbox, usage, added))
        };
        // The usual recipient is in use and has room: that needs no visit to the bridge.
        if specs.iter().any(fits) {
            return Ok(());
        }
        let has_room = move || {
            for spec in specs {
                let usage = store.account(&spec)?.usage()?;
                if spec.quota.allow(&MailboxName::inbox(), usage, added) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        match self.parts.bridge.run(has_room).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(reply_for::over_quota(
                self.options.quota_full_tempfail,
                deliverer.quota_exceeded_message(),
            )),
            Err(error) => Err(reply_for::store(&error)),
        }
    }

    /// Writes the log line of a message that was refused as a whole.
    pub fn refused(&self, client: &Client, transaction: &Transaction, reply: &Reply) {
        tracing::info!(
            queue_id = %transaction.queue_id,
            client = client.name(),
            helo = client.helo,
            sender = transaction.sender(),
            recipients = transaction.recipients.len(),
            status = %reply,
            "message refused"
        );
    }

    fn log_refusal(
        &self,
        client: &Client,
        transaction: &Transaction,
        recipient: &str,
        reply: &Reply,
    ) {
        tracing::info!(
            queue_id = %transaction.queue_id,
            client = client.name(),
            helo = client.helo,
            sender = transaction.sender(),
            recipient,
            status = %reply,
            "recipient refused"
        );
    }
}
