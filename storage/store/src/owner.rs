//! The one owner of an account in this process.
//!
//! It holds the account's folders, their next numbers and counts, and, while a session has a mailbox
//! open, that mailbox's messages. A change takes its lock to get its numbers and its place in the
//! journal, and again, once it is durable, to be shown ([`crate::pending`]); sessions read snapshots
//! without any lock.

mod index;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use facteur_format::{Identity, Subscriptions};
use facteur_index::{MailboxRow, MessageRow};
use facteur_model::{AccountId, AccountSpec, Flag, MailboxName, Usage};

use crate::{
    KeywordSetId, MessageState, StoreError,
    format::Layout,
    keywords::KeywordTable,
    maildir,
    pending::Pending,
    shared::Shared,
    slot::{INCOMPLETE, SESSION, Slot},
    usage::Told,
    view::{Core, Wakes},
};

/// UIDs are reserved durably so many at a time. Some are lost only with an index.
const UID_BLOCK: u64 = 1 << 14;
/// MODSEQs are reserved durably so many at a time.
const MODSEQ_BLOCK: u64 = 1 << 20;

/// One account in use.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) id: AccountId,
    pub(crate) layout: Layout,
    spec: Mutex<Arc<AccountSpec>>,
    index: Mutex<Slot>,
    state: Mutex<State>,
    /// Files and memory may differ: this owner does nothing more, the next one is made from the
    /// journal, the index and the files.
    broken: AtomicBool,
    /// Whether it is among the accounts with rows to be written.
    pub(crate) dirty: AtomicBool,
    /// Whether a checkpoint could not write its rows: the journal carries them on.
    pub(crate) overdue: AtomicBool,
    /// When it was last used, in seconds of the store's clock.
    pub(crate) used: AtomicU64,
    /// What it takes in memory while no session has a mailbox open, roughly, in octets, as far as the
    /// store counts it; 0 while it does not.
    pub(crate) weight: AtomicU64,
}

/// What an account takes in memory, and each of its folders.
const WEIGHT: u64 = 4096;
const FOLDER_WEIGHT: u64 = 768;

/// What the owner knows of its account.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) folders: BTreeMap<MailboxName, Folder>,
    /// Folders without messages, only levels above others.
    pub(crate) levels: BTreeSet<MailboxName>,
    pub(crate) subscriptions: Subscriptions,
    /// Whether a power loss may take them.
    pub(crate) subscriptions_unsynced: bool,
    /// The highest UIDVALIDITY given.
    pub(crate) uid_validity: u32,
    /// The active script, once it was asked for.
    pub(crate) script: Option<Option<ActiveScript>>,
    /// What was told last of what it holds.
    pub(crate) told: Option<Told>,
    /// What is in the journal and not durable yet, in order: nobody sees it.
    pub(crate) pending: VecDeque<Pending>,
}

/// A script's name and text.
pub(crate) type ActiveScript = (String, Arc<[u8]>);

/// A mailbox's head: what a delivery needs, without its messages.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) core: Arc<Core>,
    /// Its numbers with all that is in the journal.
    pub(crate) row: MailboxRow,
    /// Its numbers as sessions may see them.
    pub(crate) shown: MailboxRow,
    pub(crate) identity: Identity,
    /// Its keywords, once they were asked for.
    pub(crate) keywords: Option<Arc<KeywordTable>>,
}

impl State {
    /// [`Owner::weight`] now.
    pub(crate) fn weight(&self) -> u64 {
        let folders = self.folders.len() + self.levels.len();
        let tables = self.folders.values().filter_map(|f| f.keywords.as_ref());
        let tables: usize = tables.map(|table| table.weight()).sum();
        let script = self.script.iter().flatten();
        let script: usize = script.map(|(name, text)| name.len() + text.len()).sum();
        WEIGHT + FOLDER_WEIGHT * folders as u64 + (tables + script) as u64
    }

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
    pub(crate) fn new(spec: &AccountSpec, layout: Layout, slot: Slot, mut state: State) -> Self {
        state.follow_usage(&spec.quota);
        Self {
            id: spec.id.clone(),
            layout,
            spec: Mutex::new(Arc::new(spec.clone())),
            index: Mutex::new(slot),
            state: Mutex::new(state),
            broken: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            overdue: AtomicBool::new(false),
            used: AtomicU64::new(0),
            weight: AtomicU64::new(0),
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

    /// Locks the account for messages to be added, or for a look at its folders.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_broken() {
            return Err(reopened());
        }
        Ok(state)
    }

    /// Locks the account for a change that depends on its messages: what others have in the journal
    /// is durable and shown first.
    pub(crate) fn lock_settled(
        self: &Arc<Self>,
        shared: &Shared,
        wakes: &mut Wakes,
    ) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.lock()?;
        let Some(last) = state.pending.back() else {
            return Ok(state);
        };
        // Others wait for the same sync; it does not need this lock.
        let waited = shared.log.wait(last.ticket);
        self.show(shared, &mut state, wakes);
        waited?;
        if self.is_broken() {
            return Err(reopened());
        }
        Ok(state)
    }

    /// Locks the account, if nobody has to be waited for and nothing is under way.
    pub(crate) fn lock_at_hand(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state.try_lock().ok()?;
        // While rows are written the index is taken for longer.
        let idle = state.pending.is_empty() && !self.is_broken() && self.index.try_lock().is_ok();
        idle.then_some(state)
    }

    /// What the account holds, if nobody has to be waited for.
    pub(crate) fn usage_at_hand(&self) -> Option<Usage> {
        let state = self.state.try_lock().ok()?;
        (!self.is_broken()).then(|| state.usage(&self.spec().quota))
    }

    /// Files and memory may differ, because a change could not be done or taken back: this owner
    /// does nothing more, the next one does the journal's changes again.
    pub(crate) fn abandon(&self, shared: &Shared, error: &StoreError) {
        tracing::error!(account = %self.id, %error, "files are not as they are remembered: the account is reopened");
        shared.log.unsettled(&self.id);
        self.broken.store(true, Ordering::Release);
    }

    /// Files are there that the index does not know: the account is reopened and they are taken over.
    pub(crate) fn look_through<T>(
        self: &Arc<Self>,
        shared: &Shared,
        error: &StoreError,
    ) -> Result<T, StoreError> {
        self.change(shared, |t| t.set_fact(SESSION, INCOMPLETE))?;
        self.abandon(shared, error);
        Err(reopened())
    }

    /// Sends the sessions of a broken owner away, and gives up its index.
    pub(crate) fn dismiss(&self) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pending.clear();
        for view in state.folders.values().filter_map(|f| f.core.view()) {
            view.wake_with(&mut wakes);
        }
        drop(state);
        let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        slot.close();
    }

    /// Ends this owner although nothing is wrong with it: what it is in the middle of is done first,
    /// then its sessions are sent away and its index is closed.
    pub(crate) fn retire(self: &Arc<Self>, shared: &Shared) {
        let mut wakes = Wakes::default();
        let named = self.write_names(shared);
        match self.lock_settled(shared, &mut wakes) {
            Ok(state) => {
                let written = named.and_then(|()| self.write_rows(shared));
                if let Err(error) = &written {
                    tracing::warn!(account = %self.id, %error, "rows of the index are written when the account is opened next");
                }
                if written.is_err() || state.has_names_to_write() {
                    shared.log.unsettled(&self.id);
                }
                self.broken.store(true, Ordering::Release);
            }
            // What its sessions do from now on would be done beside the next owner.
            Err(error) => self.abandon(shared, &error),
        }
        drop(wakes);
        self.dismiss();
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
        let Some(raised) = raised(held, uid, modseq) else {
            return Ok(());
        };
        let name = folder.core.name();
        raised.write(&shared.disk, &self.layout, &name)?;
        if held.modseq_ceiling == 1 {
            // The first number ever: the folder itself may not be durable yet.
            crate::folders::sync_names_of(
                &shared.disk,
                self.layout.home(),
                &self.layout.folder(&name),
            )?;
        }
        folder.identity = raised;
        Ok(())
    }
}

/// An identity whose numbers reach beyond `uid` and `modseq`, if the one that is held does not.
pub(crate) fn raised(held: Identity, uid: u64, modseq: u64) -> Option<Identity> {
    let reaches = uid < held.uid_ceiling && modseq < held.modseq_ceiling;
    (!reaches).then(|| Identity {
        uid_ceiling: held.uid_ceiling.max(uid.saturating_add(UID_BLOCK)),
        modseq_ceiling: held.modseq_ceiling.max(modseq.saturating_add(MODSEQ_BLOCK)),
        ..held
    })
}

fn reopened() -> StoreError {
    StoreError::Index("the account is reopened".to_owned())
}

/// The fact that says how often the store had ended in the middle when the account was opened.
pub(crate) const START: &str = "start";
/// The fact that says when old deliveries were forgotten last.
pub(crate) const FORGOTTEN: &str = "deliveries_forgotten";
/// The fact that keeps the highest UIDVALIDITY when its mailbox is deleted.
pub(crate) const UID_VALIDITY: &str = "uid_validity";

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
    /// Whether names or lists of a Maildir lack something.
    pub(crate) fn has_names_to_write(&self) -> bool {
        let cores = self.folders.values().map(|folder| &folder.core);
        let mut maildirs = cores.filter_map(|core| core.maildir());
        maildirs.any(maildir::Folder::has_work)
    }

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
