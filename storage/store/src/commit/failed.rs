//! Whose fault it is that a batch was not done.

use facteur_model::AccountId;

use crate::StoreError;

/// Why a batch was not done: nothing of it was.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct NotCommitted {
    /// What failed first.
    pub cause: StoreError,
    /// Accounts that cannot take what is for them. Without it the rest may be done. Empty if it is
    /// nobody's own files that failed.
    pub accounts: Vec<AccountId>,
}

impl NotCommitted {
    /// A failure of an account's own.
    pub(super) fn of(account: &AccountId) -> impl FnOnce(StoreError) -> Self {
        |cause| Self {
            cause,
            accounts: vec![account.clone()],
        }
    }
}

impl From<StoreError> for NotCommitted {
    fn from(cause: StoreError) -> Self {
        Self {
            cause,
            accounts: Vec::new(),
        }
    }
}

/// Accounts that failed in one round: all are looked at, so that one more round will do.
#[derive(Default)]
pub(super) struct Failed {
    first: Option<NotCommitted>,
}

impl Failed {
    pub(super) fn note(&mut self, account: &AccountId, cause: StoreError) {
        match &mut self.first {
            Some(first) => first.accounts.push(account.clone()),
            None => self.first = Some(NotCommitted::of(account)(cause)),
        }
    }

    pub(super) fn has(&self, account: &AccountId) -> bool {
        let first = self.first.as_ref();
        first.is_some_and(|first| first.accounts.contains(account))
    }

    /// What was made of those that did not fail, if none did.
    pub(super) fn or<T>(self, made: T) -> Result<T, NotCommitted> {
        self.first.map_or(Ok(made), Err)
    }
}
