//! The store as a whole.

use std::{path::PathBuf, sync::Arc, time::Duration};

use facteur_disk::Disk;
use facteur_journal::{Clock, Fsync};
use facteur_model::{AccountId, AccountSpec, MailboxName, SpecialUse, Usage};
use facteur_spool::Spool;

use crate::{
    Account, Batch, Checkpoints, Committed, NotCommitted, Staging, StoreError,
    body::MakeRoom,
    checkpoint, commit,
    shared::{Shared, Spooled},
    start,
    usage::{Gate, UsageChanged},
};

/// Where the store lies, what it makes by itself, and how it keeps what it has.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Its own folder: journal, spool, staging files.
    pub state: PathBuf,
    /// The folder of all homes, if they have one. While there is nothing in it, though there was, no
    /// home is made: its disk is not mounted.
    pub mail_root: Option<PathBuf>,
    /// Folders every account has.
    pub auto_folders: Vec<AutoFolder>,
    /// Bodies up to this many bytes are staged in memory, and kept in the journal until a checkpoint.
    pub staging_memory: usize,
    /// The journal, and when it is emptied.
    pub checkpoints: Checkpoints,
    /// Accounts that nobody uses.
    pub cache: AccountCache,
    /// What is synced.
    pub fsync: Fsync,
    /// When a journal that failed may be tried again. A test brings its own.
    pub clock: Clock,
}

/// How long accounts that nobody uses stay in memory.
#[derive(Debug, Clone, Copy)]
pub struct AccountCache {
    /// While all accounts take more octets than this, the eldest of them are forgotten.
    pub size: u64,
    /// They are forgotten after so long.
    pub idle: Duration,
}

impl Default for AccountCache {
    fn default() -> Self {
        Self {
            size: 32 << 20,
            idle: Duration::from_secs(300),
        }
    }
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
        let checkpoints = options.checkpoints;
        let shared = start::open(disk, options)?;
        if checkpoints.background {
            checkpoint::start(&shared, checkpoints)?;
            shared.watch.start(&shared);
        }
        Ok(Self { shared })
    }

    /// The disk it is on.
    pub(crate) fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// Begins a body.
    pub fn stage(&self) -> Staging {
        let shared = &self.shared;
        let staging = Staging::new(&shared.disk, &shared.staging, shared.options.staging_memory);
        let shared = Arc::downgrade(shared);
        staging.with_room(MakeRoom(Box::new(move || {
            let shared = shared.upgrade();
            shared.is_some_and(|shared| checkpoint::make_room(&shared))
        })))
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

    /// Whether the mail folder has what it had; else no homes are made.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn look_at_mail_root(&self) -> Result<(), StoreError> {
        self.shared.mail_root.look(&self.shared.disk)
    }

    /// Makes everything in the batch durable and visible, or nothing. Returns after the syncs it
    /// needs: only then may a 250 be written.
    ///
    /// # Errors
    /// Then nothing of the batch was done.
    pub fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.deliver(batch).map_err(|failed| failed.cause)
    }

    /// As [`Self::commit`], for batches of several accounts: says whose they are that cannot take
    /// anything now, so that the others need not wait for them.
    ///
    /// # Errors
    /// Then nothing of the batch was done.
    pub fn deliver(&self, batch: Batch) -> Result<Committed, NotCommitted> {
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

    /// Calls `told` whenever a commit or a session changed what an account holds; and with what it
    /// holds when it is loaded, in case that an earlier process could not tell all.
    pub fn on_usage_changed(&self, told: UsageChanged) {
        self.shared.on_usage.store(Some(Arc::new(told)));
    }

    /// Asks `gate` before an append or a copy lets an account hold more.
    pub fn set_gate(&self, gate: Option<Gate>) {
        self.shared.gate.store(gate.map(Arc::new));
    }

    /// Brings everything that the journal has to where it belongs, durably, and empties the journal.
    ///
    /// # Errors
    /// When the disk fails; the journal keeps what it has.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        checkpoint::run(&self.shared)
    }

    /// Ends what is under way and makes everything durable. Accounts that a session still holds
    /// stay usable.
    ///
    /// # Errors
    /// When the disk fails; the next start does what is missing.
    pub fn close(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        checkpoint::run(shared)?;
        for owner in shared.loaded() {
            owner.mark_clean(shared)?;
        }
        shared.unload(|_| true);
        shared.sync_file_systems()?;
        shared.log.journal.close()?;
        // Nothing is left to be done in the background.
        shared.log.end();
        Ok(())
    }
}
