//! Checkpoints: what is in the journal is made durable where it belongs, and the journal cut.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use facteur_disk::Disk;
use facteur_journal::{JournalError, Lsn};
use facteur_model::AccountId;

use crate::{
    StoreError,
    log::{Log, Since},
    maildir,
    owner::Owner,
    record::Record,
    replay::{How, Replay, Scope},
    shared::Shared,
};

/// A change that was only written is synced after so long.
const SYNC_AFTER: Duration = Duration::from_millis(500);

/// How long the journal keeps what it has.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoints {
    /// A checkpoint is made so long after the first change.
    pub interval: Duration,
    /// Most bytes in the journal: a checkpoint is made at half of them.
    pub journal_size: u64,
    /// Whether a thread makes them; else only [`crate::Store::checkpoint`] does.
    pub background: bool,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            journal_size: 64 << 20,
            background: true,
        }
    }
}

/// Makes a checkpoint.
pub(crate) fn run(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let _one_at_a_time = shared
        .checkpointing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let log = &shared.log;
    let begun = begin(shared)?;
    let mut late: BTreeMap<AccountId, Arc<Owner>> = BTreeMap::new();
    // One that is unloaded meanwhile writes its rows by itself.
    for owner in begun.dirty.iter().filter_map(Weak::upgrade) {
        owner.dirty.store(false, Ordering::Release);
        let written = owner.write_rows(shared);
        let written = written.and_then(|()| owner.write_names(shared));
        owner.overdue.store(written.is_err(), Ordering::Release);
        if let Err(error) = written {
            tracing::error!(account = %owner.id, %error, "index cannot be written; its changes stay in the journal");
            late.insert(owner.id.clone(), owner);
        }
    }
    // What of these is done from here on is not in what is synced.
    let unsettled = log.since().unsettled.clone();
    // What was expunged makes room even if the journal must keep all that it has: on a full disk
    // nothing else does.
    let removed = shared
        .sync_file_systems()
        .and_then(|()| remove(shared, &begun.graves));
    // Last, and only for a cut: each try that comes to nothing would leave a copy in the journal.
    let done = removed.and_then(|()| {
        let carried = carry(log, late.keys().cloned().collect(), unsettled)?;
        log.journal.cut(begun.at)?;
        Ok(carried)
    });
    let mut since = log.since();
    for owner in late.into_values() {
        if !owner.dirty.swap(true, Ordering::AcqRel) {
            since.dirty.push(Arc::downgrade(&owner));
        }
    }
    if done.is_ok() {
        since.made += 1;
    }
    since.carried = matches!(done, Ok(true));
    if since.first.is_none() && (!since.dirty.is_empty() || done.is_err()) {
        since.first = Some(Instant::now());
    }
    drop(since);
    log.wake.notify_all();
    done.map(|_| ())
}

/// Does `work`; once more after a checkpoint, if there is no room for it and files are still to go.
pub(crate) fn with_room<T>(
    shared: &Arc<Shared>,
    work: impl Fn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match work() {
        Err(StoreError::NoSpace) if make_room(shared) => work(),
        result => result,
    }
}

/// Removes what is still to go; whether there was anything.
pub(crate) fn make_room(shared: &Arc<Shared>) -> bool {
    if !shared.log.has_unlinks() {
        return false;
    }
    if let Err(error) = run(shared) {
        tracing::warn!(%error, "no room could be made");
    }
    true
}

/// What a checkpoint has to do.
struct Begun {
    /// Everything before is in files and memory.
    at: Lsn,
    dirty: Vec<Weak<Owner>>,
    graves: Vec<PathBuf>,
}

fn begin(shared: &Arc<Shared>) -> Result<Begun, StoreError> {
    let log = &shared.log;
    let _quiet = log.quiet();
    let at = log.journal.rotate()?;
    if log.since().spool_unsettled {
        let mut replay = Replay::new(&shared.disk, log, Some(&shared.spool), How::default());
        log.journal.visit(|lsn, bytes| {
            replay.record(lsn, bytes, Scope::Spool);
            Ok::<_, StoreError>(())
        })?;
        log.since().spool_unsettled = replay.spool_unsettled;
    }
    let mut since = log.since();
    since.first = None;
    // They stay where a folder that is renamed meanwhile takes them along.
    let ended = std::mem::take(&mut since.unlinks);
    since.covering.extend(ended);
    Ok(Begun {
        at,
        dirty: std::mem::take(&mut since.dirty),
        graves: since.graves.clone(),
    })
}

/// Puts the changes that could not be done where they belong into the journal again, behind what is
/// cut, all of an account's in their order. Says whether there were any. `late` are accounts in use;
/// `before` were unsettled before the file systems were synced.
fn carry(
    log: &Log,
    mut late: HashSet<AccountId>,
    before: HashSet<AccountId>,
) -> Result<bool, StoreError> {
    let (unsettled, spool) = {
        let since = log.since();
        (since.unsettled.clone(), since.spool_unsettled)
    };
    late.extend(before.into_iter().filter(|id| !unsettled.contains(id)));
    if late.is_empty() && unsettled.is_empty() && !spool {
        log.keeps(0);
        return Ok(false);
    }
    // Nobody adds to these accounts meanwhile: old and new would change places.
    let _quiet = log.quiet();
    let until = log.journal.rotate()?;
    let mut carried = Carried {
        late,
        unsettled,
        spool,
        first: None,
        kept: 0,
    };
    log.journal.visit(|lsn, bytes| match lsn < until {
        true => carried.record(log, lsn, bytes),
        false => Ok(()),
    })?;
    log.journal.sync()?;
    log.keeps(carried.kept);
    Ok(true)
}

/// Whose changes are carried on.
struct Carried {
    late: HashSet<AccountId>,
    unsettled: HashSet<AccountId>,
    spool: bool,
    /// Where the journal begins.
    first: Option<Lsn>,
    /// Bytes of those that are only for accounts that nobody can open.
    kept: u64,
}

impl Carried {
    fn record(&mut self, log: &Log, lsn: Lsn, bytes: &[u8]) -> Result<(), StoreError> {
        let Ok((mut record, bodies)) = Record::decode(bytes) else {
            // It was reported when it was to be done.
            return Ok(());
        };
        let first = *self.first.get_or_insert(lsn);
        if !record.counts(first) {
            return Ok(());
        }
        record.carry_from(first);
        let mut closed = true;
        record.accounts.retain(|account| {
            let id = AccountId::new(&account.account);
            let late = self.late.contains(&id);
            closed &= !late;
            late || self.unsettled.contains(&id)
        });
        if !self.spool {
            record.spool.clear();
        }
        if record.accounts.is_empty() && record.spool.is_empty() {
            return Ok(());
        }
        if closed && record.spool.is_empty() {
            self.kept += bytes.len() as u64;
        }
        let _ = log.append(&record, &bodies)?;
        Ok(())
    }
}

/// Removes files and folders of which a checkpoint has that they are gone: their ends are durable in
/// the journal or the index, and so is what was copied from them.
fn remove(shared: &Shared, graves: &[PathBuf]) -> Result<(), StoreError> {
    let disk = &shared.disk;
    // While this is held no folder gets another name.
    let folders = shared.log.folders_stay();
    let covered = {
        let mut since = shared.log.since();
        let covering = std::mem::take(&mut since.covering);
        since.covered.extend(covering);
        since.covered.clone()
    };
    let mut dirs = BTreeSet::new();
    let mut left = Left::default();
    for path in covered {
        match unlink(disk, &path) {
            Ok(unlinked) => dirs.extend(unlinked.and_then(|path| Some(path.parent()?.to_owned()))),
            Err(error) => left.note(path, error),
        }
    }
    match dirs.len() {
        0..SYNCED_SINGLY => dirs.iter().try_for_each(|dir| disk.sync_dir(dir))?,
        _ => shared.sync_file_systems()?,
    }
    shared.log.since().covered.clone_from(&left.paths);
    shared.log.note_leftovers(left.paths)?;
    drop(folders);
    for grave in graves {
        match disk.remove_dir_all(grave) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => left.failed = Some(error),
            _ => shared.log.since().graves.retain(|one| one != grave),
        }
    }
    if let Some(error) = left.failed {
        tracing::error!(%error, "files of removed messages cannot be removed; it is tried again");
    }
    Ok(())
}

/// Removes a file, whatever it is called by now; says where it was.
fn unlink(disk: &Disk, path: &Path) -> io::Result<Option<PathBuf>> {
    if disk.unlink_if_there(path)? {
        return Ok(Some(path.to_owned()));
    }
    match maildir::renamed(disk, path)? {
        Some(renamed) => Ok(disk.unlink_if_there(&renamed)?.then_some(renamed)),
        None => Ok(None),
    }
}

/// From so many folders on the whole file systems are synced.
const SYNCED_SINGLY: usize = 16;

/// Files that could not be removed: the next checkpoint tries again. They do not keep the journal
/// from being cut, or one account's disk would stop all the others.
#[derive(Default)]
struct Left {
    paths: Vec<PathBuf>,
    failed: Option<io::Error>,
}

impl Left {
    fn note(&mut self, path: PathBuf, error: io::Error) {
        self.paths.push(path);
        self.failed = Some(error);
    }
}

/// The thread that syncs what was only written and makes checkpoints, until the store is gone.
pub(crate) fn start(shared: &Arc<Shared>, checkpoints: Checkpoints) -> io::Result<()> {
    let log = Arc::clone(&shared.log);
    let shared = Arc::downgrade(shared);
    std::thread::Builder::new()
        .name("checkpoint".to_owned())
        .spawn(move || work(&log, &shared, checkpoints.interval))
        .map(|_| ())
}

/// What is due.
enum Due {
    Nothing(Duration),
    Sync,
    Checkpoint,
    End,
}

fn work(log: &Log, shared: &Weak<Shared>, interval: Duration) {
    let mut in_vain: Option<Instant> = None;
    let (mut checkpoints, mut syncs) = (Telling::default(), Telling::default());
    let mut sweep_again = false;
    loop {
        let mut since = log.since();
        match due(log, &since, interval, in_vain) {
            Due::End => return,
            Due::Nothing(left) => {
                let left = match sweep_again {
                    true => left.min(SWEEP_AFTER),
                    false => left,
                };
                drop(log.wake.wait_timeout(since, left));
            }
            Due::Sync => {
                since.unsynced = None;
                drop(since);
                if let Err(error) = log.journal.sync() {
                    syncs.sync(&error);
                    log.since().unsynced.get_or_insert_with(Instant::now);
                }
            }
            Due::Checkpoint => {
                drop(since);
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                let made = run(&shared);
                let vain = made.is_err() || log.since().carried;
                in_vain = vain.then(Instant::now);
                checkpoints.checkpoint(&shared.options.state, made);
            }
        }
        if let Some(shared) = shared.upgrade() {
            sweep_again = shared.sweep();
        }
    }
}

/// Too much in memory is looked for once a second.
const SWEEP_AFTER: Duration = Duration::from_secs(1);

/// Says what goes on failing, but not at every try: the log may be on the same full disk.
#[derive(Default)]
struct Telling {
    last: Option<Instant>,
}

impl Telling {
    fn checkpoint(&mut self, state: &Path, made: Result<(), StoreError>) {
        match made {
            Ok(()) => {
                if self.last.take().is_some() {
                    tracing::info!(state = %state.display(), "checkpoints are made again");
                }
            }
            Err(error) if self.is_due() => {
                tracing::error!(state = %state.display(), %error, "checkpoint could not be made; the journal keeps what it has, and it is tried again every second");
            }
            Err(_) => {}
        }
    }

    fn sync(&mut self, error: &JournalError) {
        if self.is_due() {
            tracing::error!(%error, "journal cannot be synced; it is tried again");
        }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= TELL_AGAIN);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}

/// So often what goes on failing is said again.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// A checkpoint that failed, or had to keep what it found, is tried again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Longest wait: accounts that nobody uses are looked for so often.
const LOOK: Duration = Duration::from_secs(60);

fn due(log: &Log, since: &Since, interval: Duration, in_vain: Option<Instant>) -> Due {
    if since.closed {
        return Due::End;
    }
    let now = Instant::now();
    let sync_at = since.unsynced.map(|then| then + SYNC_AFTER);
    let wanted = since.wanted > since.made || log.is_filling();
    let usual = since.first.map(|first| first + interval);
    let checkpoint_at = match in_vain.map(|then| then + RETRY_AFTER) {
        again if wanted => Some(again.unwrap_or(now)),
        Some(again) if !since.carried => usual.map(|_| again),
        _ => usual,
    };
    if sync_at.is_some_and(|at| at <= now) {
        return Due::Sync;
    }
    if checkpoint_at.is_some_and(|at| at <= now) {
        return Due::Checkpoint;
    }
    let next = [sync_at, checkpoint_at].into_iter().flatten().min();
    let left = next.map_or(LOOK, |at| at.saturating_duration_since(now));
    Due::Nothing(left.min(LOOK))
}
