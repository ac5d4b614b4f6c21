//! Opening the store: what an earlier process left in the journal is done first.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_journal::{Fsync, Journal, Recovered};
use facteur_spool::Spool;

use crate::{
    Options, StoreError, checkpoint,
    log::Log,
    record::Record,
    replay::{How, Replay, Scope},
    shared::Shared,
    spool_log::SpoolLog,
};

/// The journal is kept in so many segments: a checkpoint frees whole ones.
const SEGMENTS: u64 = 4;

/// Opens the store's inside.
pub(crate) fn open(disk: Disk, options: Options) -> Result<Arc<Shared>, StoreError> {
    let disk = match options.fsync {
        Fsync::Never => disk.without_syncs(),
        Fsync::Always | Fsync::Optimized => disk,
    };
    let staging = options.state.join("staging");
    disk.create_dir_all_durably(&staging)?;
    let lock = disk
        .lock(&options.state.join("lock"))?
        .ok_or(StoreError::Cannot(
            "another process has this mail store open",
        ))?;
    for left in disk.read_dir(&staging)? {
        disk.unlink_if_there(&staging.join(left.name))?;
    }
    let spool = Spool::open(disk.clone(), &options.state.join("spool"))?;
    let size = options.checkpoints.journal_size;
    let (journal, recovered) = Journal::open(
        disk.clone(),
        facteur_journal::Options {
            segment_size: size / SEGMENTS,
            fsync: options.fsync,
            clock: options.clock.clone(),
            ..facteur_journal::Options::new(options.state.join("journal"))
        },
    )?;
    let damaged = report(&recovered, &disk, &options.state)?;
    understand(&recovered)?;
    let mut run = Run::next(&disk, &options.state, recovered.was_clean(), damaged)?;
    let log = Arc::new(Log::new(journal, size, options.fsync));
    let how = How {
        rewrite: !run.same_boot,
        incomplete: damaged,
        reindex: run.doubted,
    };
    let mut replay = Replay::new(&disk, &log, Some(&spool), how);
    let mut records = recovered.records();
    let mut count = 0u64;
    while let Some((lsn, bytes)) = records.read()? {
        replay.record(lsn, bytes, Scope::All);
        count += 1;
    }
    replay.finish();
    if replay.found_loss() {
        run.lost(&disk)?;
    }
    let touched = hand_over(replay, &log);
    if count > 0 {
        tracing::info!(
            records = count,
            "did again what an earlier run left in the journal"
        );
    }
    let shared = Shared::new(disk, options, spool, log, run, lock);
    shared.touches(&shared.options.state)?;
    for path in touched {
        shared.touches(&path)?;
    }
    match if count > 0 {
        checkpoint::run(&shared)
    } else {
        Ok(())
    } {
        Ok(()) => shared.start.begun(&shared)?,
        Err(error) => {
            tracing::error!(%error, "what the journal had could not be made durable in its place; the journal keeps it");
        }
    }
    if !shared.log.since().spool_unsettled {
        shared.spool.remove_temporary()?;
    }
    shared.spool.set_log(Arc::new(SpoolLog {
        log: Arc::clone(&shared.log),
    }));
    Ok(shared)
}

/// Leaves to the next checkpoint what is still to be done; which folders were changed.
fn hand_over(replay: Replay<'_>, log: &Log) -> BTreeSet<PathBuf> {
    log.found_leftovers(replay.leftovers);
    let mut since = log.since();
    since.unlinks.extend(replay.unlinks);
    since.unsettled.extend(replay.unsettled);
    since.spool_unsettled = replay.spool_unsettled;
    replay.touched
}

/// Nothing is done again before it is known that all of it can be: a record that is whole and cannot
/// be read is another version's, and passing it over would lose what it has.
fn understand(recovered: &Recovered) -> Result<(), StoreError> {
    let mut records = recovered.records();
    while let Some((lsn, bytes)) = records.read()? {
        if let Err(error) = Record::decode(bytes) {
            tracing::error!(%lsn, %error, "record of the journal cannot be read");
            return Err(StoreError::Cannot(
                "its journal has changes that another version of facteur wrote and did not bring into the files: start that version, stop it in order, and start this one then; nothing was changed",
            ));
        }
    }
    Ok(())
}

/// Says what the journal has lost; whether it has.
fn report(recovered: &Recovered, disk: &Disk, state: &Path) -> Result<bool, StoreError> {
    let gone = recovered.is_new() && disk.kind(&Run::path(state))?.is_some();
    if gone {
        tracing::error!(journal = %state.join("journal").display(), "the journal is gone: what it had is lost, but for what had reached the files; the accounts are looked through");
    }
    for damage in recovered.damage() {
        tracing::error!(from = %damage.from, to = %damage.to, "the journal is damaged: what it had there is lost, but for what had reached the files; the accounts are looked through");
    }
    for path in recovered.unreadable() {
        tracing::error!(path = %path.display(), "file of the journal is damaged and was set aside");
    }
    Ok(gone || !recovered.damage().is_empty() || !recovered.unreadable().is_empty())
}

/// How often the store ended in the middle of something.
#[derive(Debug)]
pub(crate) struct Run {
    /// With the machine: what was written and not synced may have been lost.
    pub(crate) losses: u64,
    /// In any way.
    pub(crate) unclean_ends: u64,
    /// How often the journal had lost something.
    pub(crate) damages: u64,
    /// What was written and not synced is still there.
    same_boot: bool,
    /// Unless a sync failed.
    doubted: bool,
    path: PathBuf,
    boot: String,
}

/// Stands for a boot in whose course a sync failed, or after which not all was written anew.
const DOUBTED: &str = "-";

impl Run {
    fn path(state: &Path) -> PathBuf {
        state.join("run")
    }

    fn next(disk: &Disk, state: &Path, clean: bool, damaged: bool) -> Result<Self, StoreError> {
        let path = Self::path(state);
        let boot = boot_id(disk)?;
        let text = match disk.read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => String::from_utf8_lossy(&read?).into_owned(),
        };
        let mut words = text.split_ascii_whitespace();
        let last = words.next();
        let same_boot = last == Some(&*boot);
        let doubted = last == Some(DOUBTED);
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let mut count = |more: bool| number().unwrap_or(0) + u64::from(more);
        let run = Self {
            losses: count(!clean && !same_boot),
            unclean_ends: count(!clean),
            damages: count(damaged),
            same_boot,
            doubted,
            path,
            boot,
        };
        if !same_boot || damaged {
            // Until all is written anew the next start must find the same.
            run.doubt(disk)?;
        }
        Ok(run)
    }

    /// Counts a loss that no other boot of the machine has told of.
    fn lost(&mut self, disk: &Disk) -> Result<(), StoreError> {
        self.losses += 1;
        self.doubt(disk)
    }

    /// Notes that what the machine may have lost is there again; but not what could not be done now.
    fn begun(&self, shared: &Shared) -> Result<(), StoreError> {
        let since = shared.log.since();
        let settled = since.unsettled.is_empty() && !since.spool_unsettled;
        drop(since);
        match settled {
            true => self.write(&shared.disk, &self.boot),
            false => self.doubt(&shared.disk),
        }
    }

    /// Notes that what was written may not be there at the next start, whatever the system says.
    pub(crate) fn doubt(&self, disk: &Disk) -> Result<(), StoreError> {
        self.write(disk, DOUBTED)
    }

    fn write(&self, disk: &Disk, boot: &str) -> Result<(), StoreError> {
        let (losses, ends, damages) = (self.losses, self.unclean_ends, self.damages);
        let text = format!("{boot} {losses} {ends} {damages}\n");
        match disk.read(&self.path) {
            Ok(there) if there == text.as_bytes() => Ok(()),
            _ => Ok(disk.write_atomically(&self.path, text.as_bytes())?),
        }
    }
}

/// Names this boot of the machine; without a name every start counts as one.
fn boot_id(disk: &Disk) -> Result<String, StoreError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    match disk.read(path) {
        Ok(id) => Ok(String::from_utf8_lossy(&id).trim().to_owned()),
        Err(_) => Ok(facteur_model::Guid::random()?.to_string()),
    }
}
