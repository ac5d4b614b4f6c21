//! What is committed together.

use std::sync::Arc;

use bytes::Bytes;
use facteur_model::{
    AccountSpec, Flags, Guid, InternalDate, Keyword, MailboxName, Uid, UidValidity,
};
use facteur_spool::Entry;

use crate::StoreError;

/// A message's bytes, shared by every copy that is made of it. CRLF line ends, as received.
#[derive(Debug, Clone)]
pub enum Body {
    /// Small enough to be kept in memory.
    Memory(Bytes),
    /// Lies in a staging file, which goes when the last clone is dropped.
    File(Arc<StagedFile>),
}

/// A body that lies in a file of the staging directory.
#[derive(Debug)]
pub struct StagedFile {/* owned by the store */}

/// Collects a body as it comes from the wire: in memory up to a limit, then in a file.
#[derive(Debug)]
pub struct Staging {/* owned by the store */}

impl Staging {
    /// Adds bytes.
    ///
    /// # Errors
    /// When the staging file cannot be written.
    pub fn write(&mut self, _bytes: &[u8]) -> Result<(), StoreError> {
        todo!()
    }

    /// How many bytes it holds.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the staging file cannot be written.
    pub fn finish(self) -> Result<Body, StoreError> {
        todo!()
    }
}

impl Body {
    /// Its size in bytes.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first bytes, at most `limit`: enough for the header.
    ///
    /// # Errors
    /// When the staging file cannot be read.
    pub fn head(&self, _limit: usize) -> Result<Bytes, StoreError> {
        todo!()
    }

    /// A reader over the whole of it.
    ///
    /// # Errors
    /// When the staging file cannot be opened.
    pub fn reader(&self) -> Result<Box<dyn std::io::Read + Send>, StoreError> {
        todo!()
    }
}

/// Everything that one transaction changes. [`crate::Store::commit`] does all of it or nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// Messages into mailboxes, of any accounts.
    pub appends: Vec<Append>,
    /// What Sieve remembers (vacation, duplicate).
    pub memory: Vec<MemoryEntry>,
    /// Messages into the spool, with their bodies.
    pub spool: Vec<(Entry, Body)>,
}

/// One copy of a message into one mailbox.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose.
    pub account: AccountSpec,
    /// Which mailbox.
    pub mailbox: MailboxName,
    /// Make the mailbox (and subscribe it) when it is missing; else a missing one is
    /// [`StoreError::NoMailbox`].
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
    /// Identifies this copy: a second commit of the same one adds nothing.
    pub delivery: Guid,
    /// How quota is judged.
    pub quota: QuotaCheck,
}

/// How strictly an append keeps to the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaCheck {
    /// To the byte (APPEND, COPY).
    Strict,
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
