//! Which accounts stay in memory.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use facteur_model::AccountId;

use super::{Shared, Slot};
use crate::{
    StoreError,
    owner::{Owner, State},
};

impl Shared {
    /// Unloads accounts that nobody has used for a while, once a minute; and the eldest of those that
    /// nobody uses while all take too much. Says whether it is to be called again within a second.
    pub(crate) fn sweep(self: &Arc<Self>) -> bool {
        let now = self.started.elapsed().as_secs();
        let last = self.swept.load(Ordering::Relaxed);
        let size = self.options.cache.size;
        let excess = self.weight.load(Ordering::Relaxed).saturating_sub(size);
        // At most once a second: what is in use cannot go.
        if now == last || (excess == 0 && now < last + 60) {
            return excess > 0;
        }
        self.swept.store(now, Ordering::Relaxed);
        self.weigh_all();
        let idle = self.options.cache.idle.as_secs();
        self.unload(|owner| owner.used.load(Ordering::Relaxed) + idle <= now);
        if self.weight.load(Ordering::Relaxed) > size {
            self.unload_eldest(size);
        }
        false
    }

    /// Keywords and folders come and go without being counted.
    fn weigh_all(&self) {
        for (_, slot) in self.slots() {
            if let Ok(held) = slot.try_lock()
                && let Some(owner) = &*held
                && let Some(state) = owner.lock_at_hand()
            {
                self.weigh(owner, &state);
            }
        }
    }

    /// Unloads accounts that nobody uses until all take no more than a quarter less than `size`.
    fn unload_eldest(self: &Arc<Self>, size: u64) {
        let mut eldest: Vec<(u64, u64)> = Vec::new();
        let mut total = 0;
        for (_, slot) in self.slots() {
            // One that is being loaded or rebuilt is in use.
            if let Ok(held) = slot.try_lock()
                && let Some(owner) = &*held
            {
                let weight = owner.weight.load(Ordering::Relaxed);
                total += weight;
                eldest.push((owner.used.load(Ordering::Relaxed), weight));
            }
        }
        eldest.sort_unstable();
        let wanted = size - size / 4;
        let mut before = 0;
        for (used, weight) in eldest {
            if total <= wanted {
                break;
            }
            total = total.saturating_sub(weight);
            before = used;
        }
        self.unload(|owner| owner.used.load(Ordering::Relaxed) <= before);
    }

    /// Unloads every account that is in no session's hands and for which `wanted` holds.
    pub(crate) fn unload(self: &Arc<Self>, wanted: impl Fn(&Owner) -> bool) {
        for (id, slot) in self.slots() {
            self.unload_one(&id, &slot, &wanted);
        }
    }

    fn unload_one(self: &Arc<Self>, id: &AccountId, slot: &Slot, wanted: &impl Fn(&Owner) -> bool) {
        {
            // Somebody who is loading or rebuilding this account is not waited for.
            let Ok(mut held) = slot.try_lock() else {
                return;
            };
            match held.take() {
                Some(owner) if Arc::strong_count(&owner) > 1 || !wanted(&owner) => {
                    *held = Some(owner);
                    return;
                }
                Some(owner) => {
                    if owner.unload(self).is_err() {
                        *held = Some(owner);
                        return;
                    }
                    self.forget_weight(&owner);
                    self.release_home(owner.layout.home());
                }
                None => {}
            }
        }
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Ours and the map's: nobody else has the slot, so nobody is about to fill it.
        if Arc::strong_count(slot) == 2 && slot.try_lock().is_ok_and(|held| held.is_none()) {
            accounts.remove(id);
        }
    }

    /// Counts an account's weight from now on. Its place is locked.
    pub(super) fn count(&self, owner: &Owner) -> Result<(), StoreError> {
        if owner.weight.load(Ordering::Relaxed) == 0 {
            let state = owner.lock()?;
            owner.weight.store(1, Ordering::Relaxed);
            self.weight.fetch_add(1, Ordering::Relaxed);
            self.weigh(owner, &state);
        }
        Ok(())
    }

    /// Counts what an account takes now; while all take too much, some soon go.
    pub(crate) fn weigh(&self, owner: &Owner, state: &State) {
        let now = state.weight();
        let counted = owner
            .weight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                (before > 0).then_some(now)
            });
        // It is not counted any more once it is given up.
        let Ok(before) = counted else {
            return;
        };
        let more = now.wrapping_sub(before);
        let all = self.weight.fetch_add(more, Ordering::Relaxed);
        if all.wrapping_add(more) > self.options.cache.size {
            self.log.wake.notify_all();
        }
    }

    pub(super) fn forget_weight(&self, owner: &Owner) {
        let counted = owner.weight.swap(0, Ordering::Relaxed);
        self.weight.fetch_sub(counted, Ordering::Relaxed);
    }
}
