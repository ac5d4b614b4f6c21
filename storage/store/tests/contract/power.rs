//! The machine's power lost at any moment, on a disk that keeps of what was not synced what it likes:
//! what was acknowledged before is there once, the rest whole or not at all.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use facteur_disk::{Disk, PowerLoss};

use crate::{
    points::class,
    run::{Run, STEPS},
};

fn is_sqlites(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("index.db"))
}

/// Everything that changes a store, recorded.
struct Recorded {
    run: Run,
    power: PowerLoss,
    steps: Vec<&'static str>,
    /// The moment at which the store was open.
    opened: usize,
}

impl Recorded {
    fn new() -> Self {
        let mut run = Run::new();
        let (disk, power) = Disk::recording(run.world.dir.path(), is_sqlites).unwrap();
        run.power = Some(power.clone());
        // SQLite's files as they are count as durable, too.
        disk.sync_file_system(run.world.dir.path()).unwrap();
        let store = run.world.open_on(disk).unwrap();
        let opened = power.moments();
        run.perform(&store);
        drop(store);
        let steps = std::mem::take(&mut run.acknowledged);
        assert_eq!(steps.len(), STEPS, "{steps:?}");
        Self {
            run,
            power,
            steps,
            opened,
        }
    }

    /// Whether the image of a moment keeps what had been acknowledged by then. It takes the place of
    /// what was recorded: the journal names the accounts' homes.
    fn holds(&mut self, at: usize, seed: u64, ignored: &[usize]) -> Result<(), String> {
        let root = self.run.world.dir.path();
        for entry in fs::read_dir(root).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        self.power.image_without(at, seed, ignored, root).unwrap();
        another_boot(&root.join("state/run"));
        if self.run.index_lost {
            for who in ["bob", "carol"] {
                for suffix in ["", "-wal", "-shm"] {
                    let _ =
                        fs::remove_file(self.run.world.home(who).join(format!("index.db{suffix}")));
                }
            }
        }
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
            recorded.holds(at, seed, &[]).unwrap();
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

/// In both formats.
#[test]
#[ignore = "takes minutes: cargo test -p facteur-store --test contract --test contract_maildir thousands -- --ignored --nocapture"]
fn power_lost_thousands_of_times_loses_nothing_that_was_acknowledged() {
    assert!(at_any_moment(1, 0..40) > 5000);
}

/// Kinds that this run cannot miss.
const ELSEWHERE: [&str; 2] = [
    // A segment of the journal begins at a checkpoint here, whose `syncfs` comes before anybody waits
    // for it. The journal's own tests miss it.
    "sync_dir journal",
    // What a keyword's letter means, and the lines of the list, are in the journal as well until a
    // `syncfs`: for other programs, and for a list that is written anew whole.
    "sync_all dovecot's files",
];

/// Without the syncs of any one kind, all of them, a promise is broken. A kind is a call on a kind of
/// file: a place of the code that syncs can be no smaller than that, and few are larger.
#[test]
fn every_kind_of_sync_is_needed() {
    let mut recorded = Recorded::new();
    let root = recorded.run.world.dir.path().to_owned();
    let mut kinds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let syncs = recorded.power.syncs();
    // What opening makes is there already.
    let opened = recorded.opened;
    for (index, sync) in syncs.iter().enumerate().filter(|(_, s)| s.moment > opened) {
        let kind = format!("{} {}", sync.name, class(&root, &sync.path));
        kinds.entry(kind).or_default().push(index);
    }
    let mut unseen = Vec::new();
    for (kind, ignored) in &kinds {
        let first = syncs[ignored[0]].moment;
        // Some of it only matters once the index is lost as well.
        let missed = [false, true].into_iter().find_map(|index_lost| {
            recorded.run.index_lost = index_lost;
            [1, 3, 0, 2].into_iter().find_map(|part| {
                let moments = (first + part..recorded.power.moments()).step_by(4);
                let mut cases = moments.map(|at| (at, if part < 2 { 0 } else { 1 + at as u64 }));
                cases.find(|(at, seed)| recorded.holds(*at, *seed, ignored).is_err())
            })
        });
        println!("without {} of {kind}: missed at {missed:?}", ignored.len());
        if missed.is_none() && !ELSEWHERE.contains(&kind.as_str()) {
            unseen.push(kind.as_str());
        }
    }
    assert_eq!(unseen, [""; 0], "nobody misses these");
}

/// With all of them the same runs break nothing, the index lost or not.
#[test]
fn power_and_the_index_lost_together_lose_nothing_but_what_the_index_alone_has() {
    let mut recorded = Recorded::new();
    recorded.run.index_lost = true;
    for at in (0..recorded.power.moments()).step_by(3) {
        recorded.holds(at, 0, &[]).unwrap();
        recorded.holds(at, 1 + at as u64, &[]).unwrap();
    }
}
