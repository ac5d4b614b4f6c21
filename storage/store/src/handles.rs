//! Open index databases: no more than so many at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::owner::Owner;

/// Most open index databases.
const MAX_HANDLES: usize = 128;

/// Open index databases, in the order they were opened: the eldest gives way.
#[derive(Default)]
pub(crate) struct Handles {
    open: Mutex<VecDeque<Weak<Owner>>>,
}

impl Handles {
    /// Notes that `owner` opened its index.
    pub(crate) fn opened(&self, owner: &Arc<Owner>) {
        let excess = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.push_back(Arc::downgrade(owner));
            let excess = open.len().saturating_sub(MAX_HANDLES);
            open.drain(..excess).collect::<Vec<_>>()
        };
        // Closing a database takes a while: nobody waits for it.
        for eldest in excess {
            if eldest.upgrade().is_some_and(|owner| !owner.release()) {
                // In use just now.
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.push_back(eldest);
            }
        }
    }
}
