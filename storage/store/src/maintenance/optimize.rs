//! An index as small as its content allows.

use std::{path::Path, sync::Arc};

use facteur_index::Index;
use facteur_model::AccountSpec;
use serde::{Deserialize, Serialize};

use super::{is_there, size};
use crate::{StoreError, shared::Shared, slot::index_path};

/// What optimizing an index came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Optimized {
    /// Nobody ever used the account: there is no index.
    pub never_used: bool,
    /// Octets of the index and its log before.
    pub before: u64,
    /// Octets of them now.
    pub after: u64,
}

pub(super) fn account(shared: &Arc<Shared>, spec: &AccountSpec) -> Result<Optimized, StoreError> {
    let path = index_path(&spec.home);
    if !is_there(shared, spec)? || size(shared, &path)? == 0 {
        return Ok(Optimized {
            never_used: true,
            ..Optimized::default()
        });
    }
    let before = octets(shared, &path)?;
    shared.with_slot(spec, |held| match held {
        Some(owner) => {
            let _state = owner.lock()?;
            owner.index(shared, Index::optimize)
        }
        None => Ok(Index::open(&shared.disk, &path)?.optimize()?),
    })?;
    Ok(Optimized {
        never_used: false,
        before,
        after: octets(shared, &path)?,
    })
}

fn octets(shared: &Arc<Shared>, index: &Path) -> Result<u64, StoreError> {
    let mut log = index.as_os_str().to_owned();
    log.push("-wal");
    Ok(size(shared, index)?.saturating_add(size(shared, Path::new(&log))?))
}
