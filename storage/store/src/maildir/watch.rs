//! Mailboxes that sessions have open, looked at about once a second.
//!
//! A look that finds nothing is two `stat(2)` calls. While no Maildir mailbox is open the thread
//! sleeps.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    time::Duration,
};

use crate::{StoreError, owner::Owner, shared::Shared, view::View};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// The open mailboxes.
#[derive(Default)]
pub(crate) struct Watch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    open: Mutex<Open>,
    wake: Condvar,
}

#[derive(Default)]
struct Open {
    mailboxes: Vec<(Weak<Owner>, Weak<View>)>,
    closed: bool,
}

impl Watch {
    /// Looks at a mailbox from now on, until it is closed.
    pub(crate) fn add(&self, owner: &Arc<Owner>, view: &Arc<View>) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (Arc::downgrade(owner), Arc::downgrade(view));
        open.mailboxes.push(entry);
        if open.mailboxes.len() == 1 {
            self.0.wake.notify_all();
        }
    }

    /// Starts the thread, which ends with the store.
    pub(crate) fn start(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let (watched, shared) = (Arc::clone(&self.0), Arc::downgrade(shared));
        std::thread::Builder::new()
            .name("maildir".to_owned())
            .spawn(move || watched.work(&shared))
            .map(|_| ())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.closed = true;
        self.0.wake.notify_all();
    }
}

impl Watched {
    fn work(&self, shared: &Weak<Shared>) {
        while let Some(mailboxes) = self.wait() {
            for (owner, view) in mailboxes {
                let (Some(shared), Some(owner), Some(view)) =
                    (shared.upgrade(), owner.upgrade(), view.upgrade())
                else {
                    continue;
                };
                if let Err(error) = owner.notice(&shared, &view.core)
                    && !matches!(error, StoreError::Index(_))
                {
                    tracing::warn!(account = %owner.id, mailbox = %view.core.name(), %error, "folder cannot be looked through");
                }
            }
        }
    }

    /// The open mailboxes, a while later; `None` when the store is gone.
    fn wait(&self) -> Option<Vec<(Weak<Owner>, Weak<View>)>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if open.closed {
                return None;
            }
            open.mailboxes.retain(|(_, view)| view.strong_count() > 0);
            if open.mailboxes.is_empty() {
                open = self.wake.wait(open).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let mut waited = false;
            (open, waited) = match self.wake.wait_timeout(open, INTERVAL) {
                Ok((open, result)) => (open, result.timed_out()),
                Err(poisoned) => (poisoned.into_inner().0, waited),
            };
            if waited && !open.closed {
                return Some(open.mailboxes.clone());
            }
        }
    }
}
