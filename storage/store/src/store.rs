//! The store as a whole.

use std::{path::PathBuf, sync::Arc};

use facteur_model::{AccountSpec, MailboxName, SpecialUse};
use facteur_spool::Entry;

use crate::{Account, Batch, Committed, Staging, StoreError};

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
    _inner: Arc<()>,
}

impl Store {
    /// Opens it and recovers: what an earlier process left half done is ended first.
    pub fn open(_options: Options) -> Result<Self, StoreError> {
        todo!()
    }
    /// Begins a body.
    pub fn stage(&self) -> Staging {
        todo!()
    }
    /// Opens an account; its home is made when missing.
    pub fn account(&self, _spec: &AccountSpec) -> Result<Account, StoreError> {
        todo!()
    }
    /// Makes everything in the batch durable and visible, or nothing. Returns after the syncs it
    /// needs: only then may a 250 be written.
    pub fn commit(&self, _batch: Batch) -> Result<Committed, StoreError> {
        todo!()
    }
    /// Calls `wake` whenever a commit put entries into the spool.
    pub fn on_spooled(&self, _wake: Arc<dyn Fn(&[Entry]) + Send + Sync>) {
        todo!()
    }
    /// Ends background work and makes everything durable.
    pub fn close(&self) -> Result<(), StoreError> {
        todo!()
    }
}
