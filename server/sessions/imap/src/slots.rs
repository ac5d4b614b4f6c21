//! How many connections each user has from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use facteur_model::AccountId;

type Key = (AccountId, Option<IpAddr>);

/// Counts connections (`mail_max_userip_connections`). Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Slots(Arc<Mutex<HashMap<Key, u32>>>);

/// One connection counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    key: Key,
}

impl Slots {
    /// Counts one more, unless that would be over `limit`; 0 is no limit.
    pub(crate) fn take(&self, user: &AccountId, peer: Option<IpAddr>, limit: u32) -> Option<Slot> {
        let key = (user.clone(), peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_default();
        if limit != 0 && *count >= limit {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Slot {
            slots: self.clone(),
            key,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_per_user_and_address_and_given_back() {
        let slots = Slots::default();
        let (alice, bob) = (AccountId::new("a@x.test"), AccountId::new("b@x.test"));
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        let first = slots.take(&alice, here, 1).unwrap();
        assert!(slots.take(&alice, here, 1).is_none());
        assert!(slots.take(&alice, None, 1).is_some());
        assert!(slots.take(&bob, here, 1).is_some());
        drop(first);
        assert!(slots.take(&alice, here, 1).is_some());
        assert!(slots.0.lock().unwrap().is_empty());
    }
}
