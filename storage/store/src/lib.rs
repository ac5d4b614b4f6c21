//! What callers see of the mail store: accounts, mailboxes, and `commit`.
//!
//! Synchronous: every call may block on a disk; async callers go through the runtime's bridge.
//! The formats on disk are `facteur-sdbox`'s, the index `facteur-index`'s, the journal
//! `facteur-journal`'s. Here is what makes one store of them:
//!
//! - a change is planned by its account's `owner`, put into the journal (`record`, `log`) and
//!   waited for, then shown to sessions (`pending`); rows of the index follow (`slot`);
//! - a `checkpoint` makes files and rows durable and cuts the journal;
//! - what a process left in the journal is done again (`replay`) when the store is opened
//!   (`start`), or for one account when something could not be done at once.
//!
//! Locks are taken in this order: the `door`, the folders', an account's state, its index.

mod account;
mod adopt;
mod batch;
mod body;
mod changes;
mod checkpoint;
mod commit;
mod compress;
mod copies;
mod copy;
mod door;
mod error;
mod export;
mod expunge;
mod flags;
mod folders;
mod format;
mod handles;
mod headers;
mod keywords;
mod load;
mod log;
mod mail_root;
mod mailbox;
mod maildir;
mod maintenance;
mod move_messages;
mod new_name;
mod owner;
mod pending;
mod read;
mod reconcile;
mod record;
mod recount;
mod replay;
mod scripts;
mod shared;
mod slot;
mod snapshot;
mod spool_log;
mod start;
mod store;
mod usage;
mod view;
mod waiting;

pub use account::{Account, FolderInfo, MailboxStatus, ScriptInfo};
pub use batch::{Append, Appended, Batch, Committed, MemoryEntry, QuotaCheck};
pub use body::{Body, StagedFile, Staging};
pub use changes::Changes;
pub use checkpoint::Checkpoints;
pub use commit::NotCommitted;
pub use error::StoreError;
pub use export::{ExportFormat, Exported};
pub use facteur_journal::{Clock, Fsync};
pub use mailbox::{CopyOutcome, FlagChange, FlagOutcome, Mailbox, Summary};
pub use maintenance::{
    Checked, Finding, Findings, Forgotten, Kind as FindingKind, Optimized, Progress, Rebuilt,
    Remedy, Synced,
};
pub use read::{MessageReader, Readers};
pub use recount::Recount;
pub use shared::Spooled;
pub use snapshot::{KeywordSetId, MessageState, Snapshot};
pub use store::{AccountCache, AutoFolder, Options, Store};
pub use usage::{Gate, Permit, UsageChange, UsageChanged};
pub use view::Subscription;
