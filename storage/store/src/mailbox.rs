//! One mailbox in use.

use std::{fs::File, sync::Arc};

use facteur_model::{FlagOperation, Flags, Keyword, MailboxName, ModSeq, Uid, UidSet, UidValidity};

use crate::{Snapshot, StoreError};

/// A mailbox in use, shared by every session that has it open. Clones are the same mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    _inner: Arc<()>,
}

/// Keeps a watcher registered; dropping it ends the notifications.
#[derive(Debug)]
pub struct Subscription {}

/// What STORE does.
#[derive(Debug, Clone)]
pub struct FlagChange {
    /// Add, remove or replace.
    pub operation: FlagOperation,
    /// System flags named.
    pub flags: Flags,
    /// Keywords named.
    pub keywords: Vec<Keyword>,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What STORE did.
#[derive(Debug, Default)]
pub struct FlagOutcome {
    /// Messages whose flags now are as asked (changed or not).
    pub stored: UidSet,
    /// Messages left alone because of UNCHANGEDSINCE.
    pub modified: UidSet,
}

/// What COPY or MOVE did (RFC 4315 §3, COPYUID).
#[derive(Debug)]
pub struct CopyOutcome {
    /// UIDVALIDITY of the destination.
    pub uid_validity: UidValidity,
    /// Source and destination UID of each message, in order.
    pub pairs: Vec<(Uid, Uid)>,
}

/// What FETCH needs of a message beyond its state, ready for the wire.
#[derive(Debug, Clone)]
pub struct Summary {
    /// ENVELOPE's parenthesised value.
    pub envelope: Vec<u8>,
    /// BODYSTRUCTURE's parenthesised value.
    pub body_structure: Vec<u8>,
    /// BODY's: the same without extension data.
    pub body: Vec<u8>,
}

/// An open message file.
#[derive(Debug)]
pub struct MessageReader {
    /// The file.
    pub file: File,
    /// Where the message begins in it.
    pub offset: u64,
    /// RFC822.SIZE.
    pub size: u64,
}

impl Mailbox {
    /// Its name (RENAME changes it).
    pub fn name(&self) -> MailboxName {
        todo!()
    }
    /// Its UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        todo!()
    }
    /// As it stands now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }
    /// Whether it was deleted.
    pub fn is_deleted(&self) -> bool {
        todo!()
    }
    /// Calls `wake` after every change, from the changing thread: it must be quick (set a flag,
    /// notify a task).
    pub fn subscribe(&self, _wake: Arc<dyn Fn() + Send + Sync>) -> Subscription {
        todo!()
    }
    /// Messages nobody was told of yet as `\Recent` (RFC 3501 §2.3.2): takes them when `claim`
    /// (SELECT), only looks otherwise (EXAMINE, STATUS).
    pub fn recent(&self, _claim: bool) -> Result<UidSet, StoreError> {
        todo!()
    }
    /// STORE.
    pub fn store(&self, _uids: &UidSet, _change: &FlagChange) -> Result<FlagOutcome, StoreError> {
        todo!()
    }
    /// Removes those of `uids` that have `\Deleted` (or all of them with `force`); says which.
    pub fn expunge(&self, _uids: &UidSet, _force: bool) -> Result<UidSet, StoreError> {
        todo!()
    }
    /// COPY.
    pub fn copy(&self, _uids: &UidSet, _to: &MailboxName) -> Result<CopyOutcome, StoreError> {
        todo!()
    }
    /// MOVE (RFC 6851).
    pub fn move_to(&self, _uids: &UidSet, _to: &MailboxName) -> Result<CopyOutcome, StoreError> {
        todo!()
    }
    /// Calls `visit` with the summary of each message still there, in UID order.
    pub fn summaries(
        &self,
        _uids: &UidSet,
        _visit: &mut dyn FnMut(Uid, &Summary),
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// Opens a message.
    pub fn read(&self, _uid: Uid) -> Result<MessageReader, StoreError> {
        todo!()
    }
}
