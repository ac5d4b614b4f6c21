//! The one owner of an account in this process.
//!
//! It holds the account's folders, their next numbers and counts, and, while a session has a mailbox
//! open, that mailbox's messages. Every change takes its lock from the first file touched to the
//! moment sessions may see it; sessions read snapshots without any lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use facteur_index::{Index, IndexError, MailboxRow, MessageRow, Transaction};
use facteur_model::{AccountId, AccountSpec, Flag, MailboxName, Usage};
use facteur_sdbox::{Identity, Layout, Subscriptions};

use crate::{
    KeywordSetId, MessageState, StoreError,
    keywords::KeywordTable,
    shared::Shared,
    usage::Told,
    view::{Core, Wakes},
};

/// UIDs are reserved durably so many at a time.
const UID_BLOCK: u64 = 1024;
/// MODSEQs are reserved durably so many at a time.
const MODSEQ_BLOCK: u64 = 1 << 20;

/// One account in use.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) id: AccountId,
    pub(crate) layout: Layout,
    spec: Mutex<Arc<AccountSpec>>,
    index: Mutex<Option<Index>>,
    state: Mutex<State>,
    /// The index was found damaged: this owner does nothing more, the next one rebuilds it.
    broken: AtomicBool,
    /// When it was last used, in seconds of the store's clock.
    pub(crate) used: AtomicU64,
}

/// What the owner knows of its account.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) folders: BTreeMap<MailboxName, Folder>,
    /// Folders without messages, only levels above others.
    pub(crate) levels: BTreeSet<MailboxName>,
    pub(crate) subscriptions: Subscriptions,
    /// The highest UIDVALIDITY given.
    pub(crate) uid_validity: u32,
    /// Whether the index says that it is in use.
    pub(crate) marked: bool,
    /// The active script, once it was asked for.
    pub(crate) script: Option<Option<ActiveScript>>,
    /// What was told last of what it holds.
    pub(crate) told: Option<Told>,
}

/// A script's name and text.
pub(crate) type ActiveScript = (String, Arc<[u8]>);

/// A mailbox's head: what a delivery needs, without its messages.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) core: Arc<Core>,
    pub(crate) row: MailboxRow,
    pub(crate) identity: Identity,
    /// Its keywords, once they were asked for.
    pub(crate) keywords: Option<Arc<KeywordTable>>,
}

impl State {
    pub(crate) fn folder(&self, name: &MailboxName) -> Result<&Folder, StoreError> {
        self.folders
            .get(name)
            .ok_or_else(|| StoreError::NoMailbox(name.clone()))
    }

    pub(crate) fn folder_mut(&mut self, name: &MailboxName) -> Result<&mut Folder, StoreError> {
        self.folders
            .get_mut(name)
            .ok_or_else(|| StoreError::NoMailbox(name.clone()))
    }
}

impl Owner {
    pub(crate) fn new(spec: &AccountSpec, layout: Layout, index: Index, mut state: State) -> Self {
        state.follow_usage(&spec.quota);
        Self {
            id: spec.id.clone(),
            layout,
            spec: Mutex::new(Arc::new(spec.clone())),
            index: Mutex::new(Some(index)),
            state: Mutex::new(state),
            broken: AtomicBool::new(false),
            used: AtomicU64::new(0),
        }
    }

    pub(crate) fn spec(&self) -> Arc<AccountSpec> {
        Arc::clone(&self.spec.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what the directory says now.
    pub(crate) fn set_spec(&self, spec: &AccountSpec) {
        let mut held = self.spec.lock().unwrap_or_else(PoisonError::into_inner);
        if **held != *spec {
            *held = Arc::new(spec.clone());
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Locks the account for a change, or for a look at its folders.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_broken() {
            return Err(StoreError::Index("the account is reopened".to_owned()));
        }
        Ok(state)
    }

    /// What the account holds, if nobody has to be waited for.
    pub(crate) fn usage_at_hand(&self) -> Option<Usage> {
        let state = self.state.try_lock().ok()?;
        (!self.is_broken()).then(|| state.usage(&self.spec().quota))
    }

    /// Locks the account for a change of its files. That it is in use is noted first: whatever comes
    /// next, the next owner looks through the files.
    pub(crate) fn lock_for_change(
        self: &Arc<Self>,
        shared: &Shared,
    ) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.lock()?;
        if !state.marked {
            self.change(shared, &mut state, |_| Ok(()))?;
        }
        Ok(state)
    }

    /// Files and memory may differ, because a failed change could not be taken back: this owner does
    /// nothing more, the next one looks through the files.
    pub(crate) fn abandon(&self, error: &StoreError) {
        tracing::error!(account = %self.id, %error, "files are not as they are remembered: the account is reopened");
        self.broken.store(true, Ordering::Release);
    }

    /// Sends the sessions of a broken owner away, and gives up its index.
    pub(crate) fn dismiss(&self) {
        let mut wakes = Wakes::default();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for view in state.folders.values().filter_map(|f| f.core.view()) {
            view.wake_with(&mut wakes);
        }
        drop(state);
        self.release();
    }

    /// Ends this owner although nothing is wrong with it: what it is in the middle of is done first,
    /// then its sessions are sent away and its index is closed.
    pub(crate) fn retire(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.broken.store(true, Ordering::Release);
        drop(state);
        // Whoever reads it now is waited for.
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.dismiss();
    }

    /// Uses the index, opening it when its handle was given up.
    pub(crate) fn index<T>(
        self: &Arc<Self>,
        shared: &Shared,
        work: impl FnOnce(&mut Index) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_broken() {
            return Err(StoreError::Index("the account is reopened".to_owned()));
        }
        let index = match &mut *slot {
            Some(index) => index,
            none => {
                let index = Index::open(&shared.disk, &index_path(&self.layout))
                    .map_err(|error| self.fail(error))?;
                shared.handles.opened(self);
                none.insert(index)
            }
        };
        match work(index) {
            Ok(value) => Ok(value),
            Err(error) => {
                if matches!(error, IndexError::Damaged(_)) {
                    *slot = None;
                }
                Err(self.fail(error))
            }
        }
    }

    /// A damaged index ends this owner; the next use of the account rebuilds it.
    fn fail(&self, error: IndexError) -> StoreError {
        if matches!(error, IndexError::Damaged(_)) && !self.broken.swap(true, Ordering::AcqRel) {
            tracing::error!(account = %self.id, %error, "index is damaged: the account is reopened and its index rebuilt");
        }
        error.into()
    }

    /// Changes the index; the first change notes that it is in use.
    pub(crate) fn change<T>(
        self: &Arc<Self>,
        shared: &Shared,
        state: &mut State,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        let mark = !state.marked;
        let value = self.index(shared, |index| {
            index.transaction(|transaction| {
                if mark {
                    transaction.set_fact(SESSION, &format!("open {}", shared.boot))?;
                }
                change(transaction)
            })
        })?;
        state.marked = true;
        Ok(value)
    }

    /// Gives up the index's handle if nobody uses it now; says whether it is given up.
    pub(crate) fn release(&self) -> bool {
        match self.index.try_lock() {
            Ok(mut slot) => {
                *slot = None;
                true
            }
            Err(_) => false,
        }
    }

    /// Notes that the account was left in order, so that the next owner need not look through the
    /// files. Failing to costs only that look.
    pub(crate) fn unload(self: &Arc<Self>, shared: &Shared) {
        let Ok(mut state) = self.lock() else { return };
        if state.marked {
            let noted = self.index(shared, |index| {
                index.transaction(|t| t.set_fact(SESSION, &format!("clean {}", shared.boot)))
            });
            match noted {
                Ok(()) => state.marked = false,
                Err(error) => {
                    tracing::warn!(account = %self.id, %error, "account could not be closed cleanly")
                }
            }
        }
        drop(state);
        self.release();
    }

    /// Reserves numbers so that `uid` and `modseq` (the highest about to be given) were never given
    /// before and never will be again, whatever is lost of the index.
    pub(crate) fn reserve(
        &self,
        shared: &Shared,
        folder: &mut Folder,
        uid: u64,
        modseq: u64,
    ) -> Result<(), StoreError> {
        let held = folder.identity;
        if uid < held.uid_ceiling && modseq < held.modseq_ceiling {
            return Ok(());
        }
        let raised = Identity {
            uid_ceiling: held.uid_ceiling.max(uid.saturating_add(UID_BLOCK)),
            modseq_ceiling: held.modseq_ceiling.max(modseq.saturating_add(MODSEQ_BLOCK)),
            ..held
        };
        let name = folder.core.name();
        raised.write(&shared.disk, &self.layout, &name)?;
        if held.modseq_ceiling == 1 {
            // The first number ever: the folder itself may not be durable yet.
            crate::folders::sync_above(&shared.disk, &self.layout, &name)?;
        }
        folder.identity = raised;
        Ok(())
    }
}

/// The fact that says how the account was left.
pub(crate) const SESSION: &str = "session";
/// The fact that says when old deliveries were forgotten last.
pub(crate) const FORGOTTEN: &str = "deliveries_forgotten";
/// The fact that keeps the highest UIDVALIDITY when its mailbox is deleted.
pub(crate) const UID_VALIDITY: &str = "uid_validity";

pub(crate) fn index_path(layout: &Layout) -> std::path::PathBuf {
    layout.home().join("index.db")
}

pub(crate) fn state_of(row: &MessageRow) -> MessageState {
    MessageState {
        uid: row.uid,
        modseq: row.modseq,
        internal_date: row.internal_date,
        size: row.size,
        keywords: KeywordSetId(row.keywords),
        flags: row.flags,
    }
}

pub(crate) fn row_of(state: &MessageState) -> MessageRow {
    MessageRow {
        uid: state.uid,
        modseq: state.modseq,
        internal_date: state.internal_date,
        size: state.size,
        keywords: state.keywords.0,
        flags: state.flags,
    }
}

/// Counts a message in.
pub(crate) fn count_in(row: &mut MailboxRow, message: &MessageState) {
    row.messages = row.messages.saturating_add(1);
    row.bytes = row.bytes.saturating_add(message.size);
    row.unseen = row.unseen.saturating_add(unseen(message));
    row.deleted = row.deleted.saturating_add(deleted(message));
}

/// Counts a message out.
pub(crate) fn count_out(row: &mut MailboxRow, message: &MessageState) {
    row.messages = row.messages.saturating_sub(1);
    row.bytes = row.bytes.saturating_sub(message.size);
    row.unseen = row.unseen.saturating_sub(unseen(message));
    row.deleted = row.deleted.saturating_sub(deleted(message));
}

fn unseen(message: &MessageState) -> u32 {
    u32::from(!message.flags.contains(Flag::Seen))
}

fn deleted(message: &MessageState) -> u32 {
    u32::from(message.flags.contains(Flag::Deleted))
}

impl State {
    /// The folder that a session has open.
    pub(crate) fn folder_of(&self, core: &Arc<Core>) -> Result<&Folder, StoreError> {
        let name = core.name();
        let found = self.folders.get(&name);
        found
            .filter(|folder| Arc::ptr_eq(&folder.core, core))
            .ok_or(StoreError::NoMailbox(name))
    }

    /// The folder that a session has open.
    pub(crate) fn folder_of_mut(&mut self, core: &Arc<Core>) -> Result<&mut Folder, StoreError> {
        let name = core.name();
        let found = self.folders.get_mut(&name);
        found
            .filter(|folder| Arc::ptr_eq(&folder.core, core))
            .ok_or(StoreError::NoMailbox(name))
    }
}
