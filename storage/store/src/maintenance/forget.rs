//! Giving up what only the journal has of an account whose home is gone for good.

use std::{collections::BTreeSet, sync::Arc};

use facteur_model::AccountId;
use serde::{Deserialize, Serialize};

use crate::{
    StoreError, checkpoint,
    record::{Change, Record},
    shared::Shared,
};

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Changes that the journal had of the account; without any there was nothing to give up.
    pub changes: u64,
    /// Messages among them.
    pub messages: u64,
}

pub(super) fn account(shared: &Arc<Shared>, id: &AccountId) -> Result<Forgotten, StoreError> {
    let Some(_closed) = shared.close_account(id) else {
        return Err(StoreError::Index("it is being rebuilt".to_owned()));
    };
    let (forgotten, homes) = kept(shared, id)?;
    for home in &homes {
        if shared.disk.is_dir(home)? {
            return Err(StoreError::Cannot(
                "its mail home is there: what the journal has is brought into it",
            ));
        }
        shared.mail_root.expect(&shared.disk, home)?;
    }
    if forgotten.changes == 0 {
        return Ok(forgotten);
    }
    tracing::warn!(account = %id, ?homes, changes = forgotten.changes, messages = forgotten.messages, "what the journal has of the account is given up because the operator asked");
    shared.send_away(id);
    shared.log.since().unsettled.remove(id);
    // What is not carried on goes with it.
    checkpoint::run(shared)?;
    Ok(forgotten)
}

/// What the journal has of an account, and where its home was.
fn kept(
    shared: &Shared,
    id: &AccountId,
) -> Result<(Forgotten, BTreeSet<std::path::PathBuf>), StoreError> {
    let (mut forgotten, mut homes) = (Forgotten::default(), BTreeSet::new());
    let mut first = None;
    // A checkpoint that carries changes forward must not be seen half done.
    let _going = shared.log.keep_going();
    shared.log.journal.sync()?;
    shared.log.journal.visit(|lsn, bytes| {
        // What cannot be read was reported when it was to be done.
        let Ok((record, _)) = Record::decode(bytes) else {
            return Ok::<_, StoreError>(());
        };
        if !record.counts(*first.get_or_insert(lsn)) {
            return Ok(());
        }
        for account in record.accounts {
            if account.account == id.as_str() {
                let added = |change: &&Change| matches!(change, Change::Add(_));
                forgotten.changes += 1;
                forgotten.messages += account.changes.iter().filter(added).count() as u64;
                homes.insert(account.home);
            }
        }
        Ok(())
    })?;
    Ok((forgotten, homes))
}
