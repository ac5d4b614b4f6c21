//! What is told of a folder's names, and whose doing it was.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use facteur_disk::Happened;
use facteur_maildir::{File, FileName, Files, Place};

use super::Inner;

/// What is remembered until somebody asks. A look at the whole folder costs no more than so many.
const MOST: usize = 1000;

/// Expunged messages whose files are gone, before a look forgets them.
const ENDED: usize = 4096;

/// What happened in a folder since somebody asked.
#[derive(Default)]
pub(crate) struct Told {
    heard: Mutex<Heard>,
    /// Nobody is told of this folder: its times are asked for.
    stopped: AtomicBool,
    /// Held by whoever finds out what it means.
    judging: Mutex<()>,
}

#[derive(Default)]
struct Heard {
    names: Vec<Name>,
    /// Whether there may be more: the folder's times say.
    knows_all: bool,
}

struct Name {
    place: Place,
    name: Box<[u8]>,
    appeared: bool,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what happened. Says whether it is the first since somebody asked.
    pub(super) fn hear(&self, place: Place, happened: Happened<'_>) -> bool {
        let (name, appeared) = match happened {
            Happened::Appeared(name) => (name, true),
            Happened::Gone(name) => (name, false),
            Happened::Ended => return false,
        };
        let mut heard = self.lock();
        if heard.names.len() == MOST {
            heard.names.clear();
            heard.knows_all = false;
        }
        heard.names.push(Name {
            place,
            name: name.into(),
            appeared,
        });
        heard.names.len() == 1
    }

    /// Something may have happened that was not heard of.
    pub(super) fn doubt(&self) {
        self.lock().knows_all = false;
    }

    /// Nothing is told any more; says whether something was until now.
    pub(super) fn stop(&self) -> bool {
        !self.stopped.swap(true, Ordering::AcqRel)
    }

    /// Whether what was told says all that happened. It does not at first, nor when some of it was
    /// lost; it does from now on. `None` when nothing is told at all.
    pub(super) fn says_all(&self) -> Option<bool> {
        if self.stopped.load(Ordering::Acquire) {
            return None;
        }
        Some(std::mem::replace(&mut self.lock().knows_all, true))
    }

    /// Has what happened judged, one after the other: whether `judge` says of it that it was all our
    /// own doing, and must not be looked into.
    pub(super) fn judge<E>(&self, judge: impl FnOnce(&Events) -> Result<(), E>) -> Result<(), E> {
        let _judging = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let names = std::mem::take(&mut self.lock().names);
        if names.is_empty() {
            return Ok(());
        }
        judge(&Events(names))
    }
}

/// What happened.
pub(super) struct Events(Vec<Name>);

/// The last that happened to a name.
struct Event<'a> {
    place: Place,
    name: FileName<'a>,
    appeared: bool,
    explained: bool,
}

impl Events {
    /// Sorted by base; `None` when there are names that no message can have.
    fn last(&self) -> Option<Vec<Event<'_>>> {
        let mut last = Vec::with_capacity(self.0.len());
        for one in self.0.iter().filter(|one| !one.name.starts_with(b".")) {
            match FileName::parse(&one.name) {
                Some(name) => last.push(Event {
                    place: one.place,
                    name,
                    appeared: one.appeared,
                    explained: false,
                }),
                None if one.appeared => return None,
                None => {}
            }
        }
        last.sort_by(|a, b| a.key().cmp(&b.key()));
        last.dedup_by(|later, earlier| {
            let same = later.key() == earlier.key();
            if same {
                earlier.appeared = later.appeared;
            }
            same
        });
        Some(last)
    }
}

impl Inner {
    /// Notes that the folder must be looked through, unless all that happened there is as it is
    /// remembered: then we did it, or have seen it.
    pub(super) fn judge(&mut self, events: &Events) {
        let explained = match (&self.files, events.last()) {
            (Some(files), Some(events)) => self.explains(files, events),
            _ => false,
        };
        if !explained || self.ending.len() > ENDED {
            self.stamps = None;
        }
    }

    fn explains(&self, files: &Files, mut events: Vec<Event<'_>>) -> bool {
        let mut left = events.len();
        // The newest are the likeliest.
        for file in files.iter().rev() {
            if left == 0 {
                return true;
            }
            let base = file.base();
            let from = events.partition_point(|event| event.name.base() < base);
            let of_file = events.iter_mut().skip(from);
            for event in of_file.take_while(|event| event.name.base() == base) {
                if !event.is_of(&file) && !self.ending.contains(base) {
                    return false;
                }
                if !std::mem::replace(&mut event.explained, true) {
                    left -= 1;
                }
            }
        }
        // A message that nobody knows may go, and not come.
        let mut left = events.iter().filter(|event| !event.explained);
        left.all(|event| !event.appeared || self.ending.contains(event.name.base()))
    }
}

impl Event<'_> {
    fn key(&self) -> (&[u8], Place, &[u8]) {
        (self.name.base(), self.place, self.name.whole())
    }

    /// Whether the file is where this has put it, or not where it has taken it away.
    fn is_of(&self, file: &File<'_>) -> bool {
        let there =
            file.is_present() && file.place() == self.place && *file.name() == *self.name.whole();
        there == self.appeared
    }
}
