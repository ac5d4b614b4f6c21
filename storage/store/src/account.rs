//! One account in use.

use std::sync::Arc;

use facteur_model::{AccountSpec, MailboxName, QuotaLimits, SpecialUse, UidValidity, Usage};

use crate::{
    Mailbox, Snapshot, StoreError,
    keywords::KeywordTable,
    owner::{ActiveScript, Owner, state_of},
    shared::Shared,
    view::{View, Wakes},
};

/// An account in use. Clones are the same account; it unloads some time after the last is dropped.
#[derive(Debug, Clone)]
pub struct Account {
    shared: Arc<Shared>,
    owner: Arc<Owner>,
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
    pub(crate) fn new(shared: &Arc<Shared>, owner: Arc<Owner>) -> Self {
        Self {
            shared: Arc::clone(shared),
            owner,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn owner(&self) -> &Arc<Owner> {
        &self.owner
    }

    /// What the directory said of it.
    pub fn spec(&self) -> Arc<AccountSpec> {
        self.owner.spec()
    }

    /// Every folder, INBOX first, then by name; subscribed names without a folder are left out.
    ///
    /// # Errors
    /// When the account is being reopened; so wherever nothing else is said.
    pub fn folders(&self) -> Result<Vec<FolderInfo>, StoreError> {
        self.owner.list(&self.shared)
    }

    /// Subscribed names, also of folders that are gone (RFC 9051 §6.3.7).
    ///
    /// # Errors
    /// When the account is being reopened.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>, StoreError> {
        Ok(self.owner.lock()?.subscriptions.iter().cloned().collect())
    }

    /// SUBSCRIBE, UNSUBSCRIBE.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_subscribed(&self, name: &MailboxName, subscribed: bool) -> Result<(), StoreError> {
        let mut state = self.owner.lock()?;
        self.owner
            .subscribe(&self.shared, &mut state, name, subscribed)
    }

    /// CREATE, with the levels above it.
    ///
    /// # Errors
    /// [`StoreError::MailboxExists`]; when the folder cannot be made.
    pub fn create(&self, name: &MailboxName) -> Result<(), StoreError> {
        let mut state = self.owner.lock()?;
        self.owner
            .make_folder(&self.shared, &mut state, name, false)
    }

    /// DELETE (RFC 9051 §6.3.5).
    ///
    /// # Errors
    /// [`StoreError::NoMailbox`]; [`StoreError::Cannot`] for INBOX and for a mere level above
    /// others.
    pub fn delete(&self, name: &MailboxName) -> Result<(), StoreError> {
        self.owner.remove_folder(&self.shared, name)
    }

    /// RENAME with what lies below; of INBOX its messages move (RFC 9051 §6.3.6).
    ///
    /// # Errors
    /// [`StoreError::NoMailbox`], [`StoreError::MailboxExists`], [`StoreError::Cannot`].
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<(), StoreError> {
        self.owner.rename_folder(&self.shared, from, to)
    }

    /// Whether there is such a mailbox (not only a level above others).
    ///
    /// # Errors
    /// When the account is being reopened.
    pub fn has_mailbox(&self, name: &MailboxName) -> Result<bool, StoreError> {
        let mut state = self.owner.lock()?;
        self.owner.notice_folder(&self.shared, &mut state, name)?;
        Ok(state.folders.contains_key(name))
    }

    /// Whether there can be a mailbox of this name in the account's format.
    pub fn may_have_mailbox(&self, name: &MailboxName) -> bool {
        self.owner.layout.check(name).is_ok()
    }

    /// Opens a mailbox for sessions.
    ///
    /// # Errors
    /// [`StoreError::NoMailbox`]; when the index cannot be read.
    pub fn open(&self, name: &MailboxName) -> Result<Mailbox, StoreError> {
        let mut wakes = Wakes::default();
        let mut state = self.owner.lock_settled(&self.shared, &mut wakes)?;
        self.owner.notice_folder(&self.shared, &mut state, name)?;
        let folder = state.folder_mut(name)?;
        let view = match folder.core.view() {
            Some(view) => view,
            None => {
                let id = folder.row.id;
                let mut chunks = Vec::new();
                let sets = self.owner.peek(&self.shared, |index, waiting| {
                    if waiting.0.is_empty() {
                        index.runs(id, &mut |run| {
                            chunks.push(run.iter().map(state_of).collect());
                        })?;
                    } else {
                        let rows = waiting.messages(index, id)?;
                        let rows = rows.chunks(256);
                        chunks.extend(rows.map(|rows| rows.iter().map(state_of).collect()));
                    }
                    waiting.keyword_sets(index, id)
                })?;
                let keywords = Arc::new(KeywordTable::from_rows(sets));
                folder.keywords = Some(Arc::clone(&keywords));
                let (uid_next, modseq) = (folder.shown.uid_next, folder.shown.highest_modseq);
                let snapshot = Snapshot::new(chunks, keywords, uid_next, modseq);
                let view = View::new(&folder.core, snapshot);
                if folder.core.maildir().is_some() {
                    self.shared.watch.add(&self.shared.disk, &self.owner, &view);
                }
                view
            }
        };
        self.shared.weigh(&self.owner, &state);
        drop(state);
        self.owner.notice(&self.shared, &view.core)?;
        Ok(Mailbox::new(&self.shared, &self.owner, view))
    }

    /// STATUS, without loading the mailbox where it is not loaded.
    ///
    /// # Errors
    /// [`StoreError::NoMailbox`].
    pub fn status(&self, name: &MailboxName) -> Result<MailboxStatus, StoreError> {
        let mut state = self.owner.lock()?;
        self.owner.notice_folder(&self.shared, &mut state, name)?;
        let core = Arc::clone(&state.folder(name)?.core);
        drop(state);
        self.owner.notice(&self.shared, &core)?;
        let state = self.owner.lock()?;
        let row = state.folder(name)?.shown;
        // At most: those from there on that were expunged again unseen are counted too, unless a
        // session has the mailbox open.
        let recent = match state.folder(name)?.core.view() {
            Some(view) => {
                let from = u32::try_from(row.recent_from).ok();
                let below = from.and_then(facteur_model::Uid::new);
                let snapshot = view.snapshot();
                below.map_or(0, |uid| snapshot.len() - snapshot.count_below(uid))
            }
            None => {
                let most = row.uid_next.saturating_sub(row.recent_from);
                u32::try_from(most).unwrap_or(u32::MAX).min(row.messages)
            }
        };
        Ok(MailboxStatus {
            messages: row.messages,
            recent,
            uid_next: row.uid_next,
            uid_validity: row.uid_validity,
            unseen: row.unseen,
            deleted: row.deleted,
            size: row.bytes,
            highest_modseq: row.highest_modseq,
        })
    }

    /// What it holds in the folders that count.
    ///
    /// # Errors
    /// When the account is being reopened.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let state = self.owner.lock()?;
        Ok(state.usage(&self.owner.spec().quota))
    }

    /// What it may hold.
    pub fn quota(&self) -> QuotaLimits {
        self.owner.spec().quota.clone()
    }

    /// LISTSCRIPTS.
    ///
    /// # Errors
    /// When the scripts' folder cannot be read.
    pub fn scripts(&self) -> Result<Vec<ScriptInfo>, StoreError> {
        let _state = self.owner.lock()?;
        self.scripts_on_disk().list()
    }

    /// GETSCRIPT.
    ///
    /// # Errors
    /// [`StoreError::NoScript`]; when it cannot be read.
    pub fn script(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.scripts_on_disk().read(name)
    }

    /// The active script's name and text, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn active_script(&self) -> Result<Option<ActiveScript>, StoreError> {
        let mut state = self.owner.lock()?;
        if let Some(known) = &state.script {
            return Ok(known.clone());
        }
        let active = self.scripts_on_disk().active()?;
        state.script = Some(active.clone());
        self.shared.weigh(&self.owner, &state);
        Ok(active)
    }

    /// PUTSCRIPT: the caller has checked it.
    ///
    /// # Errors
    /// [`StoreError::Cannot`] for a name that no file can have; when it cannot be written.
    pub fn put_script(&self, name: &str, text: &[u8]) -> Result<(), StoreError> {
        let mut state = self.owner.lock()?;
        state.script = None;
        self.scripts_on_disk().write(name, text)
    }

    /// DELETESCRIPT.
    ///
    /// # Errors
    /// [`StoreError::NoScript`], [`StoreError::Script`] for the active one.
    pub fn delete_script(&self, name: &str) -> Result<(), StoreError> {
        let _state = self.owner.lock()?;
        self.scripts_on_disk().remove(name)
    }

    /// RENAMESCRIPT.
    ///
    /// # Errors
    /// [`StoreError::NoScript`], [`StoreError::Script`] when `to` exists.
    pub fn rename_script(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let mut state = self.owner.lock()?;
        state.script = None;
        self.scripts_on_disk().rename(from, to)
    }

    /// SETACTIVE; `None` makes none active.
    ///
    /// # Errors
    /// [`StoreError::NoScript`].
    pub fn set_active_script(&self, name: Option<&str>) -> Result<(), StoreError> {
        let mut state = self.owner.lock()?;
        state.script = None;
        self.scripts_on_disk().activate(name)
    }

    /// Whether Sieve remembers `key` (and it has not expired at `now`, Unix seconds).
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn remembers(&self, key: &[u8; 32], now: i64) -> Result<bool, StoreError> {
        self.owner
            .index(&self.shared, |index| index.remembers(key, now))
    }

    fn scripts_on_disk(&self) -> crate::scripts::Scripts<'_> {
        crate::scripts::Scripts::new(&self.shared.disk, self.owner.layout.home())
    }
}
