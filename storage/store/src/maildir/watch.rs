//! Mailboxes that sessions have open: what other programs do in their folders is noticed at once.
//!
//! The kernel tells which names come and go ([`facteur_disk::Notify`]); most of them are our own
//! doing, and cost no look at the folder ([`super::told`]). A folder that cannot be watched, because
//! the user watches too many already or because it is another machine's, is asked for its times once a
//! second instead. The thread is started for the first mailbox, and sleeps while nothing happens.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use facteur_disk::{Disk, Happened, Notify, WatchId};
use facteur_maildir::Place;

use super::told::Told;
use crate::{StoreError, owner::Owner, shared::Shared, view::View};

/// `EMFILE`: no more instances of inotify.
const EMFILE: i32 = 24;

/// Between two looks at a folder of which nothing is told.
const INTERVAL: Duration = Duration::from_secs(1);

/// After a look because something happened the folder rests so many times as long, so that looks take
/// no more than a tenth of the time; from [`SHORTEST`] to [`INTERVAL`].
const REST: u32 = 10;
const SHORTEST: Duration = Duration::from_millis(20);

/// The open mailboxes.
#[derive(Default)]
pub(crate) struct Watch(Arc<Watches>);

#[derive(Default)]
struct Watches {
    /// Made for the first mailbox.
    notify: OnceLock<Notify>,
    /// Held from where the kernel is asked until all that it tells is noted: in its order, and nobody
    /// who asks meanwhile goes on without it.
    reading: Mutex<()>,
    folders: Mutex<HashMap<WatchId, (Weak<Watched>, Place)>>,
    /// Where something happened.
    touched: Mutex<Vec<Weak<Watched>>>,
    /// Mailboxes that nobody is told of.
    asked: Mutex<Vec<Weak<Watched>>>,
    /// For the thread, until it is started.
    shared: Mutex<Option<Weak<Shared>>>,
    closed: AtomicBool,
    /// Whether it was said that there are too few watches.
    said: AtomicBool,
}

/// An open mailbox; its view has it.
pub(crate) struct Watched {
    owner: Weak<Owner>,
    view: Weak<View>,
    pub(super) told: Told,
    ids: Mutex<Vec<WatchId>>,
    /// A folder in which much happens is looked at now and then.
    rests_until: Mutex<Option<Instant>>,
    watches: Arc<Watches>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// From now on the thread may be started; it ends with the store.
    pub(crate) fn start(&self, shared: &Arc<Shared>) {
        *held(&self.0.shared) = Some(Arc::downgrade(shared));
    }

    /// Watches a mailbox from now on, until it is closed. What happened before is not told.
    pub(crate) fn add(&self, disk: &Disk, owner: &Arc<Owner>, view: &Arc<View>) {
        let watches = &self.0;
        let watched = Arc::new(Watched {
            owner: Arc::downgrade(owner),
            view: Arc::downgrade(view),
            told: Told::default(),
            ids: Mutex::default(),
            rests_until: Mutex::default(),
            watches: Arc::clone(watches),
        });
        let folder = owner.layout.folder(&view.core.name());
        let told = watches.notify().and_then(|notify| {
            [Place::New, Place::Cur].into_iter().try_for_each(|place| {
                let mut folders = held(&watches.folders);
                let id = notify.add(disk, &place.of(&folder))?;
                held(&watched.ids).push(id);
                let before = folders.insert(id, (Arc::downgrade(&watched), place));
                drop(folders);
                // The same folder below another name: only one of the two is told.
                if let Some(other) = before.and_then(|(other, _)| other.upgrade()) {
                    watches.ask(&other);
                }
                Ok(())
            })
        });
        if let Err(error) = told {
            watches.say(&error);
            watches.ask(&watched);
        }
        view.set_watched(watched);
        watches.start();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        if let Some(notify) = self.0.notify.get() {
            notify.wake();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut folders = held(&self.watches.folders);
        for id in held(&self.ids).drain(..) {
            // Whoever has opened the mailbox meanwhile may have the number.
            let own = folders
                .get(&id)
                .is_some_and(|(watched, _)| std::ptr::eq(watched.as_ptr(), self));
            if own {
                folders.remove(&id);
                if let Some(notify) = self.watches.notify.get() {
                    notify.remove(id);
                }
            }
        }
    }
}

impl Watches {
    fn notify(&self) -> io::Result<&Notify> {
        match self.notify.get() {
            Some(notify) => Ok(notify),
            None => {
                let made = Notify::new()?;
                Ok(self.notify.get_or_init(|| made))
            }
        }
    }

    /// Starts the thread, unless it runs, or nothing is to happen in the background.
    fn start(self: &Arc<Self>) {
        let mut shared = held(&self.shared);
        let Some(store) = shared.clone() else {
            return;
        };
        let watches = Arc::clone(self);
        let thread = std::thread::Builder::new().name("maildir".to_owned());
        match thread.spawn(move || watches.work(&store)) {
            Ok(_) => *shared = None,
            // The next mailbox tries again.
            Err(error) => tracing::error!(%error, "Maildirs are not watched"),
        }
    }

    /// Looks at this mailbox once a second from now on.
    fn ask(&self, watched: &Arc<Watched>) {
        if watched.told.stop() {
            held(&self.asked).push(Arc::downgrade(watched));
            if let Some(notify) = self.notify.get() {
                notify.wake();
            }
        }
    }

    fn say(&self, error: &io::Error) {
        let few = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) || error.raw_os_error() == Some(EMFILE);
        if few && !self.said.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "open Maildir folders are looked at once a second: raise fs.inotify.max_user_watches and fs.inotify.max_user_instances to have them watched");
        }
    }

    /// Notes where something happened.
    fn collect(&self) -> io::Result<()> {
        let Some(notify) = self.notify.get() else {
            return Ok(());
        };
        let mut ended = Vec::new();
        // The last of them may go with us, which needs the lock.
        let mut seen: Vec<Arc<Watched>> = Vec::new();
        let mut note = |id, happened: Happened<'_>| {
            let folders = held(&self.folders);
            let Some((watched, place)) = folders.get(&id) else {
                return;
            };
            let (Some(watched), place) = (watched.upgrade(), *place) else {
                return;
            };
            drop(folders);
            if happened == Happened::Ended {
                ended.push(Arc::clone(&watched));
            }
            if watched.told.hear(place, happened) {
                held(&self.touched).push(Arc::downgrade(&watched));
            }
            if !seen.last().is_some_and(|last| Arc::ptr_eq(last, &watched)) {
                seen.push(watched);
            }
        };
        let _reading = held(&self.reading);
        let lost = notify.read(&mut note)?;
        for watched in ended {
            self.ask(&watched);
        }
        if lost {
            let folders = held(&self.folders);
            let all: Vec<_> = folders
                .values()
                .map(|(watched, _)| watched.clone())
                .collect();
            drop(folders);
            for watched in all.iter().filter_map(Weak::upgrade) {
                watched.told.doubt();
            }
            held(&self.touched).extend(all);
        }
        Ok(())
    }

    fn work(&self, shared: &Weak<Shared>) {
        let mut later: Vec<Weak<Watched>> = Vec::new();
        let mut ticked = Instant::now();
        loop {
            if let Err(error) = self.wait(&later, ticked) {
                tracing::error!(%error, "Maildirs are not watched any more");
                return;
            }
            if self.closed.load(Ordering::Acquire) {
                return;
            }
            let Some(shared) = shared.upgrade() else {
                return;
            };
            if let Err(error) = self.collect() {
                tracing::error!(%error, "Maildirs are not watched any more");
                return;
            }
            later.append(&mut held(&self.touched));
            let now = Instant::now();
            for watched in std::mem::take(&mut later) {
                match watched.upgrade() {
                    Some(one) if one.rests_until() > Some(now) => later.push(watched),
                    Some(one) => one.look(&shared),
                    None => {}
                }
            }
            if now.duration_since(ticked) >= INTERVAL {
                ticked = now;
                let asked = {
                    let mut asked = held(&self.asked);
                    asked.retain(|watched| watched.strong_count() > 0);
                    asked.clone()
                };
                asked
                    .iter()
                    .filter_map(Weak::upgrade)
                    .for_each(|one| one.look(&shared));
            }
        }
    }

    /// Waits until there is something to do: for one of those that are to be looked at `later`, or, once
    /// a second, for those that must be asked.
    fn wait(&self, later: &[Weak<Watched>], ticked: Instant) -> io::Result<()> {
        let Some(notify) = self.notify.get() else {
            std::thread::sleep(INTERVAL);
            return Ok(());
        };
        let asked = !held(&self.asked).is_empty();
        let due = later.iter().filter_map(|one| one.upgrade()?.rests_until());
        let due = due.chain(asked.then(|| ticked + INTERVAL)).min();
        notify.wait(due.map(|due| due.saturating_duration_since(Instant::now())))
    }
}

impl Watched {
    /// Brings what is told of this mailbox up to the moment.
    pub(super) fn listen(&self) -> io::Result<()> {
        self.watches.collect()
    }

    fn rests_until(&self) -> Option<Instant> {
        *held(&self.rests_until)
    }

    fn look(&self, shared: &Shared) {
        let (Some(owner), Some(view)) = (self.owner.upgrade(), self.view.upgrade()) else {
            return;
        };
        let began = Instant::now();
        if let Err(error) = owner.notice(shared, &view.core)
            && !matches!(error, StoreError::Index(_))
        {
            tracing::warn!(account = %owner.id, mailbox = %view.core.name(), %error, "folder cannot be looked through");
        }
        let ended = Instant::now();
        let rest = ended.duration_since(began) * REST;
        *held(&self.rests_until) = Some(ended + rest.clamp(SHORTEST, INTERVAL));
    }
}
