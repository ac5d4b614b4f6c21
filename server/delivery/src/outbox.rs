//! What one recipient's delivery adds to the batch, until it is known that it all goes in.

use bytes::{BufMut, Bytes, BytesMut};
use facteur_address::Address;
use facteur_model::{AccountSpec, Flag, Flags, Guid, InternalDate, Keyword, MailboxName};
use facteur_spool::{BodyType, Entry, Origin, QueueId, Recipient, RecipientState};
use facteur_store::{Account, Append, Batch, Body, MemoryEntry, QuotaCheck, StoreError};

use crate::{
    options::Options,
    plan::{Arrived, LocalRecipient},
    sieve::{REDIRECTED_FROM, Version, without_return_path},
};

/// Where a copy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) mailbox: MailboxName,
    pub(crate) create: bool,
}

/// What one recipient's delivery adds to the batch.
pub(crate) struct Outbox<'a> {
    message: &'a Arrived,
    recipient: &'a LocalRecipient,
    spec: AccountSpec,
    /// What stands before the body of this recipient's copies.
    prefix: Bytes,
    appends: Vec<Append>,
    memory: Vec<MemoryEntry>,
    spool: Vec<(Entry, Body)>,
    quota: QuotaCheck,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(
        message: &'a Arrived,
        recipient: &'a LocalRecipient,
        spec: AccountSpec,
        quota: QuotaCheck,
    ) -> Self {
        Self {
            message,
            recipient,
            spec,
            prefix: prefix(message, recipient),
            appends: Vec::new(),
            memory: Vec::new(),
            spool: Vec::new(),
            quota,
        }
    }

    pub(crate) fn spec(&self) -> &AccountSpec {
        &self.spec
    }

    /// Whether nothing is stored or sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty() && self.spool.is_empty()
    }

    pub(crate) fn appends(&self) -> &[Append] {
        &self.appends
    }

    /// `Return-Path`, `Delivered-To` and what intake adds.
    pub(crate) fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// Puts a copy into a mailbox, once: a second one adds its flags (RFC 5228 §2.10.3).
    pub(crate) fn keep(&mut self, target: Target, flags: &[String], version: Version) {
        let (prefix, body) = match version {
            None => (self.prefix.clone(), self.message.body.clone()),
            // A script that changes a message sees the prefix as part of it.
            Some(bytes) => (Bytes::new(), Body::Memory(bytes)),
        };
        let (flags, keywords) = parse_flags(flags);
        let same = self.appends.iter_mut().find(|append| {
            append.mailbox == target.mailbox
                && append.prefix == prefix
                && is_same(&append.body, &body)
        });
        if let Some(append) = same {
            append.flags = append.flags.union(flags);
            for keyword in keywords {
                if !append.keywords.contains(&keyword) {
                    append.keywords.push(keyword);
                }
            }
            return;
        }
        let delivery = match self.appends.len() {
            0 => self.recipient.delivery,
            n => further(self.recipient.delivery, n),
        };
        self.appends.push(Append {
            account: self.spec.clone(),
            mailbox: target.mailbox,
            create: target.create,
            prefix,
            body,
            flags,
            keywords,
            internal_date: InternalDate::from_unix(self.message.now),
            delivery,
            repeated: self.recipient.repeated,
            quota: self.quota,
        });
    }

    /// Sends the message on.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub(crate) fn redirect(
        &mut self,
        sender: Option<&Address>,
        to: &Address,
        version: Version,
    ) -> Result<QueueId, StoreError> {
        let mut prefix = format!("{REDIRECTED_FROM}: {}\r\n", self.recipient.account.address);
        let (body, body_type) = match version {
            None => {
                prefix.push_str(&String::from_utf8_lossy(&self.message.prefix));
                (self.message.body.clone(), self.message.body_type)
            }
            Some(bytes) => in_memory(without_return_path(&bytes)),
        };
        let to = std::slice::from_ref(to);
        self.spool(sender, to, prefix, body, body_type)
    }

    /// Sends a message that a script made, from nobody (RFC 5230 §5.1, RFC 5436 §2.7.1).
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub(crate) fn send(&mut self, to: &[Address], message: Bytes) -> Result<QueueId, StoreError> {
        let (body, body_type) = in_memory(message);
        self.spool(None, to, String::new(), body, body_type)
    }

    fn spool(
        &mut self,
        sender: Option<&Address>,
        to: &[Address],
        prefix: String,
        body: Body,
        body_type: BodyType,
    ) -> Result<QueueId, StoreError> {
        let now = u64::try_from(self.message.now).unwrap_or_default();
        let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(now);
        let queue_id = QueueId::generate(now).map_err(std::io::Error::from)?;
        let recipient = |to: &Address| {
            Ok(Recipient {
                forward_path: to.to_string(),
                original: to.to_string(),
                delivery: Guid::random().map_err(std::io::Error::from)?,
                destination: facteur_spool::Destination::Unresolved,
                state: RecipientState::Pending { last: None },
            })
        };
        let recipients: Result<Vec<_>, std::io::Error> = to.iter().map(recipient).collect();
        let entry = Entry {
            queue_id: queue_id.clone(),
            reverse_path: sender.map(ToString::to_string).unwrap_or_default(),
            accepted_at: self.message.now,
            origin: Origin {
                client: "local".to_owned(),
                ..Origin::default()
            },
            body_type,
            size: body.len(),
            prefix,
            recipients: recipients?,
            next_attempt_at: self.message.now,
            attempts: 0,
            held: false,
            delay_warned: false,
        };
        self.spool.push((entry, body));
        Ok(queue_id)
    }

    /// Remembers `key` for `seconds`.
    pub(crate) fn remember(&mut self, key: [u8; 32], seconds: u64) {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.memory.push(MemoryEntry {
            account: self.spec.clone(),
            key,
            expires_at: self.message.now.saturating_add(seconds),
        });
    }

    /// Adds everything to `batch`.
    pub(crate) fn commit_to(self, batch: &mut Batch) {
        batch.appends.extend(self.appends);
        batch.memory.extend(self.memory);
        batch.spool.extend(self.spool);
    }
}

/// The fields that only final delivery knows (RFC 5321 §4.4), and those that intake adds.
fn prefix(message: &Arrived, recipient: &LocalRecipient) -> Bytes {
    let sender = message.reverse_path.as_ref().map(ToString::to_string);
    let sender = sender.unwrap_or_default();
    let original = recipient.original.to_string();
    let mut prefix =
        BytesMut::with_capacity(40 + sender.len() + original.len() + message.prefix.len());
    prefix.put_slice(b"Return-Path: <");
    prefix.put_slice(sender.as_bytes());
    prefix.put_slice(b">\r\nDelivered-To: ");
    prefix.put_slice(original.as_bytes());
    prefix.put_slice(b"\r\n");
    prefix.put_slice(&message.prefix);
    prefix.freeze()
}

/// The delivery of one more copy: the same one when the delivery is planned anew.
fn further(delivery: Guid, copy: usize) -> Guid {
    let mut hash = blake3::Hasher::new();
    hash.update(delivery.as_bytes()).update(&copy.to_le_bytes());
    let mut bytes = [0; 16];
    hash.finalize_xof().fill(&mut bytes);
    Guid::from_bytes(bytes)
}

fn in_memory(bytes: Bytes) -> (Body, BodyType) {
    let body_type = match bytes.is_ascii() {
        true => BodyType::SevenBit,
        false => BodyType::EightBitMime,
    };
    (Body::Memory(bytes), body_type)
}

fn is_same(a: &Body, b: &Body) -> bool {
    match (a, b) {
        (Body::Memory(a), Body::Memory(b)) => a.as_ptr() == b.as_ptr() && a.len() == b.len(),
        (Body::File(a), Body::File(b)) => std::sync::Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// The flags of a script; what is none is left out (RFC 5232 §2).
fn parse_flags(texts: &[String]) -> (Flags, Vec<Keyword>) {
    let mut flags = Flags::EMPTY;
    let mut keywords = Vec::new();
    for text in texts.iter().flat_map(|text| text.split_ascii_whitespace()) {
        if let Some(flag) = Flag::parse(text) {
            flags = flags.with(flag);
        } else if let Some(keyword) = Keyword::parse(text)
            && !keywords.contains(&keyword)
        {
            keywords.push(keyword);
        }
    }
    (flags, keywords)
}

/// The mailbox that a script, or a detail, calls `name`.
pub(crate) fn mailbox_name(name: &str, options: &Options) -> Option<MailboxName> {
    let below = |prefix: &String| {
        let start = name.get(..prefix.len())?;
        let rest = name.get(prefix.len()..)?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    let name = options
        .alias_prefixes
        .iter()
        .find_map(below)
        .unwrap_or(name);
    let separator = options.separator;
    if separator == MailboxName::SEPARATOR {
        return MailboxName::parse(name).ok();
    }
    if name.contains(MailboxName::SEPARATOR) {
        return None;
    }
    let levels = name.replace(separator, &MailboxName::SEPARATOR.to_string());
    MailboxName::parse(&levels).ok()
}

/// Where mail for `recipient` is kept.
pub(crate) fn inbox(
    account: &Account,
    recipient: &LocalRecipient,
    options: &Options,
) -> Result<Target, StoreError> {
    let inbox = Target {
        mailbox: MailboxName::inbox(),
        create: true,
    };
    if !options.lmtp_save_to_detail_mailbox {
        return Ok(inbox);
    }
    let detail = recipient.detail.as_deref();
    let Some(mailbox) = detail.and_then(|detail| mailbox_name(detail, options)) else {
        return Ok(inbox);
    };
    let create = options.lda_mailbox_autocreate;
    Ok(filed(account, mailbox, create)?.unwrap_or(inbox))
}

/// Where mail goes that is filed into `mailbox`: nowhere when there is none, and it may not or cannot be
/// made.
pub(crate) fn filed(
    account: &Account,
    mailbox: MailboxName,
    create: bool,
) -> Result<Option<Target>, StoreError> {
    // One name that cannot be would keep the message from everybody whom it is for.
    let create = create && account.may_have_mailbox(&mailbox);
    let there = create || exists(account, &mailbox)?;
    Ok(there.then_some(Target { mailbox, create }))
}

/// Whether mail can be filed into `mailbox`.
pub(crate) fn exists(account: &Account, mailbox: &MailboxName) -> Result<bool, StoreError> {
    Ok(mailbox.is_inbox() || account.has_mailbox(mailbox)?)
}
