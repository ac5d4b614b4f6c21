//! Opening the store: what an earlier process left in the journal is done first.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use facteur_disk::Disk;
use facteur_journal::{Fsync, Journal, Recovered};
use facteur_spool::Spool;

use crate::{
    Options, StoreError, checkpoint,
    log::Log,
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
    let run = Run::next(&disk, &options.state, recovered.was_clean())?;
    let log = Arc::new(Log::new(journal, size, options.fsync));
    let how = How {
        rewrite: run.loss,
        incomplete: report(&recovered),
    };
    let mut replay = Replay::new(&disk, &log, Some(&spool), how);
    let mut records = recovered.records();
    let mut count = 0u64;
    while let Some((lsn, bytes)) = records.read()? {
        replay.record(lsn, bytes, Scope::All);
        count += 1;
    }
    replay.finish();
    let touched = std::mem::take(&mut replay.touched);
    {
        let mut since = log.since();
        since.unlinks = std::mem::take(&mut replay.unlinks);
        since
            .unsettled
            .extend(std::mem::take(&mut replay.unsettled));
        since.spool_unsettled = replay.spool_unsettled;
    }
    drop(replay);
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
        Ok(()) => shared.start.begun(&shared.disk)?,
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

/// Says what the journal has lost; whether it has.
fn report(recovered: &Recovered) -> bool {
    for damage in recovered.damage() {
        tracing::error!(from = %damage.from, to = %damage.to, "the journal is damaged: what it had there is lost, but for what had reached the files; the accounts are looked through");
    }
    for path in recovered.unreadable() {
        tracing::error!(path = %path.display(), "file of the journal is damaged and was set aside");
    }
    !recovered.damage().is_empty() || !recovered.unreadable().is_empty()
}

/// How often the store ended in the middle of something.
#[derive(Debug)]
pub(crate) struct Run {
    /// With the machine: what was written and not synced may have been lost.
    pub(crate) losses: u64,
    /// In any way.
    pub(crate) unclean_ends: u64,
    /// The last end was such a loss.
    loss: bool,
    path: PathBuf,
    boot: String,
}

impl Run {
    fn next(disk: &Disk, state: &Path, clean: bool) -> Result<Self, StoreError> {
        let path = state.join("run");
        let boot = boot_id(disk)?;
        let text = match disk.read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => String::from_utf8_lossy(&read?).into_owned(),
        };
        let mut words = text.split_ascii_whitespace();
        let same_boot = words.next() == Some(&*boot);
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (losses, ends) = (number().unwrap_or(0), number().unwrap_or(0));
        let loss = !clean && !same_boot;
        let run = Self {
            losses: losses + u64::from(loss),
            unclean_ends: ends + u64::from(!clean),
            loss,
            path,
            boot,
        };
        if loss {
            // Until all is written anew the next start must find the same.
            run.write(disk, "-")?;
        }
        Ok(run)
    }

    /// Notes that what the machine may have lost is there again.
    fn begun(&self, disk: &Disk) -> Result<(), StoreError> {
        self.write(disk, &self.boot)
    }

    fn write(&self, disk: &Disk, boot: &str) -> Result<(), StoreError> {
        let text = format!("{boot} {} {}\n", self.losses, self.unclean_ends);
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
