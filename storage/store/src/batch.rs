//! What is committed together.

use bytes::Bytes;
use facteur_model::{
    AccountSpec, Flags, Guid, InternalDate, Keyword, MailboxName, Uid, UidValidity,
};
use facteur_spool::{Change, Entry, QueueId};

use crate::Body;

/// Everything that one transaction changes. [`crate::Store::commit`] does all of it or nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// Messages into mailboxes, of any accounts.
    pub appends: Vec<Append>,
    /// What Sieve remembers (vacation, duplicate).
    pub memory: Vec<MemoryEntry>,
    /// Messages into the spool, with their bodies.
    pub spool: Vec<(Entry, Body)>,
    /// Changes to entries that are in the spool already: a local recipient that waited there is
    /// struck off in the commit that delivers to it. An entry that is gone is passed over.
    pub updates: Vec<(QueueId, Change)>,
}

/// One copy of a message into one mailbox.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose.
    pub account: AccountSpec,
    /// Which mailbox.
    pub mailbox: MailboxName,
    /// Make the mailbox (and subscribe it) when it is missing; else a missing one is
    /// [`crate::StoreError::NoMailbox`].
    pub create: bool,
    /// Header lines (with their CRLF) that come before the body in this copy only.
    pub prefix: Bytes,
    /// The message.
    pub body: Body,
    /// System flags to set.
    pub flags: Flags,
    /// Keywords to set.
    pub keywords: Vec<Keyword>,
    /// Its INTERNALDATE.
    pub internal_date: InternalDate,
    /// Identifies this copy: a second commit of the same one adds nothing when it is said to be
    /// [repeated](Self::repeated).
    pub delivery: Guid,
    /// Whether it may have been committed before (the message waited in the spool): only then it is
    /// looked for.
    pub repeated: bool,
    /// How quota is judged.
    pub quota: QuotaCheck,
}

/// How strictly an append keeps to the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaCheck {
    /// To the byte (APPEND, COPY).
    Strict,
    /// Of the limits and so many per cent more: whoever judged before did not know of what others were
    /// about to store.
    Grace(u8),
    /// Whatever was accepted is delivered.
    Ignore,
}

/// One fact that Sieve remembers about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryEntry {
    /// Whose.
    pub account: AccountSpec,
    /// What: a digest of the vacation handle and sender, or of a duplicate's id.
    pub key: [u8; 32],
    /// Forgotten after this, in seconds since the Unix epoch.
    pub expires_at: i64,
}

/// What a commit did, in the order of the batch's appends.
#[derive(Debug, Default)]
pub struct Committed {
    /// Where each append lies.
    pub appended: Vec<Appended>,
}

/// Where a message lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// In which mailbox.
    pub mailbox: MailboxName,
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The message's UID.
    pub uid: Uid,
    /// Its RFC822.SIZE.
    pub size: u64,
}
