//! What all accounts of a store share.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;
use facteur_disk::{Disk, Lock};
use facteur_model::{AccountId, AccountSpec};
use facteur_spool::{Entry, Spool};

use crate::{
    Options, StoreError,
    compress::Compression,
    load,
    owner::Owner,
    usage::{Gate, UsageChanged},
};

/// Most open index databases.
const MAX_HANDLES: usize = 128;
/// An account nobody uses stays in memory so long, in seconds.
const IDLE_SECS: u64 = 300;

/// Called with entries that came into the spool.
pub type Spooled = Arc<dyn Fn(&[Entry]) + Send + Sync>;

type Slot = Arc<Mutex<Option<Arc<Owner>>>>;

/// The inside of a store.
pub(crate) struct Shared {
    pub(crate) disk: Disk,
    pub(crate) options: Options,
    pub(crate) spool: Spool,
    pub(crate) staging: Arc<PathBuf>,
    /// Tells one boot of the machine from another: while it lasts, what was written is not lost.
    pub(crate) boot: String,
    pub(crate) handles: Handles,
    pub(crate) on_spooled: ArcSwapOption<Spooled>,
    pub(crate) on_usage: ArcSwapOption<UsageChanged>,
    pub(crate) gate: ArcSwapOption<Gate>,
    pub(crate) compression: Compression,
    accounts: Mutex<HashMap<AccountId, Slot>>,
    /// Accounts that nobody can have now, because their index is being rebuilt.
    closed: Mutex<HashSet<AccountId>>,
    /// The homes of loaded accounts.
    homes: Mutex<HashMap<PathBuf, AccountId>>,
    started: Instant,
    swept: AtomicU64,
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
        boot: String,
        lock: Lock,
    ) -> Arc<Self> {
        Arc::new(Self {
            staging: Arc::new(options.state.join("staging")),
            disk,
            options,
            spool,
            boot,
            handles: Handles::default(),
            on_spooled: ArcSwapOption::empty(),
            on_usage: ArcSwapOption::empty(),
            gate: ArcSwapOption::empty(),
            compression: Compression::default(),
            accounts: Mutex::default(),
            closed: Mutex::default(),
            homes: Mutex::default(),
            started: Instant::now(),
            swept: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The owner of an account; it is loaded when nobody has it.
    pub(crate) fn owner(self: &Arc<Self>, spec: &AccountSpec) -> Result<Arc<Owner>, StoreError> {
        let now = self.started.elapsed().as_secs();
        self.sweep(now);
        self.refuse_closed(&spec.id)?;
        let slot = self.slot(&spec.id);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = held.as_ref().filter(|owner| !owner.is_broken()) {
            if owner.layout.home() != spec.home {
                return Err(StoreError::Cannot("the account's home has changed"));
            }
            owner.set_spec(spec);
            owner.used.store(now, Ordering::Relaxed);
            return Ok(Arc::clone(owner));
        }
        // A broken owner's handle must be closed before the index is opened again.
        if let Some(broken) = held.take() {
            broken.dismiss();
        }
        self.claim_home(spec)?;
        let owner = Arc::new(load::account(self, spec)?);
        owner.used.store(now, Ordering::Relaxed);
        self.handles.opened(&owner);
        *held = Some(Arc::clone(&owner));
        Ok(owner)
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
        if held.is_none() {
            self.claim_home(spec)?;
        }
        let worked = work(&mut held);
        if held.is_none() {
            self.release_home(&spec.home);
        }
        worked
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

    /// Unloads accounts that nobody has used for a while, once a minute.
    fn sweep(self: &Arc<Self>, now: u64) {
        let last = self.swept.load(Ordering::Relaxed);
        let due = now >= last + 60
            && self
                .swept
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if due {
            self.unload(|owner| owner.used.load(Ordering::Relaxed) + IDLE_SECS <= now);
        }
    }

    /// Unloads every account that is in no session's hands and for which `wanted` holds.
    pub(crate) fn unload(self: &Arc<Self>, wanted: impl Fn(&Owner) -> bool) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, slot| {
            // Nobody else has the slot: so nobody is loading or fetching this account.
            if Arc::strong_count(slot) > 1 {
                return true;
            }
            let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
            match held.take() {
                Some(owner) if Arc::strong_count(&owner) > 1 || !wanted(&owner) => {
                    *held = Some(owner);
                    true
                }
                Some(owner) => {
                    owner.unload(self);
                    self.release_home(owner.layout.home());
                    false
                }
                None => false,
            }
        });
    }

    /// Every loaded account.
    pub(crate) fn loaded(&self) -> Vec<Arc<Owner>> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts
            .values()
            .filter_map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
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

/// Open index databases, in the order they were opened: the eldest gives way.
#[derive(Default)]
pub(crate) struct Handles {
    open: Mutex<VecDeque<Weak<Owner>>>,
}

impl Handles {
    /// Notes that `owner` opened its index.
    pub(crate) fn opened(&self, owner: &Arc<Owner>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(Arc::downgrade(owner));
        // One that is in use now goes to the end; so at most one round.
        for _ in 0..open.len() {
            if open.len() <= MAX_HANDLES {
                break;
            }
            if let Some(eldest) = open.pop_front()
                && eldest.upgrade().is_some_and(|owner| !owner.release())
            {
                open.push_back(eldest);
            }
        }
    }
}
