//! The store as a whole.

use std::{path::PathBuf, sync::Arc};

use facteur_disk::Disk;
use facteur_model::{AccountId, AccountSpec, MailboxName, SpecialUse, Usage};
use facteur_spool::Spool;

use crate::{
    Account, Batch, Committed, Staging, StoreError, commit, recovery,
    shared::{Shared, Spooled},
    usage::{Gate, UsageChanged},
};

/// Where the store lies and what it makes by itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its own folder: spool, staging files.
    pub state: PathBuf,
    /// Folders every account has.
    pub auto_folders: Vec<AutoFolder>,
    /// Bodies up to this many bytes are staged in memory.
    pub staging_memory: usize,
}

/// A folder that every account has (Dovecot's `mailbox { auto, special_use }`).
#[derive(Debug, Clone)]
pub struct AutoFolder {
    /// Its name.
    pub name: MailboxName,
    /// Made when missing.
    pub create: bool,
    /// Subscribed when made.
    pub subscribe: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// The mail store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

impl Store {
    /// Opens it and recovers: what an earlier process left half done is ended first.
    ///
    /// # Errors
    /// When its folder cannot be used, or another process has it.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        Self::open_on(Disk::real(), options)
    }

    /// As [`Store::open`], on a disk that may have faults.
    ///
    /// # Errors
    /// When its folder cannot be used, or another process has it.
    pub fn open_on(disk: Disk, options: Options) -> Result<Self, StoreError> {
        let staging = options.state.join("staging");
        disk.create_dir_all_durably(&staging)?;
        let lock = disk
            .lock(&options.state.join("lock"))?
            .ok_or(StoreError::Cannot(
                "another process has this mail store open",
            ))?;
        for left in disk.read_dir(&staging)? {
            disk.unlink_if_there(&staging.join(left.name))?;
        }
        let spool = Spool::open(disk.clone(), &options.state.join("spool"))?;
        let boot = boot_id(&disk)?;
        let shared = Shared::new(disk, options, spool, boot, lock);
        recovery::run(&shared)?;
        Ok(Self { shared })
    }

    /// The disk it is on.
    pub(crate) fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// Begins a body.
    pub fn stage(&self) -> Staging {
        let shared = &self.shared;
        Staging::new(&shared.disk, &shared.staging, shared.options.staging_memory)
    }

    /// Opens an account; its home is made when missing.
    ///
    /// # Errors
    /// When its home cannot be used.
    pub fn account(&self, spec: &AccountSpec) -> Result<Account, StoreError> {
        let owner = self.shared.owner(spec)?;
        Ok(Account::new(&self.shared, owner))
    }

    /// What an account that is in use holds, if that can be told at once: this never waits, so that
    /// async callers may ask. `None` says nothing about the account: ask [`Self::account`] then.
    pub fn usage_at_hand(&self, account: &AccountId) -> Option<Usage> {
        self.shared.owner_at_hand(account)?.usage_at_hand()
    }

    /// Makes everything in the batch durable and visible, or nothing. Returns after the syncs it
    /// needs: only then may a 250 be written.
    ///
    /// # Errors
    /// Then nothing of the batch was done.
    pub fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        commit::commit(&self.shared, &batch)
    }

    /// Compresses new messages with zstd at this level; those that are there stay as they are.
    pub fn compress_with(&self, level: Option<i32>) {
        self.shared.compression.set(level);
    }

    /// Octets that may still be written where messages come in.
    ///
    /// # Errors
    /// When the file system cannot say.
    pub fn free_bytes(&self) -> std::io::Result<u64> {
        self.shared.disk.free_bytes(&self.shared.options.state)
    }

    /// The spool, for the queue.
    pub fn spool(&self) -> &Spool {
        &self.shared.spool
    }

    /// Calls `wake` whenever a commit put entries into the spool.
    pub fn on_spooled(&self, wake: Spooled) {
        self.shared.on_spooled.store(Some(Arc::new(wake)));
    }

    /// Calls `told` whenever a commit or a session changed what an account holds.
    pub fn on_usage_changed(&self, told: UsageChanged) {
        self.shared.on_usage.store(Some(Arc::new(told)));
    }

    /// Asks `gate` before a strict append, or a copy, lets an account hold more.
    pub fn set_gate(&self, gate: Option<Gate>) {
        self.shared.gate.store(gate.map(Arc::new));
    }

    /// Ends what is under way and makes everything durable. Accounts that a session still holds
    /// stay usable; they are looked through at the next start.
    ///
    /// # Errors
    /// When an index cannot be made durable.
    pub fn close(&self) -> Result<(), StoreError> {
        for owner in self.shared.loaded() {
            let _state = owner.lock()?;
            owner.index(&self.shared, |index| index.checkpoint())?;
        }
        self.shared.unload(|_| true);
        Ok(())
    }
}

/// Names this boot of the machine; without a name every start counts as one.
fn boot_id(disk: &Disk) -> Result<String, StoreError> {
    let path = std::path::Path::new("/proc/sys/kernel/random/boot_id");
    match disk.read(path) {
        Ok(id) => Ok(String::from_utf8_lossy(&id).trim().to_owned()),
        Err(_) => Ok(facteur_model::Guid::random()?.to_string()),
    }
}
