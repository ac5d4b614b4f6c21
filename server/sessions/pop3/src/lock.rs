//! One session a maildrop (RFC 1939 §4: the exclusive-access lock).

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use facteur_model::AccountId;

/// The maildrops in use. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    taken: Arc<Mutex<HashSet<AccountId>>>,
}

/// Holds a maildrop until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    locks: Locks,
    account: AccountId,
}

impl Locks {
    /// Takes the maildrop of `account`; `None` while another session has it.
    pub(crate) fn take(&self, account: &AccountId) -> Option<Lock> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(account.clone()).then(|| Lock {
            locks: self.clone(),
            account: account.clone(),
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let taken = self.locks.taken.lock();
        taken
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.account);
    }
}
