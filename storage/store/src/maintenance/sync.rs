//! Everything of an account in its files, durably.

use std::{path::Path, sync::Arc};

use facteur_index::Index;
use facteur_model::AccountSpec;
use serde::{Deserialize, Serialize};

use super::{is_there, size};
use crate::{StoreError, checkpoint, owner::Owner, shared::Shared, slot::index_path};

/// How an account was left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// Nobody ever used it: there is nothing to copy.
    pub never_used: bool,
    /// Somebody uses it. What was acknowledged until now is in its files; a copy is looked through
    /// when it is opened elsewhere.
    pub in_use: bool,
}

pub(super) fn account(shared: &Arc<Shared>, spec: &AccountSpec) -> Result<Synced, StoreError> {
    if !is_there(shared, spec)? {
        return Ok(Synced {
            never_used: true,
            in_use: false,
        });
    }
    // Messages and their index, and nothing that is about to go.
    checkpoint::run(shared)?;
    let in_use = shared.with_slot(spec, |held| {
        let in_use = match held.take() {
            Some(owner) if Arc::strong_count(&owner) > 1 => {
                settle(shared, &owner)?;
                *held = Some(owner);
                true
            }
            Some(owner) => {
                if let Err(error) = owner.unload(shared) {
                    *held = Some(owner);
                    return Err(error);
                }
                false
            }
            None => false,
        };
        if !in_use {
            fold(shared, &index_path(&spec.home))?;
        }
        Ok(in_use)
    })?;
    shared.disk.sync_file_system(&spec.home)?;
    Ok(Synced {
        never_used: false,
        in_use,
    })
}

/// Brings all that was acknowledged of an account into its files, whoever uses it.
pub(super) fn settle(shared: &Arc<Shared>, owner: &Arc<Owner>) -> Result<(), StoreError> {
    owner.mark_clean(shared)?;
    owner.index(shared, |index| index.checkpoint())
}

/// Moves the log of an index that nobody has open into its database.
pub(super) fn fold(shared: &Arc<Shared>, index: &Path) -> Result<(), StoreError> {
    let mut log = index.as_os_str().to_owned();
    log.push("-wal");
    if size(shared, index)? > 0 && size(shared, Path::new(&log))? > 0 {
        Index::open(&shared.disk, index)?.checkpoint()?;
    }
    Ok(())
}
