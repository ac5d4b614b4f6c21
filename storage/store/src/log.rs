//! The store's side of the journal: what is written into it, and what a checkpoint still has to do.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use facteur_journal::{Fsync, Journal, Progress, Ticket, Until};
use facteur_model::{AccountId, Guid};

use crate::{
    StoreError,
    door::{Door, Inside, Quiet},
    owner::Owner,
    record::Record,
};

/// The journal, and what happened since the last checkpoint.
pub(crate) struct Log {
    pub(crate) journal: Journal,
    id: Guid,
    /// Held from a record's append until what it says is done to files and memory, so that a
    /// checkpoint finds nothing half done.
    door: Door,
    since: Mutex<Since>,
    /// Held by who renames or removes folders, and shared by who removes files of before.
    folders: RwLock<()>,
    /// How often that began or ended: odd meanwhile.
    folder_changes: AtomicU64,
    /// Told when there is something to do for the one who makes checkpoints.
    pub(crate) wake: Condvar,
    /// Most bytes that the journal may hold, beside those that are [kept](Self::keeps).
    limit: u64,
    /// Bytes of changes to accounts that nobody can open now.
    kept: AtomicU64,
    /// What is written is synced before it is acknowledged.
    waits_for_syncs: bool,
}

/// What happened since the last checkpoint.
#[derive(Default)]
pub(crate) struct Since {
    /// Accounts with rows to be written.
    pub(crate) dirty: Vec<Weak<Owner>>,
    /// Files that go once a checkpoint has what ended them.
    pub(crate) unlinks: Vec<PathBuf>,
    /// Those of which the checkpoint that is being made has it.
    pub(crate) covering: Vec<PathBuf>,
    /// Those that go now.
    pub(crate) covered: Vec<PathBuf>,
    /// Those of which the journal says that they could not be removed.
    leftovers: Vec<PathBuf>,
    /// The same for whole folders, which nobody renames.
    pub(crate) graves: Vec<PathBuf>,
    /// Accounts whose changes are durable in the journal and not all done; and whether the spool's
    /// are not.
    pub(crate) unsettled: HashSet<AccountId>,
    pub(crate) spool_unsettled: bool,
    /// When the first change came.
    pub(crate) first: Option<Instant>,
    /// When a change was written that is still to be synced.
    pub(crate) unsynced: Option<Instant>,
    /// How many checkpoints were made; and one is wanted up to this number.
    pub(crate) made: u64,
    pub(crate) wanted: u64,
    /// The last one had to leave changes in the journal: another makes no room.
    pub(crate) carried: bool,
    /// The store is closed.
    pub(crate) closed: bool,
}

impl Since {
    /// The files that are still to go.
    fn paths(&mut self) -> [&mut Vec<PathBuf>; 3] {
        [&mut self.unlinks, &mut self.covering, &mut self.covered]
    }
}

/// How long a change waits for room in the journal.
const PATIENCE: Duration = Duration::from_secs(5);

impl Log {
    pub(crate) fn new(journal: Journal, limit: u64, fsync: Fsync) -> Self {
        Self {
            // It is 32 hexadecimal digits.
            id: Guid::parse(&journal.id()).unwrap_or(Guid::from_bytes([0; 16])),
            journal,
            door: Door::default(),
            since: Mutex::default(),
            folders: RwLock::default(),
            folder_changes: AtomicU64::new(0),
            wake: Condvar::new(),
            limit,
            kept: AtomicU64::new(0),
            waits_for_syncs: fsync == Fsync::Always,
        }
    }

    /// The journal's name.
    pub(crate) fn id(&self) -> Guid {
        self.id
    }

    /// Lets a change begin once there is room for it; to be called without any account's lock, and
    /// without what may take long: a checkpoint waits for it.
    pub(crate) fn enter(&self) -> Result<Inside<'_>, StoreError> {
        if self.bytes() > self.limit {
            self.wait_for_room()?;
        }
        Ok(self.keep_going())
    }

    /// As [`Self::enter`], for what needs no room.
    pub(crate) fn keep_going(&self) -> Inside<'_> {
        self.door.enter()
    }

    fn wait_for_room(&self) -> Result<(), StoreError> {
        let until = Instant::now() + PATIENCE;
        let mut since = self.since();
        while self.bytes() > self.limit {
            since.wanted = since.made + 1;
            self.wake.notify_all();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::error!("journal is full: what is in it cannot be brought into the files");
                return Err(StoreError::NoSpace);
            }
            (since, _) = self
                .wake
                .wait_timeout(since, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// The same, if nobody and no sync has to be waited for.
    pub(crate) fn enter_at_hand(&self) -> Option<Inside<'_>> {
        if self.waits_for_syncs || self.bytes() > self.limit {
            return None;
        }
        self.door.enter_at_hand()
    }

    /// Keeps changes from beginning, when none is under way.
    pub(crate) fn quiet(&self) -> Quiet<'_> {
        self.door.quiet()
    }

    /// What happened since the last checkpoint.
    pub(crate) fn since(&self) -> std::sync::MutexGuard<'_, Since> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a record its place, with the bodies it says. The caller has [entered](Self::enter).
    pub(crate) fn append(&self, record: &Record, bodies: &[&[u8]]) -> Result<Ticket, StoreError> {
        let head = record.encode()?;
        let mut parts = Vec::with_capacity(bodies.len() + 1);
        parts.push(&*head);
        parts.extend_from_slice(bodies);
        let ticket = self.journal.append(&parts)?;
        let filling = self.is_filling();
        let mut since = self.since();
        if since.first.is_none() || (filling && since.wanted <= since.made) {
            since.first.get_or_insert_with(Instant::now);
            since.wanted = since.wanted.max(since.made + u64::from(filling));
            self.wake.notify_all();
        }
        Ok(ticket)
    }

    /// Returns when a record is durable.
    pub(crate) fn wait(&self, ticket: Ticket) -> Result<(), StoreError> {
        Ok(self.journal.wait(ticket, Until::Durable)?)
    }

    /// Returns when a record is written; it is durable within a second.
    pub(crate) fn wait_written(&self, ticket: Ticket) -> Result<(), StoreError> {
        self.journal.wait(ticket, Until::Written)?;
        let mut since = self.since();
        if since.unsynced.is_none() {
            since.unsynced = Some(Instant::now());
            self.wake.notify_all();
        }
        Ok(())
    }

    /// What has become of a record.
    pub(crate) fn progress(&self, ticket: Ticket) -> Progress {
        self.journal.progress(ticket)
    }

    /// Ends the thread that makes checkpoints.
    pub(crate) fn end(&self) {
        self.since().closed = true;
        self.wake.notify_all();
    }

    /// Notes an account that has rows to be written.
    pub(crate) fn dirty(&self, owner: &Arc<Owner>) {
        let mut since = self.since();
        since.dirty.push(Arc::downgrade(owner));
        if since.first.is_none() {
            since.first = Some(Instant::now());
            self.wake.notify_all();
        }
    }

    /// Notes files that go when a checkpoint has what ended them.
    pub(crate) fn unlink_later(&self, files: Vec<PathBuf>) {
        if !files.is_empty() {
            self.since().unlinks.extend(files);
        }
    }

    /// Whether a checkpoint would make room.
    pub(crate) fn has_unlinks(&self) -> bool {
        let since = self.since();
        !since.unlinks.is_empty() || !since.covered.is_empty() || !since.graves.is_empty()
    }

    /// Notes a folder that goes with the next checkpoint.
    pub(crate) fn remove_later(&self, folder: PathBuf) {
        let mut since = self.since();
        since.graves.push(folder);
        if since.first.is_none() {
            since.first = Some(Instant::now());
            self.wake.notify_all();
        }
    }

    /// Notes an account whose changes are durable and not all done.
    pub(crate) fn unsettled(&self, account: &AccountId) {
        self.since().unsettled.insert(account.clone());
    }

    /// Notes that changes to the spool are durable and not all done.
    pub(crate) fn spool_unsettled(&self) {
        self.since().spool_unsettled = true;
    }

    /// Puts into the journal which files could not be removed: in a Maildir they would be messages again
    /// if the process ended before they are. Nobody may rename or remove folders meanwhile.
    pub(crate) fn note_leftovers(&self, files: Vec<PathBuf>) -> Result<(), StoreError> {
        if files.is_empty() && self.since().leftovers.is_empty() {
            return Ok(());
        }
        let record = Record {
            leftovers: Some(files),
            ..Record::default()
        };
        let ticket = self.append(&record, &[])?;
        self.wait(ticket)?;
        self.since().leftovers = record.leftovers.unwrap_or_default();
        Ok(())
    }

    /// Notes what the journal of an earlier process says of them.
    pub(crate) fn found_leftovers(&self, files: Vec<PathBuf>) {
        let mut since = self.since();
        since.unlinks.extend_from_slice(&files);
        since.leftovers = files;
    }

    /// Has the journal say nothing of such files below `home`: a folder there is about to get another
    /// name, and other messages their paths. This process knows them still.
    pub(crate) fn forget_leftovers(
        &self,
        home: &Path,
        _: &FoldersLocked<'_>,
    ) -> Result<(), StoreError> {
        let mut kept = self.since().leftovers.clone();
        let before = kept.len();
        kept.retain(|path| !path.starts_with(home));
        match kept.len() == before {
            true => Ok(()),
            false => self.note_leftovers(kept),
        }
    }

    /// Keeps files that are still to go from being looked for where others will be. To be held while
    /// folders are renamed or removed.
    pub(crate) fn lock_folders(&self) -> FoldersLocked<'_> {
        let held = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        self.folder_changes.fetch_add(1, Ordering::AcqRel);
        FoldersLocked {
            changes: &self.folder_changes,
            _held: held,
        }
    }

    /// A moment: for [`Self::folders_may_differ`].
    pub(crate) fn folders_now(&self) -> u64 {
        self.folder_changes.load(Ordering::Acquire)
    }

    /// Whether an account's folders may have other names than at the moment `then`. To be asked while
    /// the account is locked.
    pub(crate) fn folders_may_differ(&self, then: u64) -> bool {
        !then.is_multiple_of(2) || self.folders_now() != then
    }

    /// As [`Self::lock_folders`], for who removes such files.
    pub(crate) fn folders_stay(&self) -> RwLockReadGuard<'_, ()> {
        self.folders.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files and folders below `home` that are still to go.
    pub(crate) fn going(&self, home: &Path) -> HashSet<PathBuf> {
        let since = self.since();
        let all = since.unlinks.iter().chain(&since.covering);
        let all = all.chain(&since.covered).chain(&since.graves);
        all.filter(|path| path.starts_with(home)).cloned().collect()
    }

    /// Whether the journal has so much that a checkpoint is due.
    pub(crate) fn is_filling(&self) -> bool {
        self.bytes() > self.limit / 2
    }

    /// What a checkpoint may make room of.
    fn bytes(&self) -> u64 {
        let kept = self.kept.load(Ordering::Relaxed);
        self.journal.bytes().saturating_sub(kept)
    }

    /// Notes that the journal carries so many bytes on for accounts whose changes cannot be done: those
    /// whose home is missing. They do not become more, since nobody can open such an account, and
    /// leave the others all the room that there is.
    pub(crate) fn keeps(&self, bytes: u64) {
        let before = self.kept.swap(bytes, Ordering::Relaxed);
        if bytes > 0 && bytes != before {
            tracing::warn!(
                bytes,
                "the journal keeps changes to accounts that cannot be opened: it is done with them when their homes are there again, or given up by `facteur account forget`"
            );
        }
    }

    /// Files that are still to go have moved with their folder.
    pub(crate) fn folder_renamed(&self, from: &Path, to: &Path) {
        let mut since = self.since();
        let since = &mut *since;
        for paths in since.paths() {
            for path in paths {
                if let Ok(rest) = path.strip_prefix(from) {
                    *path = to.join(rest);
                }
            }
        }
    }

    /// Files that were still to go are gone with their folder.
    pub(crate) fn folder_removed(&self, folder: &Path) {
        for paths in self.since().paths() {
            paths.retain(|path| !path.starts_with(folder));
        }
    }
}

/// While it lives folders may be renamed and removed: [`Log::lock_folders`].
pub(crate) struct FoldersLocked<'a> {
    changes: &'a AtomicU64,
    _held: RwLockWriteGuard<'a, ()>,
}

impl Drop for FoldersLocked<'_> {
    fn drop(&mut self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}
