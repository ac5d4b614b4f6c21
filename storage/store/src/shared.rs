//! What all accounts of a store share.

mod cache;

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map},
    fmt,
    path::{Path, PathBuf},
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;
use facteur_disk::{Disk, FileSystem, Lock};
use facteur_maildir::BaseNames;
use facteur_model::{AccountId, AccountSpec};
use facteur_spool::{Entry, Spool};

use crate::{
    Options, StoreError,
    compress::Compression,
    handles::Handles,
    load,
    log::Log,
    mail_root::MailRoot,
    maildir,
    owner::Owner,
    replay::{How, Replay, Scope},
    start::Run,
    usage::{Gate, UsageChanged},
};

/// Called with entries that came into the spool.
pub type Spooled = Arc<dyn Fn(&[Entry]) + Send + Sync>;

type Slot = Arc<Mutex<Option<Arc<Owner>>>>;

/// The inside of a store.
pub(crate) struct Shared {
    pub(crate) disk: Disk,
    pub(crate) options: Options,
    pub(crate) spool: Spool,
    pub(crate) staging: Arc<PathBuf>,
    pub(crate) log: Arc<Log>,
    pub(crate) start: Run,
    pub(crate) mail_root: MailRoot,
    /// Held while a checkpoint is made.
    pub(crate) checkpointing: Mutex<()>,
    /// A file system could not be synced: what was written before may be lost, whatever a later sync
    /// says.
    sync_failed: AtomicBool,
    /// The file systems that accounts lie on.
    file_systems: Mutex<BTreeMap<u64, Arc<FileSystem>>>,
    pub(crate) handles: Handles,
    pub(crate) on_spooled: ArcSwapOption<Spooled>,
    pub(crate) on_usage: ArcSwapOption<UsageChanged>,
    pub(crate) gate: ArcSwapOption<Gate>,
    pub(crate) compression: Compression,
    /// Names of new files in Maildirs.
    pub(crate) names: BaseNames,
    pub(crate) watch: maildir::Watch,
    accounts: Mutex<HashMap<AccountId, Slot>>,
    /// Accounts that nobody can have now, because their index is being rebuilt.
    closed: Mutex<HashSet<AccountId>>,
    /// The homes of loaded accounts.
    homes: Mutex<HashMap<PathBuf, AccountId>>,
    started: Instant,
    swept: AtomicU64,
    /// What loaded accounts take together, roughly, in octets.
    weight: AtomicU64,
    _lock: Lock,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("state", &self.options.state)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        disk: Disk,
        options: Options,
        spool: Spool,
        log: Arc<Log>,
        start: Run,
        lock: Lock,
    ) -> Arc<Self> {
        let host = maildir::host(&disk);
        Arc::new(Self {
            staging: Arc::new(options.state.join("staging")),
            mail_root: MailRoot::new(options.mail_root.clone(), &options.state),
            disk,
            options,
            spool,
            log,
            start,
            sync_failed: AtomicBool::new(false),
            checkpointing: Mutex::default(),
            file_systems: Mutex::default(),
            handles: Handles::default(),
            on_spooled: ArcSwapOption::empty(),
            on_usage: ArcSwapOption::empty(),
            gate: ArcSwapOption::empty(),
            compression: Compression::default(),
            names: BaseNames::new(&host),
            watch: maildir::Watch::default(),
            accounts: Mutex::default(),
            closed: Mutex::default(),
            homes: Mutex::default(),
            started: Instant::now(),
            swept: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The owner of an account; it is loaded when nobody has it.
    pub(crate) fn owner(self: &Arc<Self>, spec: &AccountSpec) -> Result<Arc<Owner>, StoreError> {
        let now = self.started.elapsed().as_secs();
        self.refuse_closed(&spec.id)?;
        let slot = self.slot(&spec.id);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = held.as_ref().filter(|owner| !owner.is_broken()) {
            refuse_moved(owner, spec)?;
            owner.set_spec(spec);
            owner.used.store(now, Ordering::Relaxed);
            return Ok(Arc::clone(owner));
        }
        // A broken owner's handle must be closed before the index is opened again.
        if let Some(broken) = held.take() {
            broken.dismiss();
            self.forget_weight(&broken);
            self.release_home(broken.layout.home());
        }
        self.claim_home(spec)?;
        let loaded = self
            .settle(&spec.id)
            .and_then(|settled| load::account(self, spec, settled));
        let owner = match loaded {
            Ok(owner) => Arc::new(owner),
            Err(error) => {
                self.release_home(&spec.home);
                return Err(error);
            }
        };
        owner.used.store(now, Ordering::Relaxed);
        self.handles.opened(&owner);
        *held = Some(Arc::clone(&owner));
        self.count(&owner)?;
        self.tell_again(&owner)?;
        Ok(owner)
    }

    /// Does what could not be done of the journal's changes to an account that is not loaded; says
    /// whether there was any.
    pub(crate) fn settle(&self, account: &AccountId) -> Result<bool, StoreError> {
        // A checkpoint that carries the account's changes forward must not be seen half done.
        let _going = self.log.keep_going();
        if !self.log.since().unsettled.contains(account) {
            return Ok(false);
        }
        self.log.journal.sync()?;
        let mut replay = Replay::new(&self.disk, &self.log, None, How::default());
        self.log.journal.visit(|lsn, bytes| {
            replay.record(lsn, bytes, Scope::Account(account));
            Ok::<_, StoreError>(())
        })?;
        replay.finish();
        self.log.unlink_later(std::mem::take(&mut replay.unlinks));
        if !replay.unsettled.is_empty() {
            if replay.no_space {
                return Err(StoreError::NoSpace);
            }
            return Err(StoreError::Io(std::io::Error::other(
                "changes that the journal has cannot be brought into the account",
            )));
        }
        self.log.since().unsettled.remove(account);
        Ok(true)
    }

    fn slot(&self, id: &AccountId) -> Slot {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(id.clone()).or_default())
    }

    /// Does something to an account while nobody loads it or fetches its owner, who is in what
    /// `work` gets if there is one.
    pub(crate) fn with_slot<T>(
        &self,
        spec: &AccountSpec,
        work: impl FnOnce(&mut Option<Arc<Owner>>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let slot = self.slot(&spec.id);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_deref() {
            Some(owner) => refuse_moved(owner, spec)?,
            None => self.claim_home(spec)?,
        }
        let before = held.as_ref().map(|owner| {
            let counted = owner.weight.load(Ordering::Relaxed);
            (Arc::downgrade(owner), counted)
        });
        let worked = work(&mut held);
        let now = held.as_ref().map_or(ptr::null(), Arc::as_ptr);
        if let Some((owner, counted)) = before
            && owner.as_ptr() != now
        {
            match owner.upgrade() {
                Some(owner) => self.forget_weight(&owner),
                None => drop(self.weight.fetch_sub(counted, Ordering::Relaxed)),
            }
        }
        match &*held {
            Some(owner) => self.count(owner)?,
            None => self.release_home(&spec.home),
        }
        worked
    }

    /// Ends an account's sessions and lets go of it.
    pub(crate) fn send_away(self: &Arc<Self>, id: &AccountId) {
        let slot = self.slot(id);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = held.take() {
            owner.retire(self);
            self.forget_weight(&owner);
            self.release_home(owner.layout.home());
        }
    }

    /// Has everybody who asks for the account told at once to come back later, until the guard is
    /// dropped. `None` when it is so already.
    pub(crate) fn close_account(self: &Arc<Self>, id: &AccountId) -> Option<Closed> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.insert(id.clone()).then(|| Closed {
            shared: Arc::clone(self),
            id: id.clone(),
        })
    }

    fn refuse_closed(&self, id: &AccountId) -> Result<(), StoreError> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.contains(id) {
            return Err(StoreError::Index("it is being rebuilt".to_owned()));
        }
        Ok(())
    }

    fn release_home(&self, home: &Path) {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.remove(home);
    }

    /// The owner of an account, if there is one and nobody has to be waited for.
    pub(crate) fn owner_at_hand(&self, id: &AccountId) -> Option<Arc<Owner>> {
        let slot = Arc::clone(self.accounts.try_lock().ok()?.get(id)?);
        let held = slot.try_lock().ok()?;
        held.as_ref().map(Arc::clone)
    }

    /// One home is one account's: two owners would write over each other.
    fn claim_home(&self, spec: &AccountSpec) -> Result<(), StoreError> {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let claimed = homes
            .entry(spec.home.clone())
            .or_insert_with(|| spec.id.clone());
        if *claimed != spec.id {
            tracing::error!(account = %spec.id, other = %claimed, home = %spec.home.display(), "two accounts have the same mail home");
            return Err(StoreError::Cannot("the mail home is another account's"));
        }
        Ok(())
    }

    /// Every account's place. A place may be taken for long: nobody waits for one with the map locked.
    fn slots(&self) -> Vec<(AccountId, Slot)> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = accounts.iter();
        slots
            .map(|(id, slot)| (id.clone(), Arc::clone(slot)))
            .collect()
    }

    /// Notes that something of the store's lies at `path`, for [`Self::sync_file_systems`].
    pub(crate) fn touches(&self, path: &Path) -> Result<(), StoreError> {
        let (device, _) = self.disk.identity(path)?;
        let mut known = self
            .file_systems
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let btree_map::Entry::Vacant(new) = known.entry(device) {
            new.insert(Arc::new(self.disk.file_system(path)?));
        }
        Ok(())
    }

    /// Makes everything durable on every file system that the store has used.
    ///
    /// # Errors
    /// After one, never again: the system may have dropped what it could not write, and says so only
    /// once. The journal has it all, and the next start writes it anew.
    pub(crate) fn sync_file_systems(&self) -> Result<(), StoreError> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(StoreError::Io(std::io::Error::other(
                "a file system failed to sync: what the journal has is written anew when the server is started again",
            )));
        }
        let synced = self.sync_each_file_system();
        if let Err(error) = &synced {
            self.sync_failed.store(true, Ordering::Release);
            tracing::error!(%error, "a file system could not be synced: the journal keeps all that it has until the server is started again");
            if let Err(error) = self.start.doubt(&self.disk) {
                tracing::error!(%error, "that could not be noted for the next start");
            }
        }
        synced
    }

    fn sync_each_file_system(&self) -> Result<(), StoreError> {
        let known: Vec<Arc<FileSystem>> = {
            let known = self
                .file_systems
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            known.values().map(Arc::clone).collect()
        };
        Ok(known
            .iter()
            .try_for_each(|file_system| file_system.sync())?)
    }

    /// Every loaded account; those that are being loaded are waited for.
    pub(crate) fn loaded(&self) -> Vec<Arc<Owner>> {
        let slots = self.slots().into_iter();
        slots
            .filter_map(|(_, slot)| slot.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.log.end();
    }
}

/// An account stays where it is while somebody uses it.
fn refuse_moved(owner: &Owner, spec: &AccountSpec) -> Result<(), StoreError> {
    match owner.layout.home() == spec.home && owner.layout.format() == spec.format {
        true => Ok(()),
        false => Err(StoreError::Cannot("the account's home has changed")),
    }
}

/// Keeps an account closed: [`Shared::close_account`].
pub(crate) struct Closed {
    shared: Arc<Shared>,
    id: AccountId,
}

impl Drop for Closed {
    fn drop(&mut self) {
        let closed = &self.shared.closed;
        let mut closed = closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.remove(&self.id);
    }
}
