//! The machine's power lost at any moment, on a disk that keeps of what was not synced what it likes:
//! what was acknowledged before is there once, the rest whole or not at all.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use facteur_disk::{Disk, PowerLoss};

use crate::crash::{Run, STEPS};

fn is_sqlites(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("index.db"))
}

/// Everything that changes a store, recorded.
struct Recorded {
    run: Run,
    power: PowerLoss,
    steps: Vec<&'static str>,
}

impl Recorded {
    fn new() -> Self {
        let mut run = Run::new();
        let (disk, power) = Disk::recording(run.world.dir.path(), is_sqlites).unwrap();
        run.power = Some(power.clone());
        // SQLite's files as they are count as durable, too.
        disk.sync_file_system(run.world.dir.path()).unwrap();
        let store = run.world.open_on(disk).unwrap();
        run.perform(&store);
        drop(store);
        let steps = std::mem::take(&mut run.acknowledged);
        assert_eq!(steps.len(), STEPS, "{steps:?}");
        Self { run, power, steps }
    }

    /// Whether the image of a moment keeps what had been acknowledged by then. It takes the place of
    /// what was recorded: the journal names the accounts' homes.
    fn holds(&mut self, at: usize, seed: u64, ignored: Option<usize>) -> Result<(), String> {
        let root = self.run.world.dir.path();
        for entry in fs::read_dir(root).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        self.power.image_without(at, seed, ignored, root).unwrap();
        another_boot(&root.join("state/run"));
        let done = self.run.moments.iter().rfind(|(moment, ..)| *moment <= at);
        let (steps, uids) = done.map_or((0, 0), |(_, steps, uids)| (*steps, *uids));
        self.run.acknowledged = self.steps[..steps].to_vec();
        let all = self.run.uids.clone();
        self.run.uids.truncate(uids);
        let checked = catch_unwind(AssertUnwindSafe(|| {
            let store = self
                .run
                .world
                .open_on(Disk::real().without_syncs())
                .unwrap();
            self.run.check(&store);
        }));
        self.run.uids = all;
        checked.map_err(|panic| {
            let reason = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            format!(
                "moment {at}, seed {seed}, after {:?}: {reason}",
                self.run.acknowledged
            )
        })
    }
}

/// The machine that loses its power boots again, under another name.
fn another_boot(run: &Path) {
    if let Ok(mut text) = fs::read(run) {
        let name = text.iter_mut().take_while(|byte| **byte != b' ');
        name.for_each(|digit| *digit = b'x');
        fs::write(run, text).unwrap();
    }
}

/// Every moment of every `step`; how many there were.
fn at_any_moment(step: usize, seeds: std::ops::Range<u64>) -> usize {
    let mut recorded = Recorded::new();
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for seed in seeds {
        for at in (usize::try_from(seed).unwrap() % step..recorded.power.moments()).step_by(step) {
            recorded.holds(at, seed, None).unwrap();
            *counts.entry(seed).or_default() += 1;
        }
    }
    println!("power lost, by seed: {counts:?}");
    counts.values().sum()
}

#[test]
fn power_lost_at_any_moment_loses_nothing_that_was_acknowledged() {
    assert!(at_any_moment(1, 0..4) > 500);
}

/// Thousands: `cargo test --release -p facteur-store --test contract power -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn power_lost_thousands_of_times_loses_nothing_that_was_acknowledged() {
    assert!(at_any_moment(1, 0..40) > 5000);
}

#[test]
fn every_kind_of_sync_is_needed() {
    let mut recorded = Recorded::new();
    let mut needed: BTreeMap<&str, usize> = BTreeMap::new();
    for (ignored, sync) in recorded.power.syncs().into_iter().enumerate() {
        if needed.contains_key(sync.name) {
            continue;
        }
        let until = (sync.moment + 60).min(recorded.power.moments());
        let missed = (sync.moment..until).step_by(2);
        if let Some(at) = missed
            .into_iter()
            .find(|at| recorded.holds(*at, 0, Some(ignored)).is_err())
        {
            needed.insert(sync.name, at);
        }
    }
    println!("missed at moment: {needed:?}");
    for name in ["sync_all", "sync_data", "sync_dir", "sync_file_system"] {
        assert!(
            needed.contains_key(name),
            "nobody misses any {name}: {needed:?}"
        );
    }
}
