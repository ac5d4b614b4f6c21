//! The operator's hand on single accounts: `facteur account sync|check|rebuild|optimize`.
//!
//! All of it works beside sessions, on accounts that are in use and on ones that are not; other
//! accounts notice nothing of it.

mod check;
mod copied;
mod finding;
mod forget;
mod optimize;
mod rebuild;
mod sync;

use std::{io, path::Path, sync::Arc};

use facteur_disk::EntryKind;
use facteur_model::{AccountId, AccountSpec};

pub use check::Checked;
use copied::Copy;
pub use finding::{Finding, Findings, Kind, Remedy};
pub use forget::Forgotten;
pub use optimize::Optimized;
pub use rebuild::Rebuilt;
pub(crate) use rebuild::mend;
pub use sync::Synced;

use crate::{Store, StoreError, shared::Shared};

/// Told how far the work on an account is: so many messages of so many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Store {
    /// Makes everything of an account durable and brings it into its files, so that they can be
    /// copied. An account that nobody uses is let go of, as at the end of the process.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn sync_account(&self, spec: &AccountSpec) -> Result<Synced, StoreError> {
        sync::account(&self.shared, spec)
    }

    /// Compares an account's index with its files. Changes nothing.
    ///
    /// # Errors
    /// When something cannot be read; what is merely wrong is a finding.
    pub fn check_account(
        &self,
        spec: &AccountSpec,
        progress: Progress<'_>,
    ) -> Result<Checked, StoreError> {
        check::account(&self.shared, spec, progress)
    }

    /// Builds an account's index anew from its files. Flags, keywords and MODSEQs stay as far as the
    /// old index can be read. Sessions of the account are sent away; until it is done the account
    /// answers [`StoreError::Index`] at once.
    ///
    /// # Errors
    /// When something cannot be read or written: the old index is still there then, or what is
    /// left of it is mended at the account's next use.
    pub fn rebuild_account(
        &self,
        spec: &AccountSpec,
        progress: Progress<'_>,
    ) -> Result<Rebuilt, StoreError> {
        rebuild::account(&self.shared, spec, progress)
    }

    /// Gives up what the journal has of an account whose home is gone for good: it would keep it for
    /// ever. Who the directory knows no more may be named too.
    ///
    /// # Errors
    /// When its home is there, or where no home is now; when the journal cannot be read or cut.
    pub fn forget_account(&self, id: &AccountId) -> Result<Forgotten, StoreError> {
        forget::account(&self.shared, id)
    }

    /// Makes an account's index as small as its content allows.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn optimize_account(&self, spec: &AccountSpec) -> Result<Optimized, StoreError> {
        optimize::account(&self.shared, spec)
    }
}

/// Whether the account was ever used: nothing is made for one that was not.
fn is_there(shared: &Arc<Shared>, spec: &AccountSpec) -> Result<bool, StoreError> {
    let home = &spec.home;
    if shared.disk.is_dir(home)? {
        return Ok(true);
    }
    shared.mail_root.expect(&shared.disk, home)?;
    if shared.log.since().unsettled.contains(&spec.id) {
        let missing = format!(
            "the mail home {} is missing, and the journal keeps changes to it",
            home.display()
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, missing).into());
    }
    Ok(false)
}

/// How large a file is; 0 when it is missing.
fn size(shared: &Arc<Shared>, path: &Path) -> Result<u64, StoreError> {
    if shared.disk.kind(path)? != Some(EntryKind::File) {
        return Ok(0);
    }
    Ok(shared.disk.open(path)?.size()?)
}
