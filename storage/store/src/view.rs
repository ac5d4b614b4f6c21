//! A mailbox as sessions share it: its name and whether it is still there, and while one has it
//! open, its newest snapshot and who wants to know of the next.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use facteur_model::{MailFormat, MailboxName, UidValidity};

use crate::{Snapshot, maildir};

/// What stays the same mailbox through renames.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) uid_validity: UidValidity,
    name: Mutex<MailboxName>,
    deleted: AtomicBool,
    view: Mutex<Weak<View>>,
    maildir: Option<Box<maildir::Folder>>,
}

impl Core {
    pub(crate) fn new(
        name: MailboxName,
        uid_validity: UidValidity,
        format: MailFormat,
    ) -> Arc<Self> {
        Arc::new(Self {
            uid_validity,
            name: Mutex::new(name),
            deleted: AtomicBool::new(false),
            view: Mutex::new(Weak::new()),
            maildir: (format == MailFormat::Maildir).then(Box::default),
        })
    }

    /// What is kept of its folder, in a Maildir.
    pub(crate) fn maildir(&self) -> Option<&maildir::Folder> {
        self.maildir.as_deref()
    }

    pub(crate) fn name(&self) -> MailboxName {
        self.name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_name(&self, name: MailboxName) {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(crate) fn set_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// The view, if a session has the mailbox open.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.view
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade()
    }

    pub(crate) fn set_view(&self, view: &Arc<View>) {
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(view);
    }
}

type Wake = Arc<dyn Fn() + Send + Sync>;

/// An open mailbox.
pub(crate) struct View {
    pub(crate) core: Arc<Core>,
    snapshot: ArcSwap<Snapshot>,
    watchers: Mutex<Vec<(u64, Wake)>>,
    next_watcher: AtomicU64,
    /// How changes of other programs are noticed, in a Maildir.
    watched: OnceLock<Arc<maildir::Watched>>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}

impl View {
    pub(crate) fn new(core: &Arc<Core>, snapshot: Snapshot) -> Arc<Self> {
        let view = Arc::new(Self {
            core: Arc::clone(core),
            snapshot: ArcSwap::from_pointee(snapshot),
            watchers: Mutex::default(),
            next_watcher: AtomicU64::new(0),
            watched: OnceLock::new(),
        });
        core.set_view(&view);
        view
    }

    pub(crate) fn watched(&self) -> Option<&Arc<maildir::Watched>> {
        self.watched.get()
    }

    pub(crate) fn set_watched(&self, watched: Arc<maildir::Watched>) {
        // A view gets one when it is made.
        let _ = self.watched.set(watched);
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes `snapshot` what sessions see; the watchers are woken with `wakes`.
    pub(crate) fn publish(&self, snapshot: Snapshot, wakes: &mut Wakes) {
        self.snapshot.store(Arc::new(snapshot));
        self.wake_with(wakes);
    }

    /// Wakes the watchers with `wakes`.
    pub(crate) fn wake_with(&self, wakes: &mut Wakes) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        wakes
            .0
            .extend(watchers.iter().map(|(_, wake)| Arc::clone(wake)));
    }

    pub(crate) fn watch(self: &Arc<Self>, wake: Wake) -> Subscription {
        let id = self.next_watcher.fetch_add(1, Ordering::Relaxed);
        self.watchers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((id, wake));
        Subscription {
            view: Arc::clone(self),
            id,
        }
    }
}

/// Keeps a watcher registered; dropping it ends the notifications.
#[derive(Debug)]
pub struct Subscription {
    view: Arc<View>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.view
            .watchers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(id, _)| *id != self.id);
    }
}

/// Watchers to wake once the account is unlocked: they are woken when this is dropped.
#[derive(Default)]
pub(crate) struct Wakes(Vec<Wake>);

impl Drop for Wakes {
    fn drop(&mut self) {
        for wake in &self.0 {
            wake();
        }
    }
}
