//! What callers see of the mail store: accounts, mailboxes, and `commit`.
//!
//! Synchronous: every call may block on a disk; async callers go through the runtime's bridge.
//! The formats on disk are `facteur-sdbox`'s, the index `facteur-index`'s.

mod account;
mod batch;
mod error;
mod mailbox;
mod snapshot;
mod store;

pub use account::{Account, FolderInfo, MailboxStatus, ScriptInfo};
pub use batch::{
    Append, Appended, Batch, Body, Committed, MemoryEntry, QuotaCheck, StagedFile, Staging,
};
pub use error::StoreError;
pub use mailbox::{
    CopyOutcome, FlagChange, FlagOutcome, Mailbox, MessageReader, Subscription, Summary,
};
pub use snapshot::{Changes, KeywordSetId, MessageState, Snapshot};
pub use store::{AutoFolder, Options, Store};
