//! One account in use.

use std::sync::Arc;

use facteur_model::{AccountSpec, MailboxName, QuotaLimits, SpecialUse, UidValidity, Usage};

use crate::{Mailbox, StoreError};

/// An account in use. Clones are the same account; it unloads some time after the last is dropped.
#[derive(Debug, Clone)]
pub struct Account {
    _inner: Arc<()>,
}

/// A folder as LIST shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderInfo {
    /// Its name.
    pub name: MailboxName,
    /// Whether it can be selected; else it is only a level above others (`\NoSelect`).
    pub selectable: bool,
    /// Whether a folder lies below it.
    pub has_children: bool,
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// What STATUS tells (RFC 9051 §6.3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxStatus {
    /// MESSAGES
    pub messages: u32,
    /// RECENT
    pub recent: u32,
    /// UIDNEXT
    pub uid_next: u64,
    /// UIDVALIDITY
    pub uid_validity: UidValidity,
    /// UNSEEN: how many
    pub unseen: u32,
    /// DELETED: how many
    pub deleted: u32,
    /// SIZE (RFC 8438)
    pub size: u64,
    /// HIGHESTMODSEQ
    pub highest_modseq: facteur_model::ModSeq,
}

/// A Sieve script as LISTSCRIPTS shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptInfo {
    /// Its name.
    pub name: String,
    /// Whether it is the active one.
    pub active: bool,
}

impl Account {
    /// What the directory said of it.
    pub fn spec(&self) -> Arc<AccountSpec> {
        todo!()
    }
    /// Every folder, INBOX first, then by name; subscribed names without a folder are left out.
    pub fn folders(&self) -> Result<Vec<FolderInfo>, StoreError> {
        todo!()
    }
    /// Subscribed names, also of folders that are gone (RFC 9051 §6.3.7).
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>, StoreError> {
        todo!()
    }
    /// SUBSCRIBE, UNSUBSCRIBE.
    pub fn set_subscribed(&self, _name: &MailboxName, _subscribed: bool) -> Result<(), StoreError> {
        todo!()
    }
    /// CREATE, with the levels above it.
    pub fn create(&self, _name: &MailboxName) -> Result<(), StoreError> {
        todo!()
    }
    /// DELETE (RFC 9051 §6.3.5).
    pub fn delete(&self, _name: &MailboxName) -> Result<(), StoreError> {
        todo!()
    }
    /// RENAME with what lies below; of INBOX its messages move (RFC 9051 §6.3.6).
    pub fn rename(&self, _from: &MailboxName, _to: &MailboxName) -> Result<(), StoreError> {
        todo!()
    }
    /// Opens a mailbox for sessions.
    pub fn open(&self, _name: &MailboxName) -> Result<Mailbox, StoreError> {
        todo!()
    }
    /// STATUS, without loading the mailbox where it is not loaded.
    pub fn status(&self, _name: &MailboxName) -> Result<MailboxStatus, StoreError> {
        todo!()
    }
    /// What it holds.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        todo!()
    }
    /// What it may hold.
    pub fn quota(&self) -> QuotaLimits {
        todo!()
    }
    /// LISTSCRIPTS.
    pub fn scripts(&self) -> Result<Vec<ScriptInfo>, StoreError> {
        todo!()
    }
    /// GETSCRIPT.
    pub fn script(&self, _name: &str) -> Result<Vec<u8>, StoreError> {
        todo!()
    }
    /// The active script's name and text, if there is one.
    pub fn active_script(&self) -> Result<Option<(String, Arc<[u8]>)>, StoreError> {
        todo!()
    }
    /// PUTSCRIPT: the caller has checked it.
    pub fn put_script(&self, _name: &str, _text: &[u8]) -> Result<(), StoreError> {
        todo!()
    }
    /// DELETESCRIPT.
    pub fn delete_script(&self, _name: &str) -> Result<(), StoreError> {
        todo!()
    }
    /// RENAMESCRIPT.
    pub fn rename_script(&self, _from: &str, _to: &str) -> Result<(), StoreError> {
        todo!()
    }
    /// SETACTIVE; `None` makes none active.
    pub fn set_active_script(&self, _name: Option<&str>) -> Result<(), StoreError> {
        todo!()
    }
    /// Whether Sieve remembers `key` (and it has not expired at `now`, Unix seconds).
    pub fn remembers(&self, _key: &[u8; 32], _now: i64) -> Result<bool, StoreError> {
        todo!()
    }
}
