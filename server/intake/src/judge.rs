//! Restrictions, applied.

use facteur_address::{Address, Domain};
use facteur_runtime::Protocol;
use facteur_smtp::{EnhancedStatus, Reply};

use crate::{Client, Intake, Restriction, Restrictions, Route, Transaction, reply_for};

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to say.
    pub reply: Reply,
    /// The connection cannot be trusted to stay in step: close it.
    pub close: bool,
}

/// A rule's opinion.
enum Verdict {
    Permit,
    Reject(Reply),
    None,
}

/// What a rule may look at.
struct Case<'a> {
    client: &'a Client,
    reverse_path: Option<&'a Address>,
    recipient: &'a Address,
    authorized_destination: bool,
}

impl Intake {
    fn restrictions(&self, client: &Client) -> &Restrictions {
        if let Some(own) = self
            .options
            .listener_restrictions
            .get(&client.listener.name)
        {
            return own;
        }
        match client.listener.protocol {
            Protocol::Lmtp => &self.defaults.lmtp,
            Protocol::Submission => &self.defaults.submission,
            _ => &self.defaults.smtp,
        }
    }

    /// DATA, or the first BDAT: may the message come? `pipelined`: the client did not wait.
    ///
    /// # Errors
    /// What to reply.
    pub fn body_start(
        &self,
        client: &Client,
        transaction: &mut Transaction,
        pipelined: bool,
    ) -> Result<(), Refusal> {
        for rule in &self.restrictions(client).data {
            match rule {
                Restriction::RejectUnauthPipelining if pipelined => {
                    let status = EnhancedStatus::new(5, 5, 0);
                    let text = "Improper use of SMTP command pipelining";
                    let reply = Reply::new(503, status, text);
                    self.refused(client, transaction, &reply);
                    return Err(Refusal { reply, close: true });
                }
                Restriction::Reject => {
                    let reply = access_denied();
                    self.refused(client, transaction, &reply);
                    return Err(Refusal {
                        reply,
                        close: false,
                    });
                }
                Restriction::Permit => break,
                Restriction::PermitMynetworks if client.is_in(&self.options.mynetworks) => break,
                Restriction::PermitSaslAuthenticated if client.account.is_some() => break,
                _ => {}
            }
        }
        transaction.content = Some(self.open_content(client));
        Ok(())
    }

    /// The lists that are judged at RCPT.
    pub(crate) async fn judge(
        &self,
        client: &Client,
        transaction: &Transaction,
        recipient: &Address,
        route: &Route,
    ) -> Result<(), Reply> {
        let case = Case {
            client,
            reverse_path: transaction.reverse_path.as_ref(),
            recipient,
            authorized_destination: route.authorized_destination,
        };
        let lists = self.restrictions(client);
        for list in [
            &lists.client,
            &lists.helo,
            &lists.sender,
            &lists.relay,
            &lists.recipient,
        ] {
            for rule in list {
                match self.apply(*rule, &case).await {
                    Verdict::Permit => break,
                    Verdict::Reject(reply) => return Err(reply),
                    Verdict::None => {}
                }
            }
        }
        Ok(())
    }

    async fn apply(&self, rule: Restriction, case: &Case<'_>) -> Verdict {
        use Restriction as R;
        let client = case.client;
        let permit = |condition| {
            if condition {
                Verdict::Permit
            } else {
                Verdict::None
            }
        };
        let reject = |condition, reply: fn() -> Reply| {
            if condition {
                Verdict::Reject(reply())
            } else {
                Verdict::None
            }
        };
        match rule {
            R::Permit => Verdict::Permit,
            R::Reject => Verdict::Reject(access_denied()),
            R::PermitMynetworks => permit(client.is_in(&self.options.mynetworks)),
            R::PermitSaslAuthenticated => permit(client.account.is_some()),
            R::PermitAuthDestination => permit(case.authorized_destination),
            R::RejectUnauthDestination => reject(!case.authorized_destination, relay_denied),
            // Judged at DATA; EHLO and the rest are answered in order whatever the client does.
            R::RejectUnauthPipelining => Verdict::None,
            R::RejectAuthenticatedSenderLoginMismatch => self.apply_ownership(case).await,
            R::RejectNonFqdnSender => {
                let bare = case
                    .reverse_path
                    .is_some_and(|path| !is_fqdn(path.domain()));
                reject(bare, || not_fqdn("Sender address"))
            }
            R::RejectNonFqdnRecipient => reject(!is_fqdn(case.recipient.domain()), || {
                not_fqdn("Recipient address")
            }),
            R::RejectInvalidHeloHostname => {
                reject(Domain::parse(&client.helo).is_err(), invalid_helo)
            }
            R::RejectNonFqdnHeloHostname => {
                let bare = !Domain::parse(&client.helo).is_ok_and(|name| is_fqdn(&name));
                reject(bare, || not_fqdn("Helo command"))
            }
            R::RejectPlaintextSession => reject(client.tls.is_none(), || {
                Reply::new(
                    450,
                    EnhancedStatus::new(4, 7, 1),
                    "Session encryption is required",
                )
            }),
        }
    }

    async fn apply_ownership(&self, case: &Case<'_>) -> Verdict {
        // The null reverse-path is for notices, which clients send too (RFC 8098).
        let (Some(account), Some(sender)) = (&case.client.account, case.reverse_path) else {
            return Verdict::None;
        };
        match self
            .parts
            .authenticator
            .owns(&account.address, sender)
            .await
        {
            Ok(true) => Verdict::None,
            Ok(false) => Verdict::Reject(Reply::new(
                553,
                EnhancedStatus::new(5, 7, 1),
                format!("<{sender}>: sender address is not yours"),
            )),
            Err(_) => Verdict::Reject(reply_for::temporary()),
        }
    }
}

fn is_fqdn(domain: &Domain) -> bool {
    domain.is_literal() || domain.as_str().contains('.')
}

fn access_denied() -> Reply {
    Reply::new(554, EnhancedStatus::new(5, 7, 1), "Access denied")
}

fn relay_denied() -> Reply {
    Reply::new(554, EnhancedStatus::new(5, 7, 1), "Relay access denied")
}

fn not_fqdn(what: &str) -> Reply {
    let text = format!("{what} rejected: need fully-qualified hostname");
    Reply::new(504, EnhancedStatus::new(5, 5, 2), text)
}

fn invalid_helo() -> Reply {
    let status = EnhancedStatus::new(5, 5, 2);
    Reply::new(501, status, "Helo command rejected: invalid name")
}
