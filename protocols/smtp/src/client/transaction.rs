//! One mail transaction (RFC 5321 §3.3).

use crate::{
    EnhancedStatus, Reply,
    client::{Capabilities, Message, Outcome},
    command::{BodyType, ForwardPath, Mail, Rcpt},
};

/// What is to be done after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    SendBody,
    SendNothing,
    NeedsReset,
}

/// How a recipient stands.
#[derive(Debug)]
enum Recipient {
    /// RCPT was not answered.
    Unanswered,
    /// RCPT was accepted; the data decides.
    Open,
    Decided(Outcome),
}

#[derive(Debug)]
pub(super) struct Transaction {
    message: Message,
    recipients: Vec<Recipient>,
    /// MAIL was sent.
    begun: bool,
    /// Without PIPELINING: how many RCPTs were sent.
    sent: usize,
    mail_refused: Option<Reply>,
}

impl Transaction {
    pub(super) fn new(message: Message, capabilities: &Capabilities) -> Self {
        let recipients = message
            .forward_paths
            .iter()
            .map(|_| Recipient::Unanswered)
            .collect();
        let mut transaction = Self {
            message,
            recipients,
            begun: false,
            sent: 0,
            mail_refused: None,
        };
        if let Some(reply) = transaction.hopeless(capabilities) {
            transaction.decide_all(&reply, false);
        }
        transaction
    }

    /// What the peer has said already that it will not take.
    fn hopeless(&self, capabilities: &Capabilities) -> Option<Reply> {
        let size = self.message.size;
        if let Some(Some(limit)) = capabilities.size
            && size > limit
        {
            let text = format!("message of {size} bytes is over the peer's limit of {limit}");
            return Some(Reply::new(552, EnhancedStatus::new(5, 3, 4), text));
        }
        if self.needs_utf8() {
            let text = "addresses that are not ASCII cannot be sent on (SMTPUTF8)";
            return Some(Reply::new(553, EnhancedStatus::new(5, 6, 7), text));
        }
        None
    }

    fn needs_utf8(&self) -> bool {
        let addresses = self
            .message
            .reverse_path
            .iter()
            .chain(&self.message.forward_paths);
        addresses
            .into_iter()
            .any(|address| !address.local().is_ascii())
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun
    }

    pub(super) fn begin(&mut self, capabilities: &Capabilities) -> Mail {
        self.begun = true;
        let mut mail = Mail::new(self.message.reverse_path.clone());
        if capabilities.size.is_some() {
            mail.size = Some(self.message.size);
        }
        // To a peer without 8BITMIME such a body goes as it is: we rewrite none.
        if self.message.body == BodyType::EightBitMime && capabilities.eight_bit_mime {
            mail.body = Some(BodyType::EightBitMime);
        }
        mail
    }

    pub(super) fn rcpts(&self) -> impl Iterator<Item = Rcpt> {
        self.message.forward_paths.iter().map(|path| Rcpt {
            forward_path: ForwardPath::Address(path.clone()),
        })
    }

    pub(super) fn next_rcpt(&mut self) -> Option<(usize, Rcpt)> {
        let n = self.sent;
        let rcpt = self.rcpts().nth(n)?;
        self.sent += 1;
        Some((n, rcpt))
    }

    /// The recipients that wait for the end of the data.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> {
        let open = self.recipients.iter().enumerate();
        open.filter(|(_, r)| matches!(r, Recipient::Open))
            .map(|(n, _)| n)
    }

    pub(super) fn is_decided(&self) -> bool {
        self.recipients
            .iter()
            .all(|r| matches!(r, Recipient::Decided(_)))
    }

    pub(super) fn mail_answered(&mut self, reply: Reply) -> Verdict {
        if reply.is_positive() {
            return Verdict::GoOn;
        }
        // With PIPELINING the answers to RCPT are still to come; they say nothing new.
        self.decide_all(&failure(reply.clone()), true);
        self.mail_refused = Some(reply);
        Verdict::NeedsReset
    }

    pub(super) fn rcpt_answered(&mut self, n: usize, reply: Reply) -> Verdict {
        let others = self.open().next().is_some();
        let Some(recipient) = self.recipients.get_mut(n) else {
            return Verdict::GoOn;
        };
        if self.mail_refused.is_some() {
            return Verdict::GoOn;
        }
        if reply.is_positive() {
            *recipient = Recipient::Open;
            return Verdict::GoOn;
        }
        // RFC 5321 §4.5.3.1.10: 552 for "too many recipients" is an old spelling of 452.
        let reply = if reply.code() == 552 && reply.status().is_none() && others {
            Reply::plain(452, reply.text().to_owned())
        } else {
            failure(reply)
        };
        *recipient = Recipient::Decided(Outcome {
            reply,
            from_peer: true,
        });
        Verdict::NeedsReset
    }

    pub(super) fn data_answered(&mut self, reply: Reply) -> Verdict {
        let open = self.open().next().is_some();
        match (reply.is_intermediate(), open) {
            (true, true) => Verdict::SendBody,
            (true, false) => Verdict::SendNothing,
            (false, _) => {
                self.decide_all(&failure(reply), true);
                Verdict::NeedsReset
            }
        }
    }

    pub(super) fn end_answered(&mut self, n: Option<usize>, reply: Reply) -> Verdict {
        let reply = if reply.is_positive() {
            reply
        } else {
            failure(reply)
        };
        match n {
            None => self.decide_all(&reply, true),
            Some(n) => {
                if let Some(recipient) = self.recipients.get_mut(n) {
                    *recipient = Recipient::Decided(Outcome {
                        reply,
                        from_peer: true,
                    });
                }
            }
        }
        Verdict::GoOn
    }

    /// Gives whoever has no outcome this one.
    fn decide_all(&mut self, reply: &Reply, from_peer: bool) {
        for recipient in &mut self.recipients {
            if !matches!(recipient, Recipient::Decided(_)) {
                *recipient = Recipient::Decided(Outcome {
                    reply: reply.clone(),
                    from_peer,
                });
            }
        }
    }

    pub(super) fn into_outcomes(mut self, undecided: Reply) -> Vec<Outcome> {
        self.decide_all(&undecided, false);
        self.into_decided()
    }

    pub(super) fn into_decided(self) -> Vec<Outcome> {
        let decided = self
            .recipients
            .into_iter()
            .filter_map(|recipient| match recipient {
                Recipient::Decided(outcome) => Some(outcome),
                Recipient::Unanswered | Recipient::Open => None,
            });
        decided.collect()
    }
}

/// A refusal. A 2yz or 3yz where it has no meaning is the peer's fault, and temporary.
fn failure(reply: Reply) -> Reply {
    if reply.is_transient() || reply.is_permanent() {
        return reply;
    }
    let text = format!("peer gave a reply that makes no sense here: {reply}");
    Reply::new(451, EnhancedStatus::new(4, 5, 0), text)
}
