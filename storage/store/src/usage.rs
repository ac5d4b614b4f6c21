//! What an account holds: counted by its rules, told in order, limited.

use std::{any::Any, fmt, sync::Arc};

use facteur_index::MailboxRow;
use facteur_model::{AccountId, AccountSpec, FolderRules, MailboxName, QuotaLimits, Usage};

use crate::{
    Account, StoreError,
    owner::{Folder, Owner, State},
    shared::Shared,
};

/// What an account holds has changed.
#[derive(Debug, Clone, Copy)]
pub struct UsageChange<'a> {
    /// Whose.
    pub account: &'a AccountSpec,
    /// What it held, by the same rules.
    pub before: Usage,
    /// What it holds.
    pub now: Usage,
}

/// Called with each change, in the order of an account's changes: so with the account locked. It must
/// be quick and must not call the store.
pub type UsageChanged = Arc<dyn Fn(&UsageChange<'_>) + Send + Sync>;

/// Asked whether an account that has room may hold so much more, of limits and so many per cent more:
/// for limits over several accounts. Called with the account locked, as [`UsageChanged`]. What it answers
/// with is dropped once the change was told, or has failed.
pub type Gate = Arc<dyn Fn(&AccountId, Usage, u8) -> Option<Permit> + Send + Sync>;

/// What a [`Gate`] set aside, until it is dropped.
pub struct Permit(Option<Box<dyn Any + Send>>);

impl Permit {
    /// Gives back `reserved` when the change is over.
    pub fn new(reserved: impl Send + 'static) -> Self {
        Self(Some(Box::new(reserved)))
    }

    /// Nothing was set aside.
    pub const fn free() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.0.is_some()).finish()
    }
}

/// What was told last, and by which rules it was counted.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    rules: FolderRules,
    usage: Usage,
}

impl State {
    /// What the account holds in the folders that count, with what is about to be durable.
    pub(crate) fn usage(&self, limits: &QuotaLimits) -> Usage {
        self.sum(limits, |folder| &folder.row)
    }

    fn sum(&self, limits: &QuotaLimits, row: impl Fn(&Folder) -> &MailboxRow) -> Usage {
        let counted = self.folders.iter().filter(|(name, _)| limits.counts(name));
        counted.fold(Usage::default(), |sum, (_, folder)| {
            let row = row(folder);
            sum.plus(Usage {
                bytes: row.bytes,
                messages: row.messages.into(),
            })
        })
    }

    /// Begins to follow what the account holds.
    pub(crate) fn follow_usage(&mut self, limits: &QuotaLimits) {
        self.told = Some(Told {
            rules: limits.folders.clone(),
            usage: self.sum(limits, |folder| &folder.shown),
        });
    }
}

impl Account {
    /// Tells what it holds to whoever follows that, though it has not changed.
    ///
    /// # Errors
    /// When the account is being reopened.
    pub fn tell_usage(&self) -> Result<Usage, StoreError> {
        self.shared().tell_again(self.owner())
    }
}

impl Shared {
    /// Tells what the account holds now, if it is not what it held. Call it when the change is visible
    /// and before the lock is given up, so that nobody is told an older value later.
    pub(crate) fn tell_usage(&self, owner: &Owner, state: &mut State) {
        let spec = owner.spec();
        let before = state.told.take();
        state.follow_usage(&spec.quota);
        let Some(told) = &state.told else { return };
        let before = match before {
            Some(before) if before.rules == told.rules => before.usage,
            // Other rules count other folders: that is no change of what it holds.
            _ => told.usage,
        };
        if before != told.usage {
            self.tell(&spec, before, told.usage);
        }
    }

    /// Tells what the account holds, though that is not new: a listener that keeps it elsewhere may
    /// have missed the last of an earlier process.
    pub(crate) fn tell_again(&self, owner: &Owner) -> Result<Usage, StoreError> {
        let state = owner.lock()?;
        // What was told before: changes that are not visible yet are told when they are.
        let usage = state.told.as_ref().map(|told| told.usage);
        let usage = usage.unwrap_or_default();
        self.tell(&owner.spec(), usage, usage);
        Ok(usage)
    }

    pub(crate) fn tell(&self, account: &AccountSpec, before: Usage, now: Usage) {
        if let Some(told) = &*self.on_usage.load() {
            told(&UsageChange {
                account,
                before,
                now,
            });
        }
    }

    /// Lets an account that holds `usage` put `added` into `folder`. Hold the permit until the change
    /// was told.
    pub(crate) fn admit(
        &self,
        account: &AccountSpec,
        folder: &MailboxName,
        usage: Usage,
        added: Usage,
    ) -> Result<Permit, StoreError> {
        if !account.quota.allow(folder, usage, added) {
            return Err(StoreError::OverQuota);
        }
        self.pass_gate(account, folder, added, 0)
    }

    /// The same of limits and so many per cent more.
    pub(crate) fn admit_with_grace(
        &self,
        account: &AccountSpec,
        folder: &MailboxName,
        (usage, added): (Usage, Usage),
        per_cent: u8,
    ) -> Result<Permit, StoreError> {
        let limits = &account.quota;
        let has_room = limits.is_unlimited()
            || (limits.stretched(per_cent.into())).allow(folder, usage, added);
        if !has_room {
            return Err(StoreError::OverQuota);
        }
        self.pass_gate(account, folder, added, per_cent)
    }

    fn pass_gate(
        &self,
        account: &AccountSpec,
        folder: &MailboxName,
        added: Usage,
        grace: u8,
    ) -> Result<Permit, StoreError> {
        match &*self.gate.load() {
            Some(gate) if account.quota.counts(folder) => {
                gate(&account.id, added, grace).ok_or(StoreError::OverQuota)
            }
            _ => Ok(Permit::free()),
        }
    }
}
